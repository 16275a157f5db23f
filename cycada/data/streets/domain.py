"""The pair of street domains that needs no download: the same kind of streets, as a game and as photos."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from cycada.core.bounds import Drawn, Seed, Side
from cycada.data.scenes import Image, Mask, SceneDomain, SegmentationDataset, scene_domains
from cycada.data.streets.looks import game, photo
from cycada.data.streets.parts import CLASSES
from cycada.data.streets.world import build

Look = Literal["game", "photo"]
LOOKS = {"game": (1, game), "photo": (2, photo)}
"""look -> its number among the generators of a scene, and how it paints."""

Length = Annotated[Side, Field(ge=16)]
"""Pixels of a street's side: less has no room for what stands in it."""


def draw(seed: int, i: int, look: Look, width: int, height: int) -> tuple[Image, Mask]:
    """Scene i of a seed: image (H, W, 3) uint8, mask (H, W) uint8 in 0..8. Depends on its arguments alone; the mask, and what

    stands where, is the same in both looks.
    """
    world = build(np.random.default_rng((seed, i)), width, height)
    number, paint = LOOKS[look]
    return paint(world, np.random.default_rng((seed, i, number))), world.mask


class DrawnScenes(SegmentationDataset):
    """SegmentationDataset that are drawn when they are asked for."""

    def __init__(self, count: int, seed: int, look: Look, width: int, height: int) -> None:
        super().__init__([f"{look}-{seed}-{i:05d}" for i in range(count)])
        self.numbers: Sequence[int] = range(count)
        self.seed, self.look, self.width, self.height = seed, look, width, height

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, mask = draw(self.seed, self.numbers[i], self.look, self.width, self.height)
        return image, mask if self.labelled else None

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        part = super().subset(rows, labelled)
        part.numbers = [self.numbers[i] for i in rows]
        return part

    def in_look(self, look: Look) -> Self:
        """The same streets, painted the other way: what a perfect translation of them would be."""
        other = copy.copy(self)
        other.look = look
        return other

    def true_translation(self, other: SegmentationDataset) -> Self | None:
        return self.in_look(other.look) if isinstance(other, DrawnScenes) else None


@scene_domains("streets")
class Streets(SceneDomain):
    """Drawn street scenes with exact masks, nine classes: `look: game` is flat and bright, `look: photo` worn, hazy, noisy.

    Both looks draw from one distribution of streets, so that nothing but the look is there to adapt to. The default seeds
    of the training sets differ (1 and 2): they are unpaired. `test_seed` is the same, and scene i of a seed has the same
    mask in both looks, so that a translation can be held against what it ought to be. No files.
    """

    classes, palette = tuple(CLASSES), tuple(CLASSES.values())

    def __init__(
        self, *, look: Look = "game", width: Length = 128, height: Length = 64, train: Drawn = 2000, test: Drawn = 500,
        seed: Seed | None = None, test_seed: Seed = 1000,
    ) -> None:  # fmt: skip
        self.look, self.width, self.height = look, width, height
        self.counts = {"train": train, "test": test}
        self.seeds = {"train": LOOKS[look][0] if seed is None else seed, "test": test_seed}

    def scenes(self, root: Path, split: str) -> DrawnScenes:
        return DrawnScenes(self.counts[split], self.seeds[split], self.look, self.width, self.height)
