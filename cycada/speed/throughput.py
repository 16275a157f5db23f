"""Image pairs per second and FLOPs per image pair of training steps, on random images."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from cycada.config.schema import Config, Stage, digest, parse
from cycada.core.files import write_json
from cycada.core.versions import environment
from cycada.core.yaml_files import merge
from cycada.data import ImageDataset, ResizedDataset, SegmentationDataset, Split
from cycada.data.image_set import Image, ImageSet, Mask
from cycada.planning.build import Datasets, build_training
from cycada.planning.plan import plan
from cycada.planning.rehearsal import classes_of, from_scratch
from cycada.planning.tasks import task_of
from cycada.tracking.tracker import Tracker
from cycada.train.allocator import keep_freed_memory
from cycada.train.device import Device, Precision
from cycada.train.loop import TrainState
from cycada.train.step import train_step

WINDOW = 2
"""Seconds that a rate is taken over."""
BATCHES = 4
"""Number of batches whose images are random and different."""
TURNS = 5
"""How often each of two steps is timed when they are compared."""
OtherStep = Callable[[int, Precision], Callable[[], object]]
"""Function from a number of pairs and a precision to a function that trains one step on so many pairs."""


class Measured(NamedTuple):
    """A training step that is measured.

    Attributes:
        name: Its name.
        config: An experiment.
        stage: The stage of the experiment whose step it is.
    """

    name: str
    config: Config
    stage: str

    def changed(self, **settings: Any) -> Measured:
        """Return the step with other settings of its stage, such as `precision` and `compile`."""
        config = self.config.model_copy(deep=True)
        config.stages[self.stage] = config.stages[self.stage].model_copy(update=settings)
        return self._replace(config=config)


def drop_terms(experiment: Mapping[str, Any], dropped: Mapping[str, Sequence[str]]) -> list[Measured]:
    """Return the step of an experiment's last stage without some loss terms, for each name.

    Args:
        experiment: An experiment as a mapping.
        dropped: Name -> the loss terms that are left out.
    """
    stage = list(experiment["stages"])[-1]
    changes = {
        name: {"stages": {stage: {"losses": dict.fromkeys(terms, 0)}}} for name, terms in dropped.items()
    }
    return [Measured(name, parse(merge(experiment, change)), stage) for name, change in changes.items()]


def each_stage(config: Config) -> list[Measured]:
    """Return the step of each stage of an experiment, by the stage's name."""
    return [Measured(name, config, name) for name in config.stages]


def measure_rows(
    steps: Sequence[Measured],
    seconds: float,
    compiled: bool,
    kept: Path | None,
    tracker: Tracker,
) -> Iterator[dict[str, Any]]:
    """Measure training steps in fp32 and bf16.

    Args:
        steps: The steps.
        seconds: How long each row is measured.
        compiled: Measure the first step with torch.compile, too.
        kept: A JSON file to keep rows in; those that it has from the same device, version of torch,
            experiment and batch are not measured again. None keeps none.
        tracker: Where rows are logged.

    Yields:
        Mappings with step, precision, gflop_per_pair and pairs_per_second.
    """
    device = Device.find("auto")
    config = steps[-1].config
    batch = config.stages[steps[-1].stage].batch
    header = {"device": device.describe(), "torch": torch.__version__, "batch": batch}
    content = json.loads(kept.read_text()) if kept and kept.exists() else {}
    same = {key: content.get(key) for key in header} == header
    rows: list[dict[str, Any]] = content["rows"] if same else []
    tracker.begin(config.name, config.seed, digest(header), environment())
    is_complete = False
    try:
        for step in steps:
            changes = [("fp32", False), ("bf16", False)] + [("bf16", True)] * (compiled and step is steps[0])
            for precision, is_compiled in changes:
                label = precision + " compiled" * is_compiled
                row = next((r for r in rows if (r["step"], r["precision"]) == (step.name, label)), None)
                if row is None:
                    changed = step.changed(precision=precision, compile=is_compiled)
                    row = {"step": step.name, "precision": label} | _measure(changed, device, seconds)
                    rows.append(row)
                    if kept:
                        write_json(kept, header | {"rows": rows})
                measured = {key: float(row[key]) for key in ("gflop_per_pair", "pairs_per_second")}
                identity = digest(header | {"step": step.name, "precision": label})
                tracker.begin_stage(f"{step.name}, {label}", identity, header, environment())
                tracker.end_stage([], measured)
                yield row
        is_complete = True
    finally:
        tracker.end({}, failed=not is_complete)


