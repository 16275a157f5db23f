"""From a checked plan to data, networks and a training state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cycada.config.schema import Config, Spec, Stage, digest
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError, list_some
from cycada.core.registry import check_options, needs, typed
from cycada.core.sizes import shapes_of
from cycada.data import (
    Augment,
    BatchStream,
    Domain,
    ImageSet,
    ResizedDataset,
    Split,
    StreamSettings,
)
from cycada.data.domain import Wanted
from cycada.data.image_set import Task
from cycada.data.scenes import Palette, SegmentationDataset
from cycada.methods import TEACHER, Networks
from cycada.networks import HEAD, NETWORKS, Frozen, ImagePool, kind_of
from cycada.planning.plan import ResolvedPhase, StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device, seed_of
from cycada.train.loop import TrainState
from cycada.train.optimizers import optimizer
from cycada.train.schedule import Schedule
from cycada.train.step import Phase, submodule, submodules

Weights = Mapping[str, Tensor]
TranslateOnce = Callable[[nn.Module, ImageSet], ImageSet]
"""Function from g_st and the source's training images to these images with their translations."""


@dataclass(frozen=True)
class Datasets:
    """Both domains' datasets, at the size that networks see.

    The target's training labels are dropped here, unless a stage is an oracle.

    Attributes:
        classes: Names of the classes, in order; empty if neither domain has labels.
        source: Split to the labelled source set. A segmentation source may lack `test`, and is then not
            scored.
        target: Split to the target set; its training set has no labels.
        oracle: The target's training set with labels, if a stage is an oracle, else None.
        fingerprint: Hash of all images and of all labels that may be used; part of stage ids.
        palette: A colour for each class of masks; empty for image-level labels.
    """

    classes: tuple[str, ...]
    source: Mapping[Split, ImageSet]
    target: Mapping[Split, ImageSet]
    oracle: ImageSet | None
    fingerprint: str
    palette: Palette = ()

    def resized_to(self, config: Config, stage: Stage) -> Datasets:
        """Return the same datasets with segmentation images at the size of a stage."""
        shapes = config.shapes(stage)

        source, target = (
            {split: dataset.resized_to(shapes[side]) for split, dataset in getattr(self, side).items()}
            for side in ("source", "target")
        )
        oracle = None if self.oracle is None else self.oracle.resized_to(shapes["target"])
        return replace(self, source=source, target=target, oracle=oracle)

    @property
    def task(self) -> Task:
        """What the labels are for."""
        return self.target["test"].task


