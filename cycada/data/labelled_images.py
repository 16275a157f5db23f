"""Sets of images with one label each, and the checks of their arrays when they are read."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from cycada.core.errors import CycadaError
from cycada.core.files import bytes_digest
from cycada.data.convert import Resize, convert
from cycada.data.image_set import BatchStream, Image, ImageSet, Mask, Sample, StreamSettings, evenly_spaced
from cycada.data.loaders import Stream


@dataclass(frozen=True)
class Origin:
    """Origin of the images of a dataset, for the line that reports what was read.

    Attributes:
        sizes: Number of image files of each size, by 'W x H'; empty for a domain whose files all have the
            same size.
        stored: That size, 'W x H'; empty where the files have sizes of their own.
        files: The file of each image, in order; empty where one file holds several images.
        digests: Digest of the pixels of each image, as they were read; empty where it was not computed.
        left_out: Files beside the images that were not read, each with the reason.
        doubts: Files with something that cannot be known from the file, each with sentences about it.
        ordered: Whether the images may stand in an order, such as by class, so that the first ones do not
            stand for all.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    stored: str = ""
    files: Sequence[str] = ()
    digests: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ordered: bool = False


class ClassificationSet(ImageSet):
    """Set of images with one label each, or without labels; all images have one size.

    Attributes:
        labels: (N,) int64, values 0..K-1; None for unlabelled images.
        origin: The files that the images come from.
    """

    task = "classification"
    labels: Tensor | None
    origin: Origin

    @property
    def cut_square(self) -> bool:  # type: ignore[override]
        """Whether the images were cut to squares: those of files of their own were."""
        return bool(self.origin.files)

    # Attributes of ImageSet that are computed here, which mypy allows only the other way round.
    @property
    def labelled(self) -> bool:  # type: ignore[override]
        """Whether the images have labels."""
        return self.labels is not None

    @property
    def skipped(self) -> Mapping[str, str]:  # type: ignore[override]
        """Nothing: a damaged image is an error."""
        return {}

    @property
    def left_out(self) -> Mapping[str, str]:  # type: ignore[override]
        """Files beside the images that were not read, each with the reason."""
        return self.origin.left_out

    @property
    def image_paths(self) -> Sequence[str]:
        """File of each image, in order; empty where one file holds several images."""
        return self.origin.files

    @property
    def image_labels(self) -> Tensor | None:
        """Class of each image, (N,) int64; None without labels."""
        return self.labels

    @property
    def is_official(self) -> bool:
        """Whether it is a published set whose files all have one size."""
        return not self.origin.sizes

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, label, _ = self.read(i)
        pixels = image.permute(1, 2, 0).cpu().numpy()
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3)), (
            None if label is None else label.cpu().numpy()[None, None]
        )

    @override
    def sample_rows(self, count: int) -> Sequence[int]:
        return evenly_spaced(len(self), count) if self.origin.ordered else range(min(count, len(self)))

    @abstractmethod
    def converted(self, channels: int, size: tuple[int, int], resize: Resize, device: torch.device) -> Self:
        """Return the images with the size and channels that networks see.

        Args:
            channels: 1 or 3.
            size: (height, width) in pixels.
            resize: Interpolation, see `convert`.
            device: Where images in memory are kept.
        """

    @abstractmethod
    def hash_into(self, hasher: hashlib.blake2b, labels: bool) -> None:
        """Feed the bytes of all images, and then of all labels if `labels`, to a hash."""

    @override
    def fingerprint(self, labels: bool) -> str:
        hasher = hashlib.blake2b(digest_size=8)
        self.hash_into(hasher, labels)
        return hasher.hexdigest()

    @override
    def describe_labels(self, classes: int) -> str:
        if self.labels is None:
            return "without labels"
        counts = np.bincount(self.labels.cpu().numpy(), minlength=classes)
        present = counts[counts > 0]
        least, most = present.min(), present.max()
        each = f"{least}" if least == most else f"{least} to {most}"
        return f"{len(present)} of {classes} classes ({each} each)"

    @override
    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        return self.origin.sizes or ({self.origin.stored: len(self)} if self.origin.stored else {})

    @override
    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        return self.origin.doubts