def _measure(step: Measured, device: Device, seconds: float) -> dict[str, float]:
    plain = step.changed(precision="fp32", compile=False)
    flops = flops_per_pair(random_training(plain, device))  # torch counts none of compiled code
    rate = pairs_per_second(random_training(step, device), seconds)
    return {"gflop_per_pair": round(flops / 1e9, 3), "pairs_per_second": round(rate, 1)}


def random_training(step: Measured, device: Device) -> TrainState:
    """Return the training that a step is of, on random images with random labels or masks.

    All networks begin untrained, those too that the stage would take from elsewhere: that is all that speed
    needs.

    Args:
        step: The step; the data of its experiment need not be there.
        device: Where to train.
    """
    config = step.config
    chosen = from_scratch(next(p for p in plan(config) if p.name == step.stage))
    names = tuple(map(str, range(classes_of(config))))
    torch.manual_seed(0)
    if device.torch_device.type == "cpu":
        keep_freed_memory()  # as a run does
    images = _random_images(config, chosen.stage, len(names), device)
    sets: dict[Split, ImageSet] = {"train": images, "test": images}
    datasets = Datasets(names, sets, sets, images, "")
    return build_training(config, chosen, datasets, device, {}, lambda _, source: source.with_partner(images))


def _random_images(config: Config, stage: Stage, classes: int, device: Device) -> ImageSet:
    count = BATCHES * stage.batch * device.world
    if task_of(config).name == "segmentation":
        size = config.loads(stage)["source"]
        return ResizedDataset(RandomScenes(count, size, classes), size, cache=True)
    shape = (count, config.data.channels, *config.window(stage))
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device.torch_device)
    return ImageDataset(pixels, torch.randint(0, max(1, classes), (count,), device=device.torch_device))


class RandomScenes(SegmentationDataset):
    """Random images with random masks, each of which is its own true translation.

    Args:
        count: How many.
        size: (height, width) in pixels.
        classes: K, the number of classes.
    """

    def __init__(self, count: int, size: tuple[int, int], classes: int) -> None:
        super().__init__([str(i) for i in range(count)])
        self.size, self.classes = size, classes

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        """Return image i and its mask."""
        numbers = np.random.default_rng(i)
        image = numbers.integers(0, 256, (*self.size, 3), np.uint8)
        return image, numbers.integers(0, max(1, self.classes), self.size, np.uint8)

    def true_translation(self, other: ImageSet) -> SegmentationDataset:
        """Return the same images."""
        return self


def compare(step: Measured, other: OtherStep, seconds: float) -> dict[str, float]:
    """Time a step and another one in turn, and return the rates of both and their ratio.

    A machine that is slower for a minute is so for both.

    Args:
        step: The step.
        other: The other step.
        seconds: How long each of the two is measured in each turn.

    Returns:
        `pairs_per_second` and `other`, medians of all turns; `ratio`, the median of the turns' ratios of the
        first to the second, `lowest` and `highest` of them; and the number of `turns`.
    """
    training = random_training(step, Device.find("auto"))
    batch, numbers = training.source.batch, itertools.count()
    other_step = other(batch, training.precision)

    def rate(take: Callable[[], object]) -> float:
        training.device.synchronize()
        began, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - began < seconds:
            take()
            count += 1
        training.device.synchronize()
        return count * batch / (time.perf_counter() - began)

    turns = [(rate(lambda: _step(training, next(numbers))), rate(other_step)) for _ in range(1 + TURNS)][1:]
    ratios = [ours / theirs for ours, theirs in turns]
    return {
        "pairs_per_second": statistics.median(ours for ours, _ in turns),
        "other": statistics.median(theirs for _, theirs in turns),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "turns": TURNS,
    }


def pairs_per_second_of_all(step: Measured, seconds: float) -> float:
    """Return the image pairs per second of all processes that torchrun has started together.

    Every process takes as many steps as process 0 asks for, because in each step they wait for each other.

    Args:
        step: The step; its batch is that of one process.
        seconds: About how long to measure.
    """
    training = random_training(step, Device.find("auto"))
    device = training.device

    def take(first: int, count: int) -> float:
        began = time.perf_counter()
        for number in range(first, first + count):
            _step(training, number)
        device.synchronize()
        return time.perf_counter() - began

    take(0, 2)
    count: int = device.share(max(3, int(seconds / take(2, 1))))
    return count * training.source.batch * device.world / float(device.share(take(3, count)))


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