def load_datasets(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets of an experiment: read, checked, converted, and moved to the device.

    Segmentation datasets stay on the CPU; their images are read when they are needed.

    Args:
        config: The experiment.
        plans: Its stages, which say whether an oracle needs the target's labels.
        device: Where image datasets are kept.

    Raises:
        CycadaError: Data are missing or unsound, or the domains have different classes.
    """
    return LOADERS[task_of(config).name](config, plans, device)


def _load_images(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets with image-level labels, which are kept on the device where they fit."""
    data = config.data
    hasher = hashlib.blake2b(digest_size=8)
    datasets: dict[tuple[str, str], ImageSet] = {}
    sides: dict[str, Domain] = {}
    for side in ("source", "target"):
        sides[side] = domain = prepared_domain(config, plans, side, sides["source"].classes if sides else ())
        for split in ("train", "test"):
            raw = domain.load(data.resolved_root(), split, data.download)
            raw.hash_into(hasher, labels=side == "source" or split == "test")
            datasets[side, split] = raw.converted(
                data.channels, shapes_of(data.size)["source"], data.resize, device.torch_device
            )
        if domain.classes_from_files:
            hasher.update("\n".join(domain.classes).encode())
    source, target = sides["source"], sides["target"]
    check_same_classes(source.classes, target.classes)
    oracle = datasets["target", "train"] if any(p.method.supervision == "target" for p in plans) else None
    return Datasets(
        source.classes,
        {"train": datasets["source", "train"], "test": datasets["source", "test"]},
        {"train": datasets["target", "train"].without_labels(), "test": datasets["target", "test"]},
        oracle,
        hasher.hexdigest(),
    )


def _load_segmentation(config: Config, plans: list[StagePlan], device: Device) -> Datasets:
    """Return the datasets with masks, which are resized for training and at full resolution for tests."""
    data, root = config.data, config.data.resolved_root()

    def resize(
        dataset: SegmentationDataset, side: str, full_resolution_masks: bool = False
    ) -> ResizedDataset:
        resized = ResizedDataset(dataset, config.shapes()[side], full_resolution_masks)
        return ResizedDataset(
            dataset,
            resized.size,
            full_resolution_masks,
            cache=resized.megabytes() <= data.hold and not data.workers,
        )

    source, target = (prepared_domain(config, plans, side) for side in ("source", "target"))
    source_sets = {"train": resize(source.load(root, "train"), "source")}
    if "test" in source.splits:
        source_sets["test"] = resize(source.load(root, "test"), "source", full_resolution_masks=True)
    images = target.images(root, target.unlabelled)
    target_sets = {
        "train": resize(images, "target"),
        "test": resize(target.load(root, "test"), "target", full_resolution_masks=True),
    }
    labels = any(p.method.supervision == "target" for p in plans)
    check_same_classes(source.classes, target.classes)
    named = source if source.classes else target
    prints = [dataset.fingerprint(labels=True) for dataset in source_sets.values()] + [
        dataset.fingerprint(dataset.labelled) for dataset in target_sets.values()
    ]
    oracle = resize(target.load(root, "train") if labels else target.images(root, "train"), "target")
    if target.unlabelled != "train":
        prints.append(oracle.fingerprint(labels=False))
    prints += [domain.classes_read for domain in (source, target) if domain.classes_read]
    return Datasets(
        tuple(named.classes),
        # mypy takes the keys of both dicts for any str.
        source_sets,  # type: ignore[arg-type]
        target_sets,  # type: ignore[arg-type]
        oracle if labels else None,
        digest(prints),
        named.palette,
    )


LOADERS: Mapping[Task, Callable[[Config, list[StagePlan], Device], Datasets]] = {
    "classification": _load_images,
    "segmentation": _load_segmentation,
}
"""Function that loads the datasets of an experiment, for each task."""


def check_same_classes(source: Sequence[str], target: Sequence[str]) -> None:
    """Check that two domains which both have classes have the same ones in the same order.

    Raises:
        CycadaError: They differ; the message names the classes that each domain lacks.
    """
    if not source or not target or tuple(source) == tuple(target):
        return
    lacking = [("source", name) for name in target if name not in source] + [
        ("target", name) for name in source if name not in target
    ]
    where = "; ".join(f"the {side} lacks '{name}'" for side, name in lacking[:5]) or "their order differs"
    raise CycadaError(
        f"data: the source has the classes {list_some(source)}, the target {list_some(target)}; they must "
        f"be the same, in the same order ({where})."
    )


def prepared_domain(
    config: Config, plans: Sequence[StagePlan], side: str, source_classes: tuple[str, ...] = ()
) -> Any:
    """Return the source or target domain, told what the experiment needs of it before it reads any data.

    Args:
        config: The experiment.
        plans: Its stages; only an oracle among them needs the target's training labels.
        side: `source` or `target`.
        source_classes: For the target, the class names of the source.

    Raises:
        CycadaError: An option is unknown or of another type.
    """
    task = task_of(config)
    domain = task.domain(config.data.source if side == "source" else config.data.target, side)
    labels = side == "source" or any(p.method.supervision == "target" for p in plans)
    data = config.data
    memory = 0 if data.workers else data.hold  # workers read files, so that there have to be files
    wanted = Wanted(config.shapes()[side][0], data.resize, labels, source_classes, memory)
    task.prepare(domain, wanted, side)
    return domain


def network(spec: Spec, kind: str, context: Mapping[str, Any], where: str) -> nn.Module:
    """Return a new network.

    Args:
        spec: Its architecture and options.
        kind: Its kind, a key of `NETWORKS`.
        context: Values for the positional parameters of the architecture, such as `classes`.
        where: Path in the config for messages.

    Raises:
        CycadaError: The architecture or an option is unknown, or an option is of another type.
    """
    factory = NETWORKS[kind][spec.name]
    options = check_options(factory, spec.options, where)
    return factory(*(context[name] for name in needs(factory)), **options)


def build_networks(
    config: Config, plan: StagePlan, classes: int, device: Device, starts: Mapping[str, Weights]
) -> Networks:
    """Return all networks of a stage.

    Each network's initial weights depend on the seed and its role alone, so that an ablation without one
    network leaves the others unchanged.

    Args:
        config: The experiment.
        plan: The stage.
        classes: Number of classes; 0 if the domains have no labels.
        device: Where the networks are kept.
        starts: Role to the weights that replace the initial ones.

    Raises:
        CycadaError: An image size does not suit a network, weights do not fit, or a classifier has no
            classes.
    """
    data = config.data
    window = config.window(plan.stage)
    context: dict[str, Any] = {"size": min(window), "shape": window}
    channels = {
        role: data.channels * (2 if role in plan.method.tensors.takes_image_pairs else 1)
        for role in (*plan.specs, *plan.pools)
    }
    roles: dict[str, nn.Module] = {}
    # d_feat and h come last, since they depend on the widths of f and g.
    for role in sorted(plan.specs, key=lambda r: kind_of(r) in ("d_feat", "h")):
        kind = kind_of(role)
        if not classes and kind in ("f", HEAD) and role not in plan.method.tensors.feature_extractors:
            raise CycadaError(
                f"stages.{plan.name}: '{plan.stage.method}' needs a classifier ({role}), but the domains "
                f"have no classes."
            )
        # A pair discriminator classifies images by image-level labels, which segmentation data lack.
        known_classes = task_of(config).image_classes(classes) if kind == "pair_d" else classes
        context |= {"image_channels": channels[role], "classes": known_classes}
        if kind == "d_feat":
            width = int(roles["f_t"].width)  # type: ignore[arg-type] # every task network has one
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
                    f"networks.{kind}: '{plan.specs[role].name}' needs {where} to be divisible by "
                    f"{multiple}; it is {found}."
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
    """Load weights into a network.

    Args:
        net: The network.
        weights: Its whole state dict.
        where: Path in the config for messages.

    Raises:
        CycadaError: Names or shapes differ from those of the network.
    """
    try:
        net.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CycadaError(
            f"{where}: the weights do not fit the network. {' '.join(str(error).split())[:500]}"
        ) from None


def weights_from_file(start: str, where: str) -> dict[str, Tensor]:
    """Return the weights of one network in a safetensors file.

    Args:
        start: `PATH#ROLE`.
        where: Path in the config for messages.

    Raises:
        CycadaError: The file cannot be read, or holds no network of this role.
    """
    path, _, role = start.partition("#")
    file = typed(path, Home, where)
    try:
        everything = load_file(file)
    except Exception as error:
        raise CycadaError(f"{where}: cannot read {path} ({error}).") from None
    return pick(everything, role, f"{where}: {path}")


def pick(everything: Weights, role: str, where: str) -> dict[str, Tensor]:
    """Return the tensors `ROLE.*` of a weights file, without the prefix in their names.

    Args:
        everything: All tensors of the file.
        role: The role.
        where: What an error message begins with.

    Raises:
        CycadaError: There is no tensor of this role.
    """
    weights = {key[len(role) + 1 :]: value for key, value in everything.items() if key.startswith(f"{role}.")}
    if not weights:
        raise CycadaError(
            f"{where} holds no network '{role}'. It has: "
            f"{', '.join(sorted({k.split('.')[0] for k in everything}))}."
        )
    return weights


def build_training(
    config: Config,
    plan: StagePlan,
    datasets: Datasets,
    device: Device,
    starts: Mapping[str, Weights],
    translate_once: TranslateOnce | None = None,
) -> TrainState:
    """Return the state of a stage's training at step 0.

    Args:
        config: The experiment.
        plan: The stage.
        datasets: The data, at the size of this stage.
        device: Where to train.
        starts: Role to the weights that its network starts from.
        translate_once: How to translate the source before training, in a stage with `translate: once`.

    Raises:
        CycadaError: The data, the weights or the networks do not suit the stage.
    """
    stage = plan.stage
    check_labels(plan, datasets)
    sizes = config.loads(stage)
    source = training_source(plan, datasets).resized_to(sizes[plan.method.supervision])
    nets = build_networks(config, plan, len(datasets.classes), device, starts)
    once, paired = stage.translate == "once", plan.asks_for("pair_t") is not None
    if once:
        assert translate_once
        source = translate_once(nets.g_st, source)
    elif paired:
        source = source.with_partner(true_translations(plan, datasets).resized_to(source.size))

    ema = _moving_averages(stage.ema, nets)
    if plan.has_teacher:
        nets.add_module(TEACHER, Frozen(ema["f_t"].module))

    optimizers = {
        p.name: optimizer(p.optimizer, submodules(p.trains, nets), p.name)
        for p in plan.phases
        if not p.shares_optimizer_of
    }

    def stream(dataset: ImageSet, side: str) -> BatchStream:
        return dataset.stream(
            StreamSettings(
                stage.batch,
                seed_of(config.seed, side),
                device.torch_device,
                _augment(plan, side),
                config.window(stage),
                stage.crop_area,
                config.data.workers,
                device.rank,
                device.world,
            )
        )

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
        target=stream(datasets.target["train"].resized_to(sizes["target"]), "target")
        if plan.needs_target
        else None,
        steps=stage.steps,
        device=device,
        seed=config.seed,
        precision=stage.precision,
        ema=ema,
        partner_name="fake_t" if once else "pair_t" if paired else None,
    )


