"""Image pairs per second and FLOPs per image pair of a stage's training step, on random images."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from cycada.config.schema import Config
from cycada.data import ImageDataset
from cycada.planning.build import Datasets, build_training
from cycada.planning.plan import plan
from cycada.train.device import Device
from cycada.train.loop import TrainState
from cycada.train.step import train_step

WINDOW = 2
"""Seconds that a rate is taken over."""


def random_training(config: Config, classes: int, device: Device) -> TrainState:
    """Return the training of a config's last stage on random images with one label each.

    The networks that it takes from its first stage are as that stage begins, untrained: that is all that speed needs.

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
    splits = dict.fromkeys(("train", "test"), ImageDataset(images, labels))
    names = tuple(map(str, range(classes)))
    datasets = Datasets(names, splits, splits, None, "")  # type: ignore[arg-type]
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
    return counter.get_total_flops() / training.source.batch


def pairs_per_second(training: TrainState, seconds: float) -> float:
    """Return how many image pairs a second are trained on: the best of the windows of 2 seconds that fit into `seconds`."""
    for warm_up in range(3):
        _step(training, warm_up)
    best, number, end = 0.0, 3, time.perf_counter() + seconds
    while time.perf_counter() < end:
        _synchronize(training)
        began, first = time.perf_counter(), number
        while time.perf_counter() - began < min(WINDOW, seconds):
            _step(training, number)
            number += 1
        _synchronize(training)
        best = max(best, (number - first) * training.source.batch / (time.perf_counter() - began))
    return best


def _synchronize(training: TrainState) -> None:
    if training.device.torch_device.type == "cuda":
        torch.cuda.synchronize()


def _step(training: TrainState, number: int) -> None:
    training.device.seed(0, number)
    tensors = training.tensors(training.nets, training.batch(number), training.options)
    train_step(training.phases, tensors, training.device, number, training.steps, training.precision)
