"""Config -> data, networks and a training: the only room that knows all others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from cycada.config.schema import Config, Data, Spec, Stage, digest, shapes_of
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError, list_some
from cycada.core.registry import check_options, needs, typed
from cycada.data import (
    Augment,
    Crops,
    Domain,
    ImageDataset,
    PairedDataset,
    ResizedDataset,
    SceneDomain,
    SceneStream,
    Split,
    Stream,
    Translated,
    convert,
    domains,
    scene_domains,
)  # fmt: skip
from cycada.data.domain import Wanted, prepare_domain
from cycada.data.scenes import Palette, SegmentationDataset
from cycada.methods import TEACHER, Networks
from cycada.networks import HEAD, NETWORKS, Frozen, ImagePool, kind_of
from cycada.planning.plan import ResolvedPhase, StagePlan, is_segmentation
from cycada.train.device import Device, seed_of
from cycada.train.loop import TrainState
from cycada.train.optimizers import optimizer
from cycada.train.schedule import Schedule
from cycada.train.step import Phase, submodule, submodules

Weights = Mapping[str, Tensor]
TranslateOnce = Callable[[nn.Module, ResizedDataset | ImageDataset], Translated | ImageDataset]
"""g_st and the source's training images -> the images with their translations."""


@dataclass(frozen=True)
class Datasets:
    """Both domains, at the size that networks see. The target's training labels are thrown away here, unless a stage is an
    oracle. palette: a colour for every class of scenes. A source of scenes may have no `test`: then nothing is scored on it."""

    classes: tuple[str, ...]
    source: Mapping[Split, ImageDataset | ResizedDataset]
    target: Mapping[Split, ImageDataset | ResizedDataset]
    oracle: ImageDataset | ResizedDataset | None
    fingerprint: str
    palette: Palette = ()

    def resized_to(self, config: Config, stage: Stage) -> Datasets:
        """With scenes at the size of a stage."""
        shapes = config.shapes(stage)

        def sized(examples: ImageDataset | ResizedDataset | None, side: str) -> Any:
            return examples.resized_to(shapes[side]) if isinstance(examples, ResizedDataset) else examples

        source, target = (
            {split: sized(e, side) for split, e in getattr(self, side).items()}
            for side in ("source", "target")
        )
        return replace(self, source=source, target=target, oracle=sized(self.oracle, "target"))


def some_images(examples: ImageDataset | ResizedDataset, count: int) -> Tensor:
    """(n, C, H, W) uint8: the first, or scenes evenly over all."""
    return examples.sample(count) if isinstance(examples, ResizedDataset) else examples.images[:count]


