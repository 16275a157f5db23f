"""How many steps the epochs of a stage are."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from cycada.config.schema import Config
from cycada.core.errors import Absent, CycadaError
from cycada.core.registry import check_options
from cycada.data import domains, scene_domains
from cycada.data.domain import Wanted, prepare_domain
from cycada.methods import methods

Set = Literal["source", "target", "oracle"]
"""A training set: the labelled source's, the unlabelled target's, the target's with the labels that an oracle sees."""
MOST = 10**9
"""Steps of a stage."""


@dataclass(frozen=True)
class Images:
    """How many images a training set has. official: they are not here, and counted as the official set has them."""

    of: Set
    count: int
    official: bool


@dataclass(frozen=True)
class Epochs:
    """What `epochs:` of a stage come to.

    Attributes:
        count: How many epochs.
        images: What one epoch is a pass over.
        steps: The steps of all epochs.
    """

    count: int
    images: Images
    steps: int

    def __str__(self) -> str:
        side = "target" if self.images.of == "oracle" else self.images.of
        official = " (the official number: they are not here)" if self.images.official else ""
        return f"{self.count} epoch{'s' * (self.count > 1)} of {self.images.count:,} {side} images{official}"


def sets_of(kinds: Collection[str], oracle: bool) -> tuple[tuple[Set, ...], Callable[..., Images]]:
    """Say of which sets a pass is an epoch, and which of them decides.

    Papers and their code count in different ways, and a stage is counted as the code that it follows does. One that learns a
    generator: the longer of the two sets (CycleGAN's release, and with it CyCADA's pixel step). Else one that learns a feature
    discriminator: the shorter (ADDA's and CyCADA's release, which draw from both loaders until one ends). All others: the labelled
    set that they learn from.

    Args:
        kinds: The kinds of the networks that learn.
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


def counter(config: Config) -> Callable[[Set], Images]:
    """A function that says how many images a training set of an experiment has, looked at once and only when asked."""
    return cache(lambda of: _images(config, of))


def _images(config: Config, of: Set) -> Images:
    data, root = config.data, config.data.resolved_root()
    side = "source" if of == "source" else "target"
    spec = data.source if of == "source" else data.target
    where = f"data.{side}"
    domain: Any
    look: Callable[[], int]
    if spec.name in scene_domains:
        domain = scene_domains[spec.name](**check_options(scene_domains[spec.name], spec.options, where))
        split = domain.unlabelled if of == "target" else "train"
        look = lambda: domain.count(root, split, masks=of != "target")  # noqa: E731
    else:
        domain = domains[spec.name](**check_options(domains[spec.name], spec.options, where))
        labels = of == "source" or any(
            methods[s.method].supervision == "target" for s in config.stages.values()
        )
        prepare_domain(domain, Wanted(config.shapes()[side][0], data.resize, labels), side)
        split = "train"
        look = lambda: domain.count(root, split, data.download)  # noqa: E731
    try:
        return Images(of, look(), official=False)
    except Absent as error:
        if split in domain.counts:
            return Images(of, domain.counts[split], official=True)
        raise CycadaError(
            f"`epochs` are counted in the training images of the {side} '{spec.name}', which are not here, and it has no official number "
            f"of them. Give the data, or write `steps`. {error}"
        ) from None


def epochs(
    count: int, batch: int, kinds: Collection[str], oracle: bool, images_of: Callable[[Set], Images], where: str,
) -> Epochs:  # fmt: skip
    """Count the steps of some epochs.

    An epoch is as many steps as a loader makes that keeps its short last batch, as those of the papers do: images / batch, rounded up.
    With several processes a step shows the batches of all of them. (The batches here are all full: one that a pass would leave short is
    filled with the first images of the next one.)

    Args:
        count: How many epochs.
        batch: Images of each domain in a step and process.
        kinds: The kinds of the networks that learn, see `sets_of`.
        oracle: Whether the labelled set is the target's.
        images_of: See `counter`.
        where: The stage in messages, `stages.NAME`.

    Returns:
        What they come to.

    Raises:
        CycadaError: A set is not here and nobody knows its size, or the steps are too many.
    """
    sets, decides = sets_of(kinds, oracle)
    try:
        images = decides(map(images_of, sets), key=lambda found: found.count)
    except CycadaError as error:
        raise CycadaError(f"{where}.epochs: {error}") from None
    shown = batch * int(os.environ.get("WORLD_SIZE", "1"))
    steps = count * -(-images.count // shown)
    if steps > MOST:
        raise CycadaError(
            f"{where}.epochs: found {count} epochs, which are {steps:,} steps; expected at most {MOST:,}."
        )
    return Epochs(count, images, steps)
