"""Measurement of the image quality of a finished stage's translations.

It is no part of a stage: it is measured afterwards on test images and written into the run folder as
quality.json; what is there is not measured again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from cycada.config.schema import Config
from cycada.core.errors import CycadaError, list_some
from cycada.core.files import warn_if_read_only
from cycada.core.progress import Progress
from cycada.data import ImageSet, to_bytes, to_float
from cycada.data.image_set import evenly_spaced
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scores import flatten_measurements
from cycada.evaluation.tasks import EVALUATIONS
from cycada.image_quality.metrics import (
    DIRECTIONS,
    Batch,
    Distances,
    FcnScore,
    LabelScore,
    Pixels,
    Side,
    StreamingMetric,
)
from cycada.image_quality.scorers import Extractor, Scorer, find_extractor, find_scorer
from cycada.methods import Translate
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, trained_networks
from cycada.storage.measurements import FILE, FORMAT, measured
from cycada.storage.store import RunFolder
from cycada.tracking.class_names import with_class_names
from cycada.tracking.open_tracker import open_tracker
from cycada.train.device import Device

PART = 100
"""The number of small images in a batch."""


def quality(
    run: Path | str,
    scorer: str | Path | None = None,
    extractor: str | Path | None = None,
    data_root: Path | None = None,
    results: Path | str = "results",
    screen: Progress | None = None,
) -> dict[str, Any]:
    """Measure the translations of a finished stage on all test images, at the size of the stage.

    What quality.json holds is read and not measured again; what is new also goes to the run's tracker.
    Translations are rounded to 8 bits first, as in a PNG file.

    Args:
        run: A run folder, or the beginning of a run's id.
        scorer: `RUN[#ROLE]`, a classifier of the target's real images, or None for no FCN score.
        extractor: An Inception file, or `RUN[#ROLE]`, or None for no FID, KID or structure distance.
        data_root: The folder of the data, where it is not the run's own.
        results: The folder of the runs.
        screen: Shows the progress; nothing is shown without it.

    Returns:
        experiment, stage, method, label, seed, id, seconds of training, and the measurements: pixels, labels,
        fcn and features, each with its protocol and its values by direction, `st` and `ts`.
        `cycada.image_quality.metrics` says what the values are.

    Raises:
        CycadaError: There is no such run, scorer or extractor, the stage translates nothing, the data are not
            those of the training, or the scorer does not fit.
    """
    folder = find_run(run, results)
    config, stage = load_stage(folder, data_root)
    device = Device.find(config.device)
    networks = (
        find_scorer(str(scorer), results, device) if scorer else None,
        find_extractor(str(extractor), results, device) if extractor else None,
    )
    keys = {"pixels": "pixels", "labels": "labels"} | {
        part: network.key for part, network in zip(("fcn", "features"), networks, strict=True) if network
    }
    stored = measured(folder)
    if missing := {part for part, key in keys.items() if key not in stored}:
        screen = screen or Progress(quiet=True)
        blocks = _measure(folder, config, stage, device, *networks, missing, screen)
        stored = measured(folder) | {keys[part]: block for part, block in blocks.items()}
        with warn_if_read_only(FILE, screen.warn):
            folder.write_json(FILE, {"format": FORMAT, "measured": stored})
            to_tracker = open_tracker(
                config.tracking.kinds, config.tracking.uri, folder.path.parents[1], screen.warn
            )
            values = flatten_measurements({part: stored[key] for part, key in keys.items()})
            classes = [str(name) for name in folder.arrays("analysis.npz").get("classes", ())]
            to_tracker.measured(folder.id, folder.path / FILE, with_class_names(values, classes))
    return {
        "experiment": config.name,
        "stage": stage.name,
        "method": stage.stage.method,
        "label": stage.method.label,
        "seed": config.seed,
        "id": folder.id,
        "seconds": folder.read_json("manifest.json")["seconds"],
    } | {part: stored[key] for part, key in keys.items()}


def _measure(
    folder: RunFolder,
    config: Config,
    stage: StagePlan,
    device: Device,
    scorer: Scorer | None,
    extractor: Extractor | None,
    missing: set[str],
    screen: Progress,
) -> dict[str, Any]:
    """Measure what is missing, in one pass over both domains' test images: every image is translated once."""
    datasets = load_datasets(config, [stage], device).resized_to(config, stage.stage)
    nets = trained_networks(folder, config, stage, len(datasets.classes), device)
    if (before := folder.read_json("manifest.json")["data_fingerprint"]) != datasets.fingerprint:
        raise CycadaError(
            f"{folder.path}: found other data than the stage was trained with (fingerprint "
            f"{datasets.fingerprint}, "
            f"expected {before}). Give the data root that it had."
        )
    translations = stage.method.translations(nets, stage.options)
    if not translations:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) translates nothing, so there is no "
            "quality to measure."
        )
    metrics: dict[str, StreamingMetric] = {"pixels": Pixels()}
    if datasets.palette and "labels" in missing:
        metrics["labels"] = LabelScore(datasets.palette)
    if scorer and "fcn" in missing:
        _check_scorer(folder, scorer, config, datasets)
        metrics["fcn"] = FcnScore(scorer.classify, scorer.size, len(scorer.classes))
    if extractor and "features" in missing:
        metrics["features"] = Distances(extractor.extract)
    sides: dict[Side, Mapping[Any, ImageSet]] = {
        "source": datasets.source,
        "target": datasets.target,
    }
    tested = datasets.test_images
    references = {s: sets["train"] for s, sets in sides.items() if "test" in sets and "features" in metrics}
    modules = [network.net if network else torch.nn.Module() for network in (scorer, extractor)]
    device.seed(config.seed, "quality")
    screen.begin(f"{stage.name}: quality", 0, sum(map(len, tested.values())))
    done = 0
    with eval_mode(nets), eval_mode(modules[0]), eval_mode(modules[1]):
        for side, dataset in tested.items():
            other = tested["target" if side == "source" else "source"]
            for batch in _batches(side, dataset, other, translations.get(DIRECTIONS[side]), stage, device):
                for metric in metrics.values():
                    metric.update(batch)
                screen.update(done := done + len(batch.real), 0.0, {})
        for side, dataset in references.items():
            # as many as the translations that are compared with this domain: both distances grow with fewer
            indices = evenly_spaced(len(dataset), len(tested["target" if side == "source" else "source"]))
            for real, _ in _pictures(dataset, indices, device):
                metrics["features"].update(Batch(side, "train", real))
    screen.end()
    protocol = _protocol(config, stage, datasets, tested)
    networks: Mapping[str, Scorer | Extractor | None] = {"fcn": scorer, "features": extractor}
    blocks = {}
    for part in missing:
        network = networks.get(part)
        values = metrics[part].compute() if part in metrics else {}
        blocks[part] = (
            {"protocol": protocol | ({part: network.protocol} if network else {})} | values
            if values or network
            else {}
        )
    if scorer and "fcn" in missing and not {"st", "real"} & set(blocks["fcn"]):
        raise CycadaError(
            f"{folder.path}: neither the source's nor the target's test images have labels, so the scorer's "
            "predictions cannot be scored."
        )
    return blocks


