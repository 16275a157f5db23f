"""SegmentationDataset: images with a mask each, too many and too large to hold, so that every pair is read when it is asked for."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from cycada.core.errors import Absent, CycadaError
from cycada.core.registry import Registry

Image = np.ndarray
"""(H, W, 3) uint8."""
Mask = np.ndarray
"""(H, W) uint8: 0..K-1, or IGNORE."""
Palette = Sequence[tuple[int, int, int]]
"""A colour for every class, to look at: red, green, blue in 0..255."""


class SegmentationDataset(ABC):
    """A sized collection that keeps nothing: `read(i)` opens or draws pair i anew.

    names: one for every pair, in order. labelled: whether the pairs have masks. skipped: the pairs that were left out
    because they are damaged, name -> what is wrong with it (only with the option `skip_bad` of a domain). left_out: what lies beside
    the files and is none of them, name -> why.
    """

    names: Sequence[str]
    labelled: bool = True
    skipped: Mapping[str, str]
    left_out: Mapping[str, str]

    def __init__(
        self, names: Sequence[str], labelled: bool = True, skipped: Mapping[str, str] | None = None
    ) -> None:
        self.names, self.labelled, self.skipped, self.left_out = names, labelled, skipped or {}, {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> Sequence[tuple[Path, Path | None]]:
        """Image and mask file of every pair; empty where scenes are drawn."""
        return ()

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Count the images of these pairs by the size of their files, 'W x H'. Drawn scenes have none."""
        return {}

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Say what of these pairs cannot be known from their files: file -> sentences. Drawn scenes have none."""
        return {}

    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        """Image (3, H, W) uint8 and mask (H, W) uint8, 0..K-1 or IGNORE, or None. Raises CycadaError that names the pair."""
        image, mask = self.pair(i)
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
        return pixels, None if mask is None else torch.from_numpy(np.array(mask, order="C"))

    @abstractmethod
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        """The same as arrays, the image (H, W, 3). No mask is even opened where `labelled` is False."""

    def without_masks(self) -> Self:
        """The same images with nothing to learn from: what a target domain is."""
        return self.subset(range(len(self)), labelled=False)

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        """These pairs, in this order."""
        part = copy.copy(self)
        part.names = [self.names[i] for i in rows]
        part.labelled = self.labelled if labelled is None else labelled
        return part

    def true_translation(self, other: SegmentationDataset) -> SegmentationDataset | None:
        """The same scenes, in order, as they would look in the domain of `other`: what a perfect translation would be. None

        where nobody knows: only drawn and paired scenes do.
        """
        return None


class SceneDomain(ABC):
    """One domain of scenes. Subclasses set the card below, register with `@scene_domains("name")` and answer `load`.

    classes: their names, in the order of the mask's values. palette: a colour for each, to look at. splits: what it has;
    `test` is the labelled split that is scored (the official validation set where the test labels are secret).
    unlabelled: the split whose images, without masks, a target is. flip_safe: whether a mirrored scene is one. files:
    what is expected under the data root, as glob patterns. consecutive: whether the test images, in their order, are
    frames of one video that follow each other, so that reports draw them in blocks. labelled: False where no split has
    masks. classes_read: what a file with the data says of the classes, in one text, once it is read: it is part of what
    the data are known by. counts: how many pairs each official split has; empty where every user's is another one.
    """

    classes: tuple[str, ...]
    palette: Palette
    splits: tuple[str, ...] = ("train", "test")
    unlabelled: str = "train"
    flip_safe: bool = True
    labelled: bool = True
    classes_read: str = ""
    counts: Mapping[str, int] = {}
    consecutive: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    how_to_get: ClassVar[str] = ""

    def load(self, root: Path, split: str) -> SegmentationDataset:
        """The pairs of a split, none of them read yet. Raises CycadaError that names path, found and expected."""
        if split not in self.splits:
            raise CycadaError(
                f"Domain '{self.name}': found the split '{split}', expected one of {', '.join(self.splits)}."
            )
        return self.scenes(root, split)

    @abstractmethod
    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        """`load`, for a split that is there."""

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """The images of a split without masks: what an unlabelled target is.

        A domain in files overrides this, so that masks need not be there.
        """
        return self.load(root, split).without_masks()

    def count(self, root: Path, split: str, masks: bool) -> int:
        """Count the pairs of a split, or its images where masks are not wanted. Raises as `load` does."""
        return len(self.load(root, split) if masks else self.images(root, split))

    def missing(self, searched: Path, expected: str) -> Absent:
        """The answer to absent data: the path searched, what is expected there, how to get it."""
        return Absent(
            f"Domain '{self.name}': no data in {searched.resolve()}. Expected there: {expected}. {self.how_to_get}".rstrip()
            + " The data root comes from data.root, the variable CYCADA_DATA, or is ./data."
        )

    @property
    def name(self) -> str:
        return next((n for n in scene_domains if scene_domains[n] is type(self)), type(self).__name__)


scene_domains: Registry[type[SceneDomain]] = Registry("scene domain")


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """At most `wanted` places, evenly over 0..count-1."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, wanted))})