def _moving_averages(decays: Mapping[str, float], nets: Networks) -> dict[str, Any]:
    """Return timm's moving average of each network with a decay, by role."""
    if not decays:
        return {}
    from timm.utils.model_ema import ModelEmaV3  # takes a second to import, and few stages have an average

    return {
        role: ModelEmaV3(nets.get_submodule(role), decay=decay, use_warmup=True)
        for role, decay in decays.items()
    }


def training_source(plan: StagePlan, datasets: Datasets) -> ImageSet:
    """Return the labelled training set of a stage: the source's, or for an oracle the target's."""
    return (
        datasets.oracle
        if plan.method.supervision == "target" and datasets.oracle
        else datasets.source["train"]
    )


def true_translations(plan: StagePlan, datasets: Datasets) -> ImageSet:
    """Return the true translations of the source's training images into the target domain, in the same order.

    Raises:
        CycadaError: The domains are not paired, so that no true translations are known.
    """
    source, target = training_source(plan, datasets), datasets.target["train"]
    translations = source.true_translation(target)
    if translations is None:
        raise CycadaError(
            f"stages.{plan.name}: the loss {plan.asks_for('pair_t')} needs the true translation of every "
            f"source image, which these domains do not have. Use 'paired' for both, showing the two sides of "
            f"the same folders, or 'streets'."
        )
    return translations


def check_labels(plan: StagePlan, datasets: Datasets) -> None:
    """Check that the training images of a stage have the labels that its losses need.

    Raises:
        CycadaError: They have none; the message names the loss.
    """
    if not training_source(plan, datasets).labelled and (term := plan.asks_for("label_s")):
        raise CycadaError(
            f"stages.{plan.name}: the loss {term} needs labels, and the {plan.method.supervision}'s training "
            f"images have none. Give each class a folder, the .npz file an array 'labels', or each "
            f"image a mask; or set stages.{plan.name}.losses.{term}=0."
        )


def _augment(plan: StagePlan, side: str) -> Augment | None:
    """Return the augmentation of a domain's training images, or None."""
    if plan.stage.augment is None or plan.stage.augment.domains not in ("both", side):
        return None
    return Augment(**plan.stage.augment.model_dump(exclude={"domains"}))