def _check_scorer(folder: RunFolder, scorer: Scorer, config: Config, datasets: Datasets) -> None:
    """Refuse a scorer whose classes or image channels differ from those of the run."""
    if not datasets.classes:
        raise CycadaError(
            f"{scorer.key}: the data of {folder.path} have no classes, so that a scorer's predictions of its "
            "translations cannot be scored. Leave --scorer out."
        )
    if scorer.classes != tuple(datasets.classes):
        raise CycadaError(
            f"{scorer.key}: found a scorer of the classes {list_some(scorer.classes)}, expected those of "
            f"{folder.path}, "
            f"{list_some(datasets.classes)}."
        )
    if scorer.channels != config.data.channels:
        raise CycadaError(
            f"{scorer.key}: it takes images of {scorer.channels} channels, {folder.path} has "
            f"{config.data.channels}."
        )


def _protocol(
    config: Config, stage: StagePlan, datasets: Datasets, tested: Mapping[Side, ImageSet]
) -> dict[str, Any]:
    """Return how the images were measured: what numbers must have in common to be compared."""
    shapes = config.shapes(stage.stage)
    return {
        "split": {side: "test" if "test" in getattr(datasets, side) else "train" for side in tested},
        "images": {side: len(dataset) for side, dataset in tested.items()},
        "size": {side: list(shapes[side]) for side in tested},
        "resizing": "pictures bilinear and antialiased to the size; class scores bilinear to the masks' own "
        "size",
        "translations": "rounded to 8 bits",
        "averages": "over the classes that occur in the labels",
        "data_fingerprint": datasets.fingerprint,
        "precision": stage.stage.precision,
    }


def _pictures(
    dataset: ImageSet, indices: list[int] | None, device: Device
) -> Iterator[tuple[torch.Tensor, Any]]:
    """Yield images (n, C, H, W) in [-1, 1] on the device with their labels, in batches of bounded memory."""
    rows = range(len(dataset)) if indices is None else indices
    step = EVALUATIONS[dataset.task].batch_size(dataset, PART)
    for start in range(0, len(rows), step):
        images, labels = dataset.take(rows[start : start + step])
        yield to_float(images.to(device.torch_device)), labels


def _batches(
    side: Any,
    dataset: ImageSet,
    other: ImageSet,
    translate: Translate | None,
    stage: StagePlan,
    device: Device,
) -> Iterator[Batch]:
    """Yield a domain's test images with their translations and, if known, their true translations."""
    true_translation = dataset.true_translation(other) if translate else None
    truths = _pictures(true_translation, None, device) if true_translation else None
    for real, labels in _pictures(dataset, None, device):
        fake = None
        if translate:
            with device.autocast(stage.stage.precision):
                fake = to_float(to_bytes(translate(real)))
        yield Batch(side, "test", real, labels, fake, next(truths)[0] if truths else None)
