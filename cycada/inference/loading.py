"""From a run or an export to what is used: a predictor of classes, or a translator of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from cycada.config.schema import Config
from cycada.core.errors import CycadaError, shown
from cycada.core.progress import Progress
from cycada.data import domains, segmentation_domains
from cycada.data.preprocess import Preprocess
from cycada.evaluation.scoring import build_classifiers
from cycada.evaluation.target_statistics import refuse_target_statistics
from cycada.evaluation.test_time_augmentation import tta
from cycada.inference.export_format import Exported, Role, read_export
from cycada.inference.predictor import Predictor
from cycada.inference.translator import Translator, load_generator
from cycada.methods import Networks, classify_by
from cycada.networks import Frozen
from cycada.planning.plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.runs.reuse import find_stage, load_stage, stored_classes, trained_networks
from cycada.storage.exports import is_export
from cycada.storage.store import RunFolder
from cycada.train.device import Device, Precision

if TYPE_CHECKING:
    from cycada.inference.hub import HubModel

ROLES: tuple[Role, ...] = ("f_t", "g_st", "g_ts")


def load_model(
    what: Path | str | HubModel,
    network: Role | None = None,
    *,
    results: Path | str = "results",
    device: str | torch.device | None = None,
    precision: Precision | None = None,
) -> Predictor | Translator:
    """Load a trained network from a run or an export, with the reading of pictures that belongs to it.

    Args:
        what: A run folder, the beginning of a run's id, the name of an experiment (its last stage that has
            the network), a folder or a file of `cycada export`, or a `HubModel`.
        network: `f_t`, the classifier or segmenter, `g_st` or `g_ts`, the generators; the default is what the
            stage is for. An export has one.
        results: The folder of the runs.
        device: `auto`, `cpu` or `cuda`; the run's own where it is not given.
        precision: `fp32` or `bf16`. The default for a run is that of its scores, so that they agree; for an
            export it is fp32, as in ONNX.

    Returns:
        A `Predictor`, which has `classes`, `preprocess`, `predict` and the plain module `net`; for a
        generator a `Translator`, whose `predict` translates.

    Raises:
        CycadaError: There is no such run or export, or it does not have this network.
    """
    if network is not None and network not in ROLES:
        raise CycadaError(f"network: found {shown(network)}, expected one of {', '.join(ROLES)}.")
    if precision not in (None, "fp32", "bf16"):
        raise CycadaError(f"precision: found {shown(precision)}, expected fp32 or bf16.")
    if not isinstance(what, (str, Path)):
        if not (hasattr(what, "net") and hasattr(what, "about")):
            raise CycadaError(
                f"Found a {type(what).__name__}, expected a run folder, an id, the name of an experiment, an "
                "export or a HubModel."
            )
        return _from_export(what.net, what.about, device, precision)
    if is_export(Path(what)):
        net, about = read_export(Path(what))
        if network not in (None, about.role):
            raise CycadaError(
                f"{what}: found the network '{about.role}' only, not '{network}'. Export that one, too, or "
                "name the run."
            )
        return _from_export(net, about, device, precision)
    folder = find_stage(what, results, network)
    config, stage = load_stage(folder)
    role = network or find_main_role(stage)
    if role != "f_t":
        return load_generator(folder.path, "st" if role == "g_st" else "ts", results, device)
    return predictor_of(
        folder, config, stage, Device.find(config.device if device is None else device), precision
    )


def find_main_role(stage: StagePlan) -> Role:
    """Return the network that a stage is for: f_t where the stage trains it, else its generator, if any."""
    learning = {role for phase in stage.phases for role in phase.roles}
    if "f_t" not in learning:
        for role in ROLES[1:]:
            if role in stage.specs:
                return role
    return "f_t" if "f_t" in stage.specs else "g_st"


def class_names(folder: RunFolder) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Return the classes of a finished stage and, of a segmenter, their colours.

    Raises:
        CycadaError: An older version did not store them.
    """
    arrays = folder.arrays("analysis.npz")
    palette = arrays["palette"].tolist() if "palette" in arrays else []
    return stored_classes(folder), tuple((r, g, b) for r, g, b in palette)


