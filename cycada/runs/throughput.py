"""Image pairs per second and FLOPs per image pair of a stage's training step, on random images."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from cycada.config.schema import Config, digest, parse
from cycada.core.files import write_json
from cycada.core.yaml_files import merge
from cycada.data import ImageDataset, Split
from cycada.planning.build import Datasets, build_training
from cycada.planning.plan import plan
from cycada.storage.store import environment
from cycada.tracking.tracker import Tracker
from cycada.train.device import Device
from cycada.train.loop import TrainState
from cycada.train.step import train_step

WINDOW = 2
"""Seconds that a rate is taken over."""
CLASSES = 10
"""Classes of the random labels."""


def measure_rows(
    experiment: Mapping[str, Any],
    dropped: Mapping[str, Sequence[str]],
    seconds: float,
    compiled: bool,
    kept: Path | None,
    tracker: Tracker,
) -> Iterator[dict[str, Any]]:
    """Measure the last stage of an experiment with terms left out, in fp32 and bf16.

    Args:
        experiment: An experiment as a mapping, of two stages; see `random_training`.
        dropped: Row -> the loss terms that it leaves out.
        seconds: How long each row is measured.
        compiled: Measure the row that drops nothing with torch.compile, too.
        kept: A JSON file to keep rows in; those that it has from the same device, version of torch and batch
            are not measured again. None keeps none.
        tracker: Where rows are logged.

    Yields:
        Mappings with step, precision, gflop_per_pair and pairs_per_second.
    """
    device = Device.find("auto")
    config = parse(experiment)
    name, stage = list(config.stages.items())[-1]
    header = {"device": device.describe(), "torch": torch.__version__, "batch": stage.batch}
    content = json.loads(kept.read_text()) if kept and kept.exists() else {}
    same = {key: content.get(key) for key in header} == header
    rows: list[dict[str, Any]] = content["rows"] if same else []
    tracker.begin(config.name, config.seed, digest(header), environment())
    is_complete = False
    try:
        for step, terms in dropped.items():
            changes = [("fp32", False), ("bf16", False)] + [("bf16", True)] * (compiled and not terms)
            for precision, is_compiled in changes:
                label = precision + " compiled" * is_compiled
                row = next((r for r in rows if (r["step"], r["precision"]) == (step, label)), None)
                if row is None:
                    settings = {
                        "losses": dict.fromkeys(terms, 0),
                        "precision": precision,
                        "compile": is_compiled,
                    }
                    variant = parse(merge(experiment, {"stages": {name: settings}}))
                    row = {"step": step, "precision": label} | _measure(variant, device, seconds)
                    rows.append(row)
                    if kept:
                        write_json(kept, header | {"rows": rows})
                measured = {key: float(row[key]) for key in ("gflop_per_pair", "pairs_per_second")}
                identity = digest(header | {"step": step, "precision": label})
                tracker.begin_stage(f"{step}, {label}", identity, header, environment())
                tracker.end_stage([], measured)
                yield row
        is_complete = True
    finally:
        tracker.end({}, failed=not is_complete)


def _measure(config: Config, device: Device, seconds: float) -> dict[str, float]:
    plain = config.model_copy(deep=True)
    stage = list(plain.stages)[-1]
    plain.stages[stage] = plain.stages[stage].model_copy(update={"precision": "fp32", "compile": False})
    flops = flops_per_pair(random_training(plain, CLASSES, device))  # torch counts none of compiled code
    rate = pairs_per_second(random_training(config, CLASSES, device), seconds)
    return {"gflop_per_pair": round(flops / 1e9, 3), "pairs_per_second": round(rate, 1)}


def random_training(config: Config, classes: int, device: Device) -> TrainState:
    """Return the training of a config's last stage on random images with one label each.

    The networks that it takes from its first stage are as that stage begins, untrained: that is all that
    speed needs.

    Args:
        config: An experiment with image labels, of two stages.
        classes: How many classes the random labels have.
        device: Where to train.
    """
    torch.manual_seed(0)
    first, last = plan(config)
    shape = (4 * last.stage.batch, config.data.channels, *config.window(last.stage))
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device.torch_device)
    labels = torch.randint(0, classes, shape[:1], device=device.torch_device)
    dataset = ImageDataset(images, labels)
    splits: dict[Split, ImageDataset] = {"train": dataset, "test": dataset}
    names = tuple(map(str, range(classes)))
    datasets = Datasets(names, splits, splits, None, "")
    untrained = build_training(config, first, datasets, device, {}).nets
    starts = {
        role: untrained.get_submodule(start.partition(".")[2]).state_dict()
        for role, start in last.stage.init.items()
    }
    return build_training(config, last, datasets, device, starts)


def flops_per_pair(training: TrainState) -> float:
    """Return the floating-point operations of one step for each pair of a source and a target image."""
    _step(training, 0)  # optimizers allocate their state
    with FlopCounterMode(display=False) as counter:
        _step(training, 1)
    operations: int = counter.get_total_flops()
    return operations / training.source.batch


def pairs_per_second(training: TrainState, seconds: float) -> float:
    """Return the image pairs per second of the fastest window of 2 seconds within `seconds`."""
    for warm_up in range(3):
        _step(training, warm_up)
    best, number, end = 0.0, 3, time.perf_counter() + seconds
    while time.perf_counter() < end:
        training.device.synchronize()
        began, first = time.perf_counter(), number
        while time.perf_counter() - began < min(WINDOW, seconds):
            _step(training, number)
            number += 1
        training.device.synchronize()
        best = max(best, (number - first) * training.source.batch / (time.perf_counter() - began))
    return best


def _step(training: TrainState, number: int) -> None:
    training.device.seed(0, number)
    tensors = training.tensors(training.nets, training.batch(number), training.options)
    train_step(training.phases, tensors, training.device, number, training.steps, training.precision)
