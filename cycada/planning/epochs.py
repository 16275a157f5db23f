"""Conversion of a stage's epochs to training steps."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cycada.config.schema import Config
from cycada.core.errors import Absent, CycadaError
from cycada.data.domain import Wanted
from cycada.methods import methods
from cycada.planning.tasks import task_of

Set = Literal["source", "target", "oracle"]
"""A training set: the labelled source's, the unlabelled target's, or the target's with an oracle's labels."""
MOST = 10**9
"""Most steps of a stage."""


@dataclass(frozen=True)
class Images:
    """Number of images in a training set.

    Attributes:
        of: The training set.
        count: Its number of images.
        official: Whether the images are missing here, so that the number is that of the official dataset.
    """

    of: Set
    count: int
    official: bool


@dataclass(frozen=True)
class Epochs:
    """Epochs of a stage, converted to steps.

    Attributes:
        count: Number of epochs.
        images: The training set that one epoch is a pass over.
        steps: Number of steps of all epochs.
    """

    count: int
    images: Images
    steps: int

    def __str__(self) -> str:
        side = "target" if self.images.of == "oracle" else self.images.of
        official = " (the official number: they are not here)" if self.images.official else ""
        return f"{self.count} epoch{'s' * (self.count > 1)} of {self.images.count:,} {side} images{official}"


def sets_of(kinds: Collection[str], oracle: bool) -> tuple[tuple[Set, ...], Callable[..., Images]]:
    """Return the training sets that an epoch may be a pass over, and how one is chosen by its size.

    Papers and their code count differently, and a stage is counted as in the code that it follows. If it
    trains a generator, the larger of the two sets counts (CycleGAN's release, and with it CyCADA's pixel
    step). Otherwise, if it trains a feature discriminator, the smaller counts (ADDA's and CyCADA's releases,
    which draw from both loaders until one ends). In all other stages the labelled set counts.

    Args:
        kinds: Kinds of the networks that are trained.
        oracle: Whether the labelled set is the target's.

    Returns:
        The sets, and `max` or `min`.
    """
    labelled: Set = "oracle" if oracle else "source"
    if {"g", "pair_g"} & set(kinds):
        return (labelled, "target"), max
    if "d_feat" in kinds:
        return (labelled, "target"), min
    return (labelled,), max


def make_image_counter(config: Config) -> Callable[[Set], Images]:
    """Return a function that counts the images of a training set, each set once and only on demand."""
    return cache(lambda of: _images(config, of))


def _images(config: Config, of: Set) -> Images:
    """Return the number of images of a training set; without the data, that of the official dataset."""
    data = config.data
    side = "source" if of == "source" else "target"
    spec = data.source if of == "source" else data.target
    task = task_of(config)
    domain = task.domain(spec, side)
    is_oracle = any(methods[s.method].supervision == "target" for s in config.stages.values())
    task.prepare(domain, Wanted(config.shapes()[side][0], data.resize, of == "source" or is_oracle), side)
    split, count = task.training_set(config, domain, labels=of != "target")
    try:
        return Images(of, count(), official=False)
    except Absent as error:
        if split in domain.counts:
            return Images(of, domain.counts[split], official=True)
        raise CycadaError(
            f"`epochs` are counted in the training images of the {side} '{spec.name}', which are not here, "
            f"and it has no official number of them. Give the data, or write `steps`. {error}"
        ) from None


def convert_epochs(
    count: int,
    batch: int,
    kinds: Collection[str],
    oracle: bool,
    images_of: Callable[[Set], Images],
    where: str,
) -> Epochs:
    """Return a number of epochs, converted to steps.

    An epoch has images / batch steps, rounded up: as many as a loader makes that keeps its short last
    batch, like the loaders of the papers. With several processes, the batch is that of all processes
    together. (All batches here are full: one that a pass would leave short is filled with the first
    images of the next pass.)

    Args:
        count: Number of epochs.
        batch: Number of images of each domain in one step of one process.
        kinds: Kinds of the networks that are trained, see `sets_of`.
        oracle: Whether the labelled set is the target's.
        images_of: Function that counts the images of a set, see `make_image_counter`.
        where: The stage in messages, `stages.NAME`.

    Returns:
        The epochs with their steps.

    Raises:
        CycadaError: A set is missing here and its official size is unknown, or there are more than `MOST`
            steps.
    """
    sets, choose = sets_of(kinds, oracle)
    try:
        images = choose(map(images_of, sets), key=lambda candidate: candidate.count)
    except CycadaError as error:
        raise CycadaError(f"{where}.epochs: {error}") from None
    images_per_step = batch * int(os.environ.get("WORLD_SIZE", "1"))
    steps = count * -(-images.count // images_per_step)
    if steps > MOST:
        raise CycadaError(
            f"{where}.epochs: found {count} epochs, which are {steps:,} steps; expected at most {MOST:,}."
        )
    return Epochs(count, images, steps)
