"""The domain of drawn street scenes, which needs no download, in two looks: as in a game and as in photos."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field
from typing_extensions import override

from cycada.core.bounds import Drawn, Seed, Side
from cycada.data.image_set import Image, ImageSet, Mask
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains
from cycada.data.streets.looks import game, photo
from cycada.data.streets.parts import CLASSES
from cycada.data.streets.world import build_street

Look = Literal["game", "photo"]
LOOKS = {"game": (1, game), "photo": (2, photo)}
"""Number of each look, which seeds its random generator, and the function that paints it."""

Length = Annotated[Side, Field(ge=16)]
"""Width or height in pixels, at least 16: less has no room for the objects of a street."""


def draw(seed: int, i: int, look: Look, width: int, height: int) -> tuple[Image, Mask]:
    """Return scene i of a seed, which depends on the arguments alone.

    The objects and the mask are the same in both looks.

    Args:
        seed: Seed of a set of scenes.
        i: Number of the scene in the set.
        look: 'game' or 'photo'.
        width: Width in pixels.
        height: Height in pixels.

    Returns:
        Image (H, W, 3) uint8, and mask (H, W) uint8 with values 0..8.
    """
    world = build_street(np.random.default_rng((seed, i)), width, height)
    number, paint = LOOKS[look]
    return paint(world, np.random.default_rng((seed, i, number))), world.mask


class DrawnStreets(SegmentationDataset):
    """Dataset of street scenes that are drawn when they are read.

    Args:
        count: Number of scenes.
        seed: Seed of the scenes.
        look: 'game' or 'photo'.
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, count: int, seed: int, look: Look, width: int, height: int) -> None:
        super().__init__([f"{look}-{seed}-{i:05d}" for i in range(count)])
        self.numbers: Sequence[int] = range(count)
        self.seed, self.look, self.width, self.height = seed, look, width, height

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, mask = draw(self.seed, self.numbers[i], self.look, self.width, self.height)
        return image, mask if self.labelled else None

    @override
    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        subset = super().subset(rows, labelled)
        subset.numbers = [self.numbers[i] for i in rows]
        return subset

    def in_look(self, look: Look) -> Self:
        """Return the same streets in another look, the result of a perfect translation."""
        other = copy.copy(self)
        other.look = look
        return other

    @override
    def true_translation(self, other: ImageSet) -> Self | None:
        # Only drawn scenes have a look.
        return self.in_look(other.look) if isinstance(other, DrawnStreets) else None


@segmentation_domains("streets")
class Streets(SegmentationDomain):
    """Drawn streets with masks of nine classes, in two looks.

    The masks are exact; the look is that of a game or that of photos. The look 'game' is flat and bright; the
    look 'photo' is worn, hazy and noisy. Both draw streets from the same distribution, so that only the look
    differs between the domains. The training sets of the two looks have different default seeds (1 and 2) and
    are unpaired. The test sets have the same seed, and scene i of a seed has the same mask in both looks, so
    that a translation can be compared with the true one.

    Files: none.

    Labels: a mask for each image: road, pavement, building, sky, vegetation, car, person, pole and sign.

    Args:
        look: 'game' or 'photo'.
        width: Width in pixels.
        height: Height in pixels.
        train: Number of training images.
        test: Number of test images.
        seed: Seed of the training images; by default 1 for 'game' and 2 for 'photo'.
        test_seed: Seed of the test images.
    """

    title = "drawn streets"

    classes, palette = tuple(CLASSES), tuple(CLASSES.values())

    def __init__(
        self,
        *,
        look: Look = "game",
        width: Length = 128,
        height: Length = 64,
        train: Drawn = 2000,
        test: Drawn = 500,
        seed: Seed | None = None,
        test_seed: Seed = 1000,
    ) -> None:
        self.look, self.width, self.height = look, width, height
        self.counts = {"train": train, "test": test}
        self.seeds = {"train": LOOKS[look][0] if seed is None else seed, "test": test_seed}

    @override
    def load_split(self, root: Path, split: str) -> DrawnStreets:
        return DrawnStreets(self.counts[split], self.seeds[split], self.look, self.width, self.height)
