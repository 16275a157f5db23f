"""A domain: where its images are, how they are labelled, and the checks that they pass when they are loaded."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from cycada.core.errors import Absent, CycadaError
from cycada.core.registry import Registry

Split = Literal["train", "test"]
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Origin:
    """Where images come from, for the line that says what was read.

    Attributes:
        sizes: 'W x H' of a user's files as they are -> how many; empty for a domain whose files are all of one size.
        stored: 'W x H' of such a domain's files.
        files: The file of each image, in order; empty where several are in one file.
        left_out: What lies beside them and was not read -> why.
        doubts: File -> sentences about what of it cannot be known.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    stored: str = ""
    files: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageDataset:
    """images: (N, C, H, W) uint8 in 0..255. labels: (N,) int64 in 0..K-1, or None where there are none."""

    images: Tensor
    labels: Tensor | None
    origin: Origin = Origin()

    def __len__(self) -> int:
        return len(self.images)

    def without_labels(self) -> ImageDataset:
        """The same images with nothing to learn from: what a target domain is."""
        return replace(self, labels=None)


@dataclass(frozen=True)
class Wanted:
    """What an experiment asks of a domain, besides the domain's own options.

    Attributes:
        size: The side of the square images, in pixels (data.size).
        resize: How they are brought to it (data.resize).
        labels: Whether the labels of the training images are wanted. An unlabelled target's are not.
        classes: The classes of the source, for a target that names none of its own.
    """

    size: int
    resize: str = "bilinear"
    labels: bool = True
    classes: tuple[str, ...] = ()


class Domain(ABC):
    """One domain. Subclasses set the card below, register with `@domains("name")` and answer `load`.

    classes: their names, in the order of the labels. channels, size: of the files as they are.
    counts: how many images each official split has; empty where every user's is another one.
    flip_safe: whether a mirrored image still shows its class. files: what is expected under the data root. classes_from_files: whether
    the names of the classes are read with the data, so that they are part of what the data are known by.
    """

    classes: tuple[str, ...] = DIGITS
    channels: ClassVar[int]
    size: ClassVar[int]
    counts: Mapping[Split, int] = {}
    flip_safe: bool = False
    classes_from_files: bool = False
    value_range: ClassVar[str] = "uint8 0..255"
    files: ClassVar[tuple[str, ...]] = ()
    how_to_get: ClassVar[str] = ""

    def prepare(self, wanted: Wanted) -> None:  # noqa: B027
        """Hear what the experiment asks for, before `load`. Domains whose files are of one size need not listen."""

    @abstractmethod
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        """All images of a split. Raises CycadaError that names path, found and expected."""

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Count the images of a split, without reading them where that can be.

        Args:
            root: Where the data are.
            split: Which part.
            download: As for `load`.

        Returns:
            As many as `load` gives.

        Raises:
            Absent: The data are not there, and copies of them differ.
            CycadaError: They cannot be read.
        """
        return self.counts[split] if split in self.counts else len(self.load(root, split, download))

    def missing(self, root: Path, expected: str) -> Absent:
        """The answer to absent data: the path searched, the files expected there, how to get them."""
        return Absent(
            f"Domain '{self.name}': no data in {root.resolve()}. Expected there: {expected}. {self.how_to_get}".rstrip()
            + " The data root comes from data.root, the variable CYCADA_DATA, or is ./data."
        )

    def damaged(self, file: Path, error: Exception, expected: str) -> CycadaError:
        """The answer to a file that is there and cannot be read: the path, what was found and what is expected."""
        size = file.stat().st_size if file.is_file() else 0
        what = " ".join(str(error).split())[:300] or type(error).__name__
        return CycadaError(
            f"Domain '{self.name}': {file.resolve()} is damaged or another file: found {size:,} bytes ({what}), expected {expected}. "
            f"Get it again."
        )

    @property
    def name(self) -> str:
        return next((n for n in domains if domains[n] is type(self)), type(self).__name__)


domains: Registry[type[Domain]] = Registry("domain")


def prepare_domain(domain: Domain, wanted: Wanted, side: str) -> None:
    """Tell a domain what the experiment asks for. Raises CycadaError, with the side, where its options contradict that."""
    try:
        domain.prepare(wanted)
    except CycadaError as error:
        raise CycadaError(f"data.{side}: {error}") from None


def class_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Names of classes in Unicode's composed form, since some systems store an accent as a letter of its own.

    Raises CycadaError where two are the same, or one is empty.
    """
    composed = tuple(unicodedata.normalize("NFC", str(name)) for name in names)
    if doubled := sorted(name for name, times in Counter(composed).items() if times > 1):
        raise CycadaError(f"{where}: found the class {doubled[0]!r} twice, expected every class once.")
    if not all(name.strip() for name in composed):
        raise CycadaError(f"{where}: found a class without a name, expected one for every class.")
    return composed


def examples(
    images: np.ndarray, labels: np.ndarray | None, classes: int, file: str, origin: Origin = Origin()
) -> ImageDataset:
    """Checked arrays as tensors. images (N, H, W) or (N, H, W, C); uint8, or float in [0, 1]. Raises CycadaError."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise CycadaError(
            f"{file}: found images of shape {images.shape}, expected (N, H, W), (N, H, W, 1) or (N, H, W, 3) with N > 0."
        )
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        if not np.issubdtype(images.dtype, np.floating) or not (low >= 0 and 0.2 < high <= 1):
            raise CycadaError(
                f"{file}: found {images.dtype} images from {low:g} to {high:g}, expected uint8 in 0..255 or float in [0, 1]. Rescale them."
            )
        images = np.round(images * 255).astype(np.uint8)
    elif int(images.max()) <= 1:
        raise CycadaError(
            f"{file}: found uint8 images with no value above 1, expected 0..255. Multiply them by 255."
        )
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if labels is None:
        return ImageDataset(pixels, None, origin)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise CycadaError(
            f"{file}: found labels {labels.dtype}{labels.shape}, expected integers of shape ({len(images)},)."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise CycadaError(
            f"{file}: found labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}."
        )
    return ImageDataset(pixels, torch.from_numpy(labels.astype(np.int64)), origin)