@dataclass(frozen=True)
class ImageDataset(ClassificationSet):
    """Images in memory, with one label each or without labels.

    Attributes:
        images: (N, C, H, W) uint8, values 0..255.
        labels: (N,) int64, values 0..K-1; None for unlabelled images.
        origin: The files that the images come from.
        partners: The partner of each image, as `images`; None without partners.
    """

    images: Tensor
    labels: Tensor | None
    origin: Origin = Origin()
    partners: Tensor | None = None
    cached: ClassVar[bool] = True  # type: ignore[misc] # an attribute of the class, so that it is no field

    @override
    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        """(height, width) in pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @override
    def read(self, i: int) -> Sample:
        label, partner = self.labels, self.partners
        return Sample(
            self.images[i], None if label is None else label[i], None if partner is None else partner[i]
        )

    @override
    def take(self, rows: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        index: slice | Tensor = (
            slice(rows.start, rows.stop, rows.step)  # a view, without a copy
            if isinstance(rows, range)
            else torch.as_tensor(rows, device=self.images.device)
        )
        return self.images[index], None if self.labels is None else self.labels[index]

    @override
    def without_labels(self) -> ImageDataset:
        return replace(self, labels=None)

    @override
    def with_partner(self, partner: ImageSet) -> ImageDataset:
        return replace(self, partners=partner.take(range(len(partner)))[0])

    @override
    def converted(
        self, channels: int, size: tuple[int, int], resize: Resize, device: torch.device
    ) -> ImageDataset:
        images = convert(self.images, size, channels, resize)
        labels = None if self.labels is None else self.labels.to(device)
        origin = replace(self.origin, stored=f"{self.images.shape[3]} x {self.images.shape[2]}")
        return ImageDataset(images.to(device), labels, origin)

    @override
    def hash_into(self, hasher: hashlib.blake2b, labels: bool) -> None:
        hasher.update(np.ascontiguousarray(self.images.cpu().numpy()).data)
        if labels and self.labels is not None:
            hasher.update(self.labels.cpu().numpy().data)

    @override
    def identities(self) -> Iterator[str]:
        if self.origin.digests or self.is_official:
            yield from self.origin.digests
            return
        for image in self.images.cpu().numpy():
            yield bytes_digest(image.tobytes())

    @override
    def stream(self, settings: StreamSettings) -> BatchStream:
        return Stream(self, settings.batch, settings.seed, settings.rank, settings.world, settings.augment)


def check_brightest(value: int, file: str) -> None:
    """Check that the values of uint8 images use the range 0..255 and not 0..1.

    Args:
        value: Largest value of all images.
        file: The file that they come from, for the error.

    Raises:
        CycadaError: The largest value is at most 1.
    """
    if value <= 1:
        raise CycadaError(
            f"{file}: found uint8 images with no value above 1, expected 0..255. Multiply them by 255."
        )


def make_image_dataset(
    images: np.ndarray, labels: np.ndarray | None, classes: int, file: str, origin: Origin = Origin()
) -> ImageDataset:
    """Check arrays of images and labels, and return them as a dataset.

    Args:
        images: (N, H, W) or (N, H, W, C) with C = 1 or 3, uint8 in 0..255 or floating point in [0, 1].
        labels: (N,) integers in 0..classes-1, or None.
        classes: Number of classes.
        file: The file that the arrays come from, for the errors.
        origin: The files of the single images.

    Raises:
        CycadaError: The shape, the type or the range of an array is not the one above.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise CycadaError(
            f"{file}: found images of shape {images.shape}, expected (N, H, W), (N, H, W, 1) or (N, H, W, 3) "
            f"with N > 0 and at least one pixel.{_advice_on_shape(images)}"
        )
    if images.dtype.kind not in "biuf":
        raise CycadaError(
            f"{file}: found images of the type {images.dtype}, expected uint8 in 0..255 or float in [0, 1]."
        )
    if images.dtype != np.uint8:
        if not np.isfinite(images).all():
            raise CycadaError(f"{file}: found images with NaN or infinity, expected finite numbers.")
        low, high = float(images.min()), float(images.max())
        if not np.issubdtype(images.dtype, np.floating) or not (low >= 0 and 0.2 < high <= 1):
            raise CycadaError(
                f"{file}: found {images.dtype} images from {low:g} to {high:g}, expected uint8 in 0..255 or "
                f"float in [0, 1]. Rescale them."
            )
        images = np.round(images * 255).astype(np.uint8)
    else:
        check_brightest(int(images.max()), file)
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if labels is None:
        return ImageDataset(pixels, None, origin)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise CycadaError(
            f"{file}: found labels {labels.dtype}{labels.shape}, expected integers of shape ({len(images)},)."
            f"{_advice_on_labels(labels)}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise CycadaError(
            f"{file}: found labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}."
            f"{' They count from 0: give labels - 1.' if labels.min() == 1 else ''}"
        )
    return ImageDataset(pixels, torch.from_numpy(labels.astype(np.int64)), origin)


def _advice_on_shape(images: np.ndarray) -> str:
    """Return how images of a wrong shape become right ones, or ''."""
    if images.ndim == 2:
        return " Rows of values need their height and width: give images.reshape(len(images), H, W, C)."
    if images.ndim != 4:
        return ""
    if images.shape[1] in (1, 3):
        return " Its channels stand first: give images.transpose(0, 2, 3, 1)."
    return " Without a fourth channel, as of opacity: give images[..., :3]." if images.shape[-1] == 4 else ""


def _advice_on_labels(labels: np.ndarray) -> str:
    """Return how labels of a wrong type or shape become right ones, or ''."""
    if labels.ndim == 2:
        if labels.shape[1] == 1:
            return " Give labels[:, 0]."
        return " Of rows with a one for the class, give labels.argmax(1)."
    if labels.dtype.kind in "US":
        return " Of names, give the place of each in the list of the classes, from 0."
    return " Give labels.astype(int)." if labels.dtype.kind in "bf" else ""
