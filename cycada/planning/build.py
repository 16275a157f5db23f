"""From a checked plan, datasets and networks to the state of a training at step 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.data import Augment, BatchStream, ImageSet, StreamSettings
from cycada.methods import CLASS_SHARES, FEATURE_QUEUE, TEACHER
from cycada.networks import Frozen, kind_of
from cycada.planning.auto_compile import COMPILED_KINDS
from cycada.planning.datasets import Datasets, build_domain, check_same_classes, load_datasets
from cycada.planning.networks import (
    Weights,
    build_network,
    build_networks,
    load_weights,
    select_role_weights,
    spec_from_scratch,
    weights_from_file,
)
from cycada.planning.stage_plan import ResolvedPhase, StagePlan
from cycada.train.compiling import compile_network
from cycada.train.device import Device, seed_of
from cycada.train.loop import TrainState
from cycada.train.moving_average import MovingAverage
from cycada.train.optimizers import build_optimizer
from cycada.train.schedule import Schedule
from cycada.train.step import Phase, submodules

__all__ = [
    "Datasets",
    "TranslateOnce",
    "Weights",
    "build_domain",
    "build_network",
    "build_networks",
    "build_training",
    "check_labels",
    "check_same_classes",
    "load_datasets",
    "load_weights",
    "select_role_weights",
    "spec_from_scratch",
    "training_source",
    "true_translations",
    "weights_from_file",
]


TranslateOnce = Callable[[nn.Module, ImageSet], ImageSet]
"""Function from g_st and the source's training images to these images with their translations."""


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
    if FEATURE_QUEUE in nets:
        nets.pool_features.limit(max(0, len(datasets.target["train"]) - stage.batch * device.world))
    if CLASS_SHARES in nets:
        labels = source.image_labels
        assert labels is not None  # the losses that use the shares need labels of whole images
        nets.pool_shares.count_source(labels)
    once, paired = stage.translate == "once", plan.asks_for("pair_t") is not None
    if once:
        assert translate_once
        source = translate_once(nets.g_st, source)
    elif paired:
        source = source.with_partner(true_translations(plan, datasets).resized_to(source.size))

    if stage.compile:
        for role, net in nets.named_children():
            if kind_of(role) in COMPILED_KINDS:
                compile_network(net)
    ema = {role: MovingAverage(nets.get_submodule(role), decay) for role, decay in stage.ema.items()}
    if plan.has_teacher:
        nets.add_module(TEACHER, Frozen(ema["f_t"].module))

    optimizers = {
        p.name: build_optimizer(p.optimizer, submodules(p.trains, nets), p.name)
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
