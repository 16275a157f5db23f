"""Images with one class mask each, read or drawn one by one, and the domains that they come from."""

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
from cycada.data.domain import ROOT_HINT, domains

Image = np.ndarray
"""Image as an array, (H, W, 3) uint8."""
Mask = np.ndarray
"""Class of each pixel, (H, W) uint8, values 0..K-1 or IGNORE."""
Palette = Sequence[tuple[int, int, int]]
"""Colour of each class, for figures: red, green, blue in 0..255."""


class SegmentationDataset(ABC):
    """Dataset of images with one class mask each, which keeps nothing in memory.

    A subclass implements `pair`, which reads or draws image i each time it is called.

    Attributes:
        names: Name of each pair, in order.
        labelled: Whether the images have masks.
        skipped: Names of pairs that were left out because they are damaged or incomplete, each with the
            error. A domain fills it where its option `skip_bad` is set.
        left_out: Files beside the pairs that are not read, each with the reason.
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
        """Image file and mask file of each pair; empty where images are drawn."""
        return ()

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Return the number of image files of each size, by 'W x H'; empty where images are drawn.

        Args:
            rows: Indices of the pairs to look at.
        """
        return {}

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Return files with something that cannot be known from the file, each with sentences about it.

        Args:
            rows: Indices of the pairs to look at.
        """
        return {}

    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        """Return image i and its mask as tensors.

        Returns:
            Image (3, H, W) uint8, and mask (H, W) uint8 with values 0..K-1 or IGNORE, or None without masks.

        Raises:
            CycadaError: A file cannot be read. The message names it.
        """
        image, mask = self.pair(i)
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
        return pixels, None if mask is None else torch.from_numpy(np.array(mask, order="C"))

    @abstractmethod
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        """Return image i, (H, W, 3) uint8, and its mask, (H, W) uint8 or None, as arrays.

        Where `labelled` is False, no mask file is opened.
        """

    def without_masks(self) -> Self:
        """Return the same images without masks, as the methods see a target domain."""
        return self.subset(range(len(self)), labelled=False)

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        """Return some of the pairs, in the given order.

        Args:
            rows: Indices of the pairs.
            labelled: Whether their masks are read; None leaves it as it is.
        """
        subset = copy.copy(self)
        subset.names = [self.names[i] for i in rows]
        subset.labelled = self.labelled if labelled is None else labelled
        return subset

    def true_translation(self, other: SegmentationDataset) -> SegmentationDataset | None:
        """Return the same scenes as they look in the domain of `other`: the result of a perfect translation.

        Returns:
            The dataset, in the same order, or None where it is unknown. Only drawn and paired images have
            one.
        """
        return None


class SceneDomain(ABC):
    """Domain whose images have one class mask each, or no labels at all.

    A subclass sets the attributes below, implements `scenes` and registers itself with
    `@scene_domains("name")`. Its keyword-only constructor arguments are the options that a config may set.

    Attributes:
        title: Name of the domain as a report prints it; the registered name where it is empty.
        classes: Names of the classes, in the order of the values of the masks.
        palette: Colour of each class, for figures.
        splits: The splits. 'test' is the labelled split that is scored: the official validation set where the
            labels of the official test set are secret.
        unlabelled: The split whose images, without masks, are the target's training images.
        flip_safe: Whether a mirrored image is a possible image of the domain.
        labelled: False where no split has masks.
        reads_upright: Whether image files are turned upright by their EXIF orientation; not where they have
            masks, which would not be turned with them.
        classes_read: Text of the file that defines the classes, once it is read. It is part of the data's
            fingerprint.
        counts: Number of pairs in each official split; empty where it depends on the user's files.
        consecutive: Whether the test images, in their order, are consecutive frames of one video. Reports
            then resample them in blocks.
        without_effect: Options that have no effect because of the other options, each with the reason.
        files: Files expected under the data root, as glob patterns.
        how_to_get: Sentence that says how to get them.
    """

    title: ClassVar[str] = ""
    classes: tuple[str, ...]
    palette: Palette
    splits: tuple[str, ...] = ("train", "test")
    unlabelled: str = "train"
    flip_safe: bool = True
    labelled: bool = True
    reads_upright: ClassVar[bool] = False
    classes_read: str = ""
    counts: Mapping[str, int] = {}
    consecutive: bool = False
    without_effect: Mapping[str, str] = {}
    files: ClassVar[tuple[str, ...]] = ()
    how_to_get: ClassVar[str] = ""

    def load(self, root: Path, split: str) -> SegmentationDataset:
        """Return the pairs of a split, none of which is read yet.

        Args:
            root: Data root.
            split: One of `splits`.

        Raises:
            Absent: The files are not there.
            CycadaError: There is no such split, or its files do not match. The message names the path, what
                was found and what is expected.
        """
        if split not in self.splits:
            raise CycadaError(
                f"Domain '{self.name}': found the split '{split}', expected one of {', '.join(self.splits)}."
            )
        return self.scenes(root, split)

    @abstractmethod
    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        """Return the pairs of a split, which is one of `splits`; `load` calls it."""

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split without masks, as an unlabelled target.

        A domain in files overrides this, so that the mask files need not be there.
        """
        return self.load(root, split).without_masks()

    def count(self, root: Path, split: str, masks: bool) -> int:
        """Return the number of pairs of a split, or of images if `masks` is False; raises as `load` does."""
        return len(self.load(root, split) if masks else self.images(root, split))

    def mask_values(self, root: Path) -> Sequence[int | tuple[int, int, int]]:
        """Return the value that stands for each class in the domain's mask files: an id, or a colour.

        Args:
            root: Data root. No image or mask is read, but a file that defines the classes may be.

        Raises:
            CycadaError: That file cannot be read.
        """
        return range(len(self.classes))

    def missing(self, searched: Path, expected: str) -> Absent:
        """Return the error for absent files: the folder, what is expected there and how to get it."""
        found = f"Domain '{self.name}': no data in {searched.resolve()}. Expected there: {expected}."
        return Absent(f"{found} {self.how_to_get}".rstrip() + ROOT_HINT)

    @property
    def name(self) -> str:
        """Name under which the domain is registered, or of its class where it is not registered."""
        return next((n for n in scene_domains if scene_domains[n] is type(self)), type(self).__name__)


scene_domains: Registry[type[SceneDomain]] = Registry("scene domain")


def domain_title(name: str) -> str:
    """Return the title that reports print for a domain, or its name where it has none."""
    if name in domains:
        return domains[name].title or name
    if name in scene_domains:
        return scene_domains[name].title or name
    return name


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Return at most `wanted` indices, evenly spaced over 0..count-1."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, wanted))})