def load_datasets(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Read, check, convert and move to the device. Raises CycadaError."""
    data = config.data
    if is_segmentation(config):
        return _load_scenes(config, plans)
    hasher = hashlib.blake2b(digest_size=8)
    found: dict[tuple[str, Split], ImageDataset] = {}
    sides: dict[str, Domain] = {}
    for side in ("source", "target"):
        sides[side] = domain = prepared_domain(config, plans, side, sides["source"].classes if sides else ())
        for split in ("train", "test"):
            raw = domain.load(data.resolved_root(), split, data.download)  # type: ignore[arg-type]
            hasher.update(raw.images.numpy().data)
            if raw.labels is not None and (side == "source" or split == "test"):
                hasher.update(raw.labels.numpy().data)
            found[side, split] = _converted(raw, data, device)  # type: ignore[index]
        if domain.classes_from_files:
            hasher.update("\n".join(domain.classes).encode())
    source, target = sides["source"], sides["target"]
    agreed(source.classes, target.classes)
    oracle = found["target", "train"] if any(p.method.supervision == "target" for p in plans) else None
    return Datasets(
        source.classes,
        {"train": found["source", "train"], "test": found["source", "test"]},
        {"train": found["target", "train"].without_labels(), "test": found["target", "test"]},
        oracle,
        hasher.hexdigest(),
    )


def _load_scenes(config: Config, plans: list[StagePlan]) -> Datasets:
    """TrainState masks are scaled with their images; test masks stay as they are, to be scored at full resolution."""
    data, root = config.data, config.data.resolved_root()

    def fitted(scenes: SegmentationDataset, side: str, full_resolution_masks: bool = False) -> ResizedDataset:
        found = ResizedDataset(scenes, config.shapes()[side], full_resolution_masks)
        return ResizedDataset(
            scenes,
            found.size,
            full_resolution_masks,
            cache=found.megabytes() <= data.hold and not data.workers,
        )

    source, target = (
        scene_domain(spec, side) for side, spec in (("source", data.source), ("target", data.target))
    )
    labelled = {"train": fitted(source.load(root, "train"), "source")}
    if "test" in source.splits:
        labelled["test"] = fitted(source.load(root, "test"), "source", full_resolution_masks=True)
    images = target.images(root, target.unlabelled)
    adapt = {
        "train": fitted(images, "target"),
        "test": fitted(target.load(root, "test"), "target", full_resolution_masks=True),
    }
    labels = any(p.method.supervision == "target" for p in plans)
    agreed(source.classes, target.classes)
    named = source if source.classes else target
    prints = [f.fingerprint(masks=True) for f in labelled.values()] + [
        f.fingerprint(f.labelled) for f in adapt.values()
    ]
    oracle = fitted(target.load(root, "train") if labels else target.images(root, "train"), "target")
    if target.unlabelled != "train":
        prints.append(oracle.fingerprint(masks=False))
    prints += [domain.classes_read for domain in (source, target) if domain.classes_read]
    oracle_set = oracle if labels else None
    known_by = digest(prints)
    return Datasets(tuple(named.classes), labelled, adapt, oracle_set, known_by, named.palette)  # type: ignore[arg-type]


def agreed(source: Sequence[str], target: Sequence[str]) -> None:
    """Raises CycadaError where both domains have classes and they are not the same ones in the same order."""
    if not source or not target or tuple(source) == tuple(target):
        return
    lacking = [("source", name) for name in target if name not in source] + [
        ("target", name) for name in source if name not in target
    ]
    where = "; ".join(f"the {side} lacks '{name}'" for side, name in lacking[:5]) or "their order differs"
    raise CycadaError(
        f"data: the source has the classes {list_some(source)}, the target {list_some(target)}; they must agree ({where})."
    )


def scene_domain(spec: Spec, side: str) -> SceneDomain:
    """The domain that a config names for a side."""
    entry = scene_domains[spec.name]
    return entry(**check_options(entry, spec.options, f"data.{side}"))


def image_domain(spec: Spec, side: str) -> Domain:
    """The domain with one label an image that a config names for a side."""
    return domains[spec.name](**check_options(domains[spec.name], spec.options, f"data.{side}"))


def _converted(raw: ImageDataset, data: Data, device: Device) -> ImageDataset:
    images = convert(raw.images, shapes_of(data.size)["source"], data.channels, data.resize)
    labels = None if raw.labels is None else raw.labels.to(device.torch_device)
    origin = replace(raw.origin, stored=f"{raw.images.shape[3]} x {raw.images.shape[2]}")
    return ImageDataset(images.to(device.torch_device), labels, origin)


def prepared_domain(
    config: Config, plans: Sequence[StagePlan], side: str, source_classes: tuple[str, ...] = ()
) -> Domain:
    """The domain of a side that knows what the experiment asks for: the target's training labels are wanted by an oracle alone."""
    domain = image_domain(config.data.source if side == "source" else config.data.target, side)
    labels = side == "source" or any(p.method.supervision == "target" for p in plans)
    prepare_domain(domain, Wanted(config.shapes()[side][0], config.data.resize, labels, source_classes), side)
    return domain


def network(spec: Spec, kind: str, context: Mapping[str, Any], where: str) -> nn.Module:
    """A fresh network. The factory's positional parameters are filled from `context`, its options from the spec."""
    factory = NETWORKS[kind][spec.name]
    options = check_options(factory, spec.options, where)
    return factory(*(context[name] for name in needs(factory)), **options)


def build_networks(
    config: Config, plan: StagePlan, classes: int, device: Device, starts: Mapping[str, Weights]
) -> Networks:
    """All networks of a stage, each initialised from (seed, role) alone, so that an ablation that drops one network

    leaves the others as they were; then loaded from `starts` (role -> weights) where given.
    """
    data = config.data
    window = config.window(plan.stage)
    context: dict[str, Any] = {"size": min(window), "shape": window}
    channels = {
        role: data.channels * (2 if role in plan.method.tensors.takes_image_pairs else 1)
        for role in (*plan.specs, *plan.pools)
    }
    roles: dict[str, nn.Module] = {}
    for role in sorted(
        plan.specs, key=lambda r: kind_of(r) in ("d_feat", "h")
    ):  # last: they look into f and g
        kind = kind_of(role)
        if not classes and kind in ("f", HEAD) and role not in plan.method.tensors.feature_extractors:
            raise CycadaError(
                f"stages.{plan.name}: '{plan.stage.method}' needs a classifier ({role}), but the domains have no classes."
            )
        whole = kind == "pair_d" and is_segmentation(
            config
        )  # it names whole images, which scenes are not labelled as
        context |= {"image_channels": channels[role], "classes": 0 if whole else classes}
        if kind == "d_feat":
            width = int(roles["f_t"].width)  # type: ignore[arg-type]
            context["inputs"] = {"features": width, "product": classes * width}.get(
                plan.options.critic_input, classes
            )
        if kind == "h":
            context["widths"] = getattr(roles[role.replace("h", "g", 1)], "widths", ())
        torch.manual_seed(seed_of(config.seed, "init", role))
        net = network(plan.specs[role], "f" if kind == HEAD else kind, context, f"networks.{kind}")
        if kind == HEAD:
            net = submodule(net, "head", role)
        multiple = int(getattr(net, "multiple_of", 1))
        key = f"stages.{plan.name}.size" if plan.stage.size else "data.size"
        for where, shape in (
            *((key, shape) for shape in config.shapes(plan.stage).values()),
            (f"stages.{plan.name}.crop", window),
            ("evaluation.window", plan.evaluation.window or window),
        ):
            if shape[0] % multiple or shape[1] % multiple:
                found = shape[0] if isinstance(data.size, int) and where == "data.size" else list(shape)
                raise CycadaError(
                    f"networks.{kind}: '{plan.specs[role].name}' needs {where} to be divisible by {multiple}; it is {found}."
                )
        if role in starts:
            load_weights(net, starts[role], f"stages.{plan.name}.init.{role}")
        roles[role] = Frozen(net) if role in plan.frozen else net
    for role in plan.pools:
        roles[role] = ImagePool(plan.options.pool, (channels[role], *window))
    nets = Networks(roles).to(device.torch_device)
    device.broadcast(nets.children())
    if plan.stage.compile:
        for role, net in nets.named_children():
            if kind_of(role) in ("g", "d"):
                net.compile()
    return nets


def load_weights(net: nn.Module, weights: Weights, where: str) -> None:
    """Raises CycadaError where they do not fit."""
    try:
        net.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CycadaError(
            f"{where}: the weights do not fit the network. {' '.join(str(error).split())[:500]}"
        ) from None


def weights_from_file(start: str, where: str) -> dict[str, Tensor]:
    """`PATH#ROLE` -> the role's part of a weights.safetensors. Raises CycadaError."""
    path, _, role = start.partition("#")
    file = typed(path, Home, where)
    try:
        everything = load_file(file)
    except Exception as error:
        raise CycadaError(f"{where}: cannot read {path} ({error}).") from None
    return pick(everything, role, f"{where}: {path}")


def pick(everything: Weights, role: str, where: str) -> dict[str, Tensor]:
    """The tensors `ROLE.*` of a weights file, without the prefix. Raises CycadaError."""
    part = {key[len(role) + 1 :]: value for key, value in everything.items() if key.startswith(f"{role}.")}
    if not part:
        raise CycadaError(
            f"{where} holds no network '{role}'. It has: {', '.join(sorted({k.split('.')[0] for k in everything}))}."
        )
    return part


def build_training(
    config: Config, plan: StagePlan, datasets: Datasets, device: Device, starts: Mapping[str, Weights],
    translate_once: TranslateOnce | None = None,
) -> TrainState:  # fmt: skip
    """Everything that moves, at step 0. datasets: at the size of this stage. translate_once: how, for a stage that says

    `translate: once`.
    """
    stage = plan.stage
    check_labels(plan, datasets)
    source: ImageDataset | ResizedDataset | PairedDataset = _loaded(
        training_source(plan, datasets), config, plan, plan.method.supervision
    )
    nets = build_networks(config, plan, len(datasets.classes), device, starts)
    once, paired = stage.translate == "once", plan.asks_for("pair_t") is not None
    if once:
        assert translate_once
        assert not isinstance(source, PairedDataset)
        source = translate_once(nets.g_st, source)
    elif paired:
        assert isinstance(source, ResizedDataset)
        source = PairedDataset(source, true_translations(plan, datasets).resized_to(source.size))

    ema = {
        role: ModelEmaV3(nets.get_submodule(role), decay=decay, use_warmup=True)
        for role, decay in stage.ema.items()
    }
    if plan.has_teacher:
        nets.add_module(TEACHER, Frozen(ema["f_t"].module))

    optimizers = {
        p.name: optimizer(p.optimizer, submodules(p.trains, nets), p.name)
        for p in plan.phases
        if not p.shares_optimizer_of
    }

    def stream(
        examples: ImageDataset | ResizedDataset | PairedDataset, name: Literal["source", "target"]
    ) -> Stream | SceneStream:
        if not isinstance(examples, ImageDataset):
            flip = stage.augment is not None and stage.augment.flip
            crops = Crops(
                examples, config.window(stage), seed_of(config.seed, name), flip=flip, area=stage.crop_area
            )
            return SceneStream(
                crops, stage.batch, device.torch_device, config.data.workers, device.rank, device.world
            )
        return Stream(examples, stage.batch, seed_of(config.seed, name), device.rank, device.world)

    def schedule_of(phase: ResolvedPhase) -> Schedule:
        return Schedule(**(phase.schedule or stage.schedule).model_dump())

    return TrainState(
        nets=nets,
        phases=[
            Phase(
                p.name,
                p.trains,
                p.terms,
                optimizers[p.shares_optimizer_of or p.name],
                p.every,
                p.repeat,
                schedule_of(p),
            )
            for p in plan.phases
        ],
        tensors=plan.method.tensors,
        options=plan.options,
        source=stream(source, "source"),
        target=stream(_loaded(datasets.target["train"], config, plan, "target"), "target")
        if plan.needs_target
        else None,
        steps=stage.steps,
        device=device,
        seed=config.seed,
        precision=stage.precision,
        augment={} if is_segmentation(config) else _augment(plan),
        ema=ema,
        partner_name="fake_t" if once else "pair_t" if paired else None,
    )


def training_source(plan: StagePlan, datasets: Datasets) -> ImageDataset | ResizedDataset:
    """What a stage learns from as its source: an oracle, the labelled target."""
    return (
        datasets.oracle
        if plan.method.supervision == "target" and datasets.oracle
        else datasets.source["train"]
    )


def true_translations(plan: StagePlan, datasets: Datasets) -> ResizedDataset:
    """What the source's training scenes truly look like in the target domain, in order. Raises CycadaError where nobody knows."""
    source, target = training_source(plan, datasets), datasets.target["train"]
    found = (
        source.true_translation(target)
        if isinstance(source, ResizedDataset) and isinstance(target, ResizedDataset)
        else None
    )
    if found is None:
        raise CycadaError(
            f"stages.{plan.name}: the loss {plan.asks_for('pair_t')} needs the true translation of every source image, which these "
            f"domains do not have. Use 'paired' for both, showing the two sides of the same folders, or 'streets'."
        )
    return found


def _loaded(examples: ImageDataset | ResizedDataset, config: Config, plan: StagePlan, side: str) -> Any:
    """SegmentationDataset at the size from which windows are cut."""
    return (
        examples.resized_to(config.loads(plan.stage)[side])
        if isinstance(examples, ResizedDataset)
        else examples
    )


def check_labels(plan: StagePlan, datasets: Datasets) -> None:
    """Raises CycadaError where a loss needs labels that the training images of a stage do not have."""
    source = training_source(plan, datasets)
    labelled = source.labelled if isinstance(source, ResizedDataset) else source.labels is not None
    if not labelled and (term := plan.asks_for("label_s")):
        raise CycadaError(
            f"stages.{plan.name}: the loss {term} needs labels, and the {plan.method.supervision}'s training images have none. Give each "
            f"class a folder, the .npz file an array 'labels', scenes their masks; or set stages.{plan.name}.losses.{term}=0."
        )


def _augment(plan: StagePlan) -> dict[str, Augment]:
    if plan.stage.augment is None:
        return {}
    settings = plan.stage.augment.model_dump()
    on = settings.pop("domains")
    return {side: Augment(**settings) if on in ("both", side) else Augment() for side in ("source", "target")}
