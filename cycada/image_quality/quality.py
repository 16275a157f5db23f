"""How good the translations of a finished stage are: FCN score, labels from photos, FID and KID, structure, diversity, truth.

It is no part of a stage: measured afterwards on test pictures, written into the run folder as quality.json, never measured twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from cycada.config.schema import Config
from cycada.core.errors import CycadaError, list_some
from cycada.core.files import unless_read_only
from cycada.core.progress import Progress
from cycada.data import ImageDataset, ResizedDataset, to_bytes, to_float
from cycada.data.scenes import evenly_spaced
from cycada.evaluation.predict import eval_mode, max_batch
from cycada.image_quality.metrics import WAY, Batch, Distances, FcnScore, LabelScore, Pixels, StreamingMetric
from cycada.image_quality.scorers import Extractor, Scorer, find_extractor, find_scorer
from cycada.methods import Translate
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, trained_networks
from cycada.storage.store import RunFolder
from cycada.tracking.tracker import open_tracker
from cycada.train.device import Device

FILE = "quality.json"
FORMAT = 1
"""Raise it when the same networks would no longer get the same numbers: what was measured before is then measured again."""
PART = 100
"""Small images that are looked at together."""


def quality(
    run: Path | str,
    scorer: str | Path | None = None,
    extractor: str | Path | None = None,
    data_root: Path | None = None,
    results: Path | str = "results",
    screen: Progress | None = None,
) -> dict[str, Any]:
    """Measure the translations of a finished stage on all test pictures, at the size of the stage; what quality.json has is read.

    scorer: `RUN[#ROLE]`, a classifier of the target's real pictures; null: no FCN score. extractor: an Inception file, or
    `RUN[#ROLE]`; null: no FID, KID or structure. Translations are rounded to 8 bits first, as in a PNG file.
    -> {experiment, stage, method, label, seed, id, seconds, and what was measured: pixels, labels, fcn, features}, each with its
    protocol; see the judges for what they hold, by direction: st, ts. What is new goes to the run's tracker too. Raises CycadaError.
    """
    folder = find_run(run, results)
    config, stage = load_stage(folder, data_root)
    device = Device.find(config.device)
    rulers = (
        find_scorer(str(scorer), results, device) if scorer else None,
        find_extractor(str(extractor), results, device) if extractor else None,
    )
    names = {"pixels": "pixels", "labels": "labels"} | {
        part: ruler.key for part, ruler in zip(("fcn", "features"), rulers, strict=True) if ruler
    }
    kept = measured(folder)
    if missing := {part for part, key in names.items() if key not in kept}:
        screen = screen or Progress(quiet=True)
        found = _measure(folder, config, stage, device, *rulers, missing, screen)
        kept = measured(folder) | {names[part]: block for part, block in found.items()}
        with unless_read_only(FILE, screen.warn):
            folder.write_json(FILE, {"format": FORMAT, "measured": kept})
            watcher = open_tracker(
                config.tracking.kind, config.tracking.uri, folder.path.parents[1], screen.warn
            )
            watcher.measured(
                folder.id, folder.path / FILE, _flat({part: kept[key] for part, key in names.items()})
            )
    manifest = folder.read_json("manifest.json")
    return {
        "experiment": config.name, "stage": stage.name, "method": stage.stage.method, "label": stage.method.label, "seed": config.seed,
        "id": folder.id, "seconds": manifest["seconds"],
    } | {part: kept[key] for part, key in names.items()}  # fmt: skip


def _flat(blocks: Mapping[str, Any]) -> dict[str, float]:
    """`quality/fcn/st/miou`, ...: what a tracker takes."""
    found: dict[str, float] = {}
    for part, block in blocks.items():
        for way, values in block.items():
            if way != "protocol":
                found |= {
                    f"quality/{part}/{way}/{name}": float(v)
                    for name, v in values.items()
                    if isinstance(v, (int, float))
                }
    return found


def measured(folder: RunFolder) -> dict[str, Any]:
    """What quality.json holds, by what it was measured with."""
    if not (folder.path / FILE).exists():
        return {}
    content = folder.read_json(FILE)
    return dict(content["measured"]) if content.get("format") == FORMAT else {}


def _measure(
    folder: RunFolder, config: Config, stage: StagePlan, device: Device, scorer: Scorer | None, extractor: Extractor | None,
    missing: set[str], screen: Progress,
) -> dict[str, Any]:  # fmt: skip
    """The missing blocks, all in one pass over the test pictures of both sides: every picture is translated once."""
    datasets = load_datasets(config, [stage], device).resized_to(config, stage.stage)
    nets = trained_networks(folder, config, stage, len(datasets.classes), device)
    if (before := folder.read_json("manifest.json")["data_fingerprint"]) != datasets.fingerprint:
        raise CycadaError(
            f"{folder.path}: found other data than the stage was trained with (fingerprint {datasets.fingerprint}, expected {before}). "
            "Give the data root that it had."
        )
    ways = stage.method.translations(nets, stage.options)
    if not ways:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) translates nothing, so there is no quality to measure."
        )
    judges: dict[str, StreamingMetric] = {"pixels": Pixels()}
    if datasets.palette and "labels" in missing:
        judges["labels"] = LabelScore(datasets.palette)
    if scorer and "fcn" in missing:
        _check_scorer(folder, scorer, config, datasets)
        judges["fcn"] = FcnScore(scorer.classify, scorer.size, len(scorer.classes))
    if extractor and "features" in missing:
        judges["features"] = Distances(extractor.extract)
    sides: dict[str, Mapping[Any, ImageDataset | ResizedDataset]] = {
        "source": datasets.source,
        "target": datasets.target,
    }
    seen = {side: sets.get("test", sets["train"]) for side, sets in sides.items()}
    references = {s: sets["train"] for s, sets in sides.items() if "test" in sets and "features" in judges}
    nothing = torch.nn.Module()
    rulers = [ruler.net if ruler else nothing for ruler in (scorer, extractor)]
    device.seed(config.seed, "quality")
    screen.begin(f"{stage.name}: quality", 0, sum(map(len, seen.values())))
    done = 0
    with eval_mode(nets), eval_mode(rulers[0]), eval_mode(rulers[1]):
        for side, examples in seen.items():
            other = seen["target" if side == "source" else "source"]
            for batch in _batches(side, examples, other, ways.get(WAY[side]), stage, device):
                for judge in judges.values():
                    judge.update(batch)
                screen.update(done := done + len(batch.real), 0.0, {})
        for side, examples in references.items():
            rows = evenly_spaced(len(examples), len(seen[side]))
            for real, _ in _pictures(examples, rows, device):
                judges["features"].update(Batch(side, "train", real))  # type: ignore[arg-type]
    screen.end()
    protocol = _protocol(config, stage, datasets, seen)
    about = {"fcn": scorer, "features": extractor}
    found = {}
    for part in missing:
        ruler = about.get(part)
        block = judges[part].compute() if part in judges else {}
        found[part] = (
            {"protocol": protocol | ({part: ruler.protocol} if ruler else {})} | block
            if block or ruler
            else {}
        )
    if scorer and "fcn" in missing and not {"st", "real"} & set(found["fcn"]):
        raise CycadaError(
            f"{folder.path}: neither the source's nor the target's test pictures have labels to hold the scorer's answers against."
        )
    return found


def _check_scorer(folder: RunFolder, scorer: Scorer, config: Config, datasets: Datasets) -> None:
    if scorer.classes != tuple(datasets.classes):
        raise CycadaError(
            f"{scorer.key}: found a scorer of the classes {list_some(scorer.classes)}, expected those of {folder.path}, "
            f"{list_some(datasets.classes)}."
        )
    if scorer.channels != config.data.channels:
        raise CycadaError(
            f"{scorer.key}: it looks at {scorer.channels} channels, {folder.path} has {config.data.channels}."
        )


def _protocol(
    config: Config, stage: StagePlan, datasets: Datasets, seen: Mapping[str, ImageDataset | ResizedDataset]
) -> dict[str, Any]:
    shapes = config.shapes(stage.stage)
    return {
        "split": {side: "test" if "test" in getattr(datasets, side) else "train" for side in seen},
        "images": {side: len(examples) for side, examples in seen.items()},
        "size": {side: list(shapes[side]) for side in seen},
        "resizing": "pictures bilinear and antialiased to the size; class scores bilinear to the masks' own size",
        "translations": "rounded to 8 bits",
        "averages": "over the classes that occur in truth or answer",
        "data_fingerprint": datasets.fingerprint,
        "precision": stage.stage.precision,
    }


def _pictures(
    examples: ImageDataset | ResizedDataset, rows: list[int] | None, device: Device
) -> Iterator[tuple[torch.Tensor, Any]]:
    """Float images on the device and their labels, some at a time: memory is the same for 10 scenes and 10,000."""
    rows = list(range(len(examples))) if rows is None else rows
    if isinstance(examples, ResizedDataset):
        step = max_batch(examples.size)
        for start in range(0, len(rows), step):
            images, masks = zip(*(examples.read(i) for i in rows[start : start + step]), strict=True)
            yield (
                to_float(torch.stack(images).to(device.torch_device)),
                list(masks) if examples.labelled else None,
            )
        return
    for part in torch.tensor(rows).split(PART):
        place = part.to(examples.images.device)
        yield (
            to_float(examples.images[place].to(device.torch_device)),
            None if examples.labels is None else examples.labels[place],
        )


def _batches(
    side: Any,
    examples: ImageDataset | ResizedDataset,
    other: ImageDataset | ResizedDataset,
    translate: Translate | None,
    stage: StagePlan,
    device: Device,
) -> Iterator[Batch]:
    known = (
        examples.true_translation(other)
        if isinstance(examples, ResizedDataset) and isinstance(other, ResizedDataset) and translate
        else None
    )
    truths = _pictures(known, None, device) if known else None
    for real, labels in _pictures(examples, None, device):
        fake = None
        if translate:
            with device.autocast(stage.stage.precision):
                fake = to_float(to_bytes(translate(real)))
        yield Batch(side, "test", real, labels, fake, next(truths)[0] if truths else None)
