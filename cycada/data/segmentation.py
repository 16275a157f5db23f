"""Images with one class mask each, read or drawn one by one, and the domains that they come from."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from cycada.core.errors import Absent, CycadaError
from cycada.core.registry import Registry
from cycada.data.crops import Crops
from cycada.data.domain import ROOT_HINT, Domain, domains
from cycada.data.image_set import Image, ImageSet, Mask, Sample, StreamSettings, evenly_spaced
from cycada.data.loaders import LoaderStream

Palette = Sequence[tuple[int, int, int]]
"""Colour of each class, for figures: red, green, blue in 0..255."""
SAMPLED = 8
"""Number of drawn images whose pixels enter a fingerprint."""
WHOLE = 2**20
"""Image files of at most so many bytes enter a fingerprint as a whole; of larger ones three blocks do."""
BLOCK = 2**16
"""Number of bytes of such a block."""


class SegmentationDataset(ImageSet):
    """Dataset of images with one class mask each, which keeps nothing in memory.

    A subclass implements `pair`, which reads or draws image i each time it is called.

    Attributes:
        names: Name of each pair, in order.
        labelled: Whether the images have masks.
        skipped: Names of pairs that were left out because they are damaged or incomplete, each with the
            error. A domain fills it where its option `skip_bad` is set.
        left_out: Files beside the pairs that are not read, each with the reason.
        partner: Set of the partner of each image; None without partners.
    """

    task = "segmentation"
    names: Sequence[str]
    labelled: bool = True
    partner: ImageSet | None = None
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

    @override
    def read(self, i: int) -> Sample:
        image, mask = self.pair(i)
        pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
        label = None if mask is None else torch.from_numpy(np.array(mask, order="C"))
        return Sample(pixels, label, self.read_partner(i))

    def read_partner(self, i: int) -> Tensor | None:
        """Return the partner of image i, (3, H, W) uint8, or None without partners."""
        return None if self.partner is None else self.partner.read(i).image

    @abstractmethod
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        """Return image i, (H, W, 3) uint8, and its mask, (H, W) uint8 or None, as arrays.

        Where `labelled` is False, no mask file is opened.
        """

    @override
    def sample_rows(self, count: int) -> Sequence[int]:
        return evenly_spaced(len(self), count)  # neighbours look alike

    @override
    def true_translation(self, other: ImageSet) -> SegmentationDataset | None:
        return None

    @override
    def without_labels(self) -> Self:
        return self.subset(range(len(self)), labelled=False)

    @override
    def with_partner(self, partner: ImageSet) -> Self:
        paired = copy.copy(self)
        paired.partner = partner
        return paired

    @override
    def stream(self, settings: StreamSettings) -> LoaderStream:
        augment = settings.augment
        flip = augment is not None and augment.flip
        crops = Crops(self, settings.window, settings.seed, flip=flip, area=settings.crop_area)
        # Crops are mirrored already, together with their masks.
        of_pixels = replace(augment, flip=False) if augment is not None and augment.changes_pixels else None
        return LoaderStream(crops, replace(settings, augment=of_pixels))

    @override
    def describe_labels(self, classes: int) -> str:
        return "with masks" if self.labelled else "without masks"

    @override
    def identities(self) -> Iterator[str]:
        return (str(image.resolve()) for image, _ in self.paths)

    @override
    def fingerprint(self, labels: bool) -> str:
        """Return 16 hexadecimal characters that identify the data.

        They depend on the names, on all bytes of the mask files, and on those of the image files, of which
        large ones are read at the beginning, in the middle and at the end. Of drawn images the pixels of
        `SAMPLED` count.

        Args:
            labels: Whether the masks count too.
        """
        hasher = hashlib.blake2b("\n".join(self.names).encode(), digest_size=8)
        for image_file, mask_file in self.paths:
            _hash_file(hasher, image_file, whole=False)
            if labels and mask_file:
                _hash_file(hasher, mask_file, whole=True)
        if self.paths:
            return hasher.hexdigest()
        for i in sorted({int(k) for k in torch.linspace(0, len(self) - 1, min(SAMPLED, len(self)))}):
            image, mask = self.pair(i)
            hasher.update(image.tobytes())
            if labels and mask is not None:
                hasher.update(mask.tobytes())
        return hasher.hexdigest()

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        """Return some of the pairs, in the given order.

        Args:
            rows: Indices of the pairs.
            labelled: Whether their masks are read; None leaves it as it is.
        """
        assert self.partner is None  # partners come last, when nothing is chosen any more
        subset = copy.copy(self)
        subset.names = [self.names[i] for i in rows]
        subset.labelled = self.labelled if labelled is None else labelled
        return subset


def _hash_file(hasher: hashlib.blake2b, file: Path, whole: bool) -> None:
    """Hash the size of a file and its bytes, or three blocks of a large one that is not needed whole."""
    size = file.stat().st_size
    hasher.update(f"{size}\n".encode())
    with file.open("rb") as content:
        if whole or size <= WHOLE:
            hasher.update(content.read())
            return
        for place in (0, (size - BLOCK) // 2, size - BLOCK):
            content.seek(place)
            hasher.update(content.read(BLOCK))


class SegmentationDomain(ABC):
    """Domain whose images have one class mask each, or no labels at all.

    A subclass sets the attributes below, implements `load_split` and registers itself with
    `@segmentation_domains("name")`. Its keyword-only constructor arguments are the options that a config may
    set.

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
        return self.load_split(root, split)

    def open(self, root: Path, split: str, download: bool, labels: bool = True) -> SegmentationDataset:
        """Return a split: as `load` with `labels`, as `images` without; nothing is downloaded."""
        return self.load(root, split) if labels else self.images(root, split)

    @abstractmethod
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        """Return the pairs of a split, which is one of `splits`; `load` calls it."""

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split without masks, as an unlabelled target.

        A domain in files overrides this, so that the mask files need not be there.
        """
        return self.load(root, split).without_labels()

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
        registered = (name for name, domain in segmentation_domains.items() if domain is type(self))
        return next(registered, type(self).__name__)


segmentation_domains: Registry[type[SegmentationDomain]] = Registry("segmentation domain")


def find_domain(name: str) -> type[Domain] | type[SegmentationDomain] | None:
    """Return the domain of either kind that is registered under a name, or None.

    There are two registries because a config's two domains have to be of one kind; reports only need a name's
    class, of whichever kind it is.
    """
    if name in domains:
        return domains[name]
    return segmentation_domains.get(name)


def domain_title(name: str) -> str:
    """Return the title that reports print for a domain, or its name where it has none."""
    domain = find_domain(name)
    return domain.title or name if domain else name