def predicts_masks(config: Config) -> bool:
    """Return whether the networks of an experiment predict a class for each pixel.

    Predictions are read, written and described in other ways then, which is why this room has to ask.
    """
    return task_of(config).name == "segmentation"


def build_preprocess(config: Config, stage: StagePlan) -> Preprocess:
    """Return how the target's test images were read for the scores of a stage."""
    name, size = config.data.target.name, config.shapes(stage.stage)["target"]
    if predicts_masks(config):
        upright = segmentation_domains[name].reads_upright
        return Preprocess(size, config.data.channels, "bilinear", "scene", upright)
    fit = "crop" if domains[name].crops_to_size else "whole"
    # mypy takes `fit` for any str.
    return Preprocess(size, config.data.channels, config.data.resize, fit)  # type: ignore[arg-type]


def mask_values_of(config: Config, classes: Sequence[str]) -> tuple[int | tuple[int, int, int], ...]:
    """Return what stands for each class in the target's mask files; the class's number where it is not known.

    It is not known where the file that defines it is not on this machine, or has other classes by now, which
    is warned of.

    Args:
        config: The config of the run.
        classes: The names of the run's classes, by which the values are looked up.
    """
    domain = task_of(config).domain(config.data.target, "target")
    try:
        found = domain.mask_values(config.data.resolved_root())  # a folder's classes are known after it
        values = dict(zip(domain.classes, found, strict=True))
        if set(domain.classes) != set(classes):
            raise CycadaError(
                f"The classes of {config.data.target.name} are {', '.join(domain.classes)} by now, and the "
                f"run was trained with {', '.join(classes)}."
            )
    except CycadaError as error:
        Progress(quiet=True).warn(
            f"Masks hold the classes' numbers, 0 to {len(classes) - 1}, not the domain's: {error}"
        )
        return tuple(range(len(classes)))
    return tuple(values[name] for name in classes)


def predictor_of(
    folder: RunFolder, config: Config, stage: StagePlan, device: Device, precision: Precision | None = None
) -> Predictor:
    """Return the classifier of a finished stage as it is scored on its target.

    Args:
        folder: The run folder.
        config: The config of the run.
        stage: The plan of the stage.
        device: Where to compute.
        precision: The precision; None for that of the stage.

    Raises:
        CycadaError: The stage has no classifier, or is scored by statistics that are not stored.
    """
    refuse_target_statistics(stage)
    classes, palette = class_names(folder)
    nets = trained_networks(folder, config, stage, len(classes), device).eval()
    classifiers = build_classifiers(stage, nets)
    if "target" not in classifiers:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier of the target. "
            "Name a stage that has f_t, or translate pictures with: cycada translate"
        )
    segmentation = predicts_masks(config)
    return Predictor(
        classifiers["target"],
        classes,
        build_preprocess(config, stage),
        segmentation,
        device,
        precision or stage.stage.precision,
        folder.id,
        _plain(nets),
        palette,
        mask_values_of(config, classes) if segmentation else (),
    )


def _plain(nets: Networks) -> nn.Module | None:
    """Return f_t without the wrapper of a frozen network; None where there is none."""
    if "f_t" not in nets:
        return None
    net: nn.Module = nets.get_submodule("f_t")
    return net.net if isinstance(net, Frozen) else net


def _from_export(
    net: nn.Module, about: Exported, device: str | torch.device | None, precision: Precision | None
) -> Predictor | Translator:
    """Return an exported network on its device."""
    where = Device.find("auto" if device is None else device)
    net = net.to(where.torch_device).eval()
    if about.translates:
        assert about.direction is not None  # every generator has one
        return Translator(
            net, about.channels, about.size, about.resize, about.direction, about.run, where.torch_device
        )
    return Predictor(
        tta(classify_by(net), **about.evaluation),
        about.classes,
        about.preprocess,
        about.segmentation,
        where,
        precision or "fp32",
        about.run,
        net,
        about.palette,
        about.mask_values,
    )
