"""ImageSet, the one interface of every set of images: with labels, masks or neither, in memory or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from cycada.data.augment import Augment

Task = Literal["classification", "segmentation"]
"""What is predicted: one class for each image, or one for each pixel."""
Image = np.ndarray
"""Image as an array, (H, W, 3) uint8."""
Mask = np.ndarray
"""Class of each pixel, (H, W) integers, values 0..K-1 or IGNORE."""


class Sample(NamedTuple):
    """One image of a set with all that belongs to it.

    Attributes:
        image: (C, H, W) uint8.
        label: Class of the image, () int64, or mask, (H, W) uint8 with values 0..K-1 or IGNORE; None without.
        partner: Second image that goes with the first, (C, H, W) uint8: its translation, or its true
            counterpart in the other domain; None without.
    """

    image: Tensor
    label: Tensor | None
    partner: Tensor | None = None

    def transformed(
        self, of_images: Callable[[Tensor], Tensor], of_mask: Callable[[Tensor], Tensor]
    ) -> Sample:
        """Return the sample, its image and partner changed by one function and its mask by another."""
        return Sample(
            of_images(self.image),
            None if self.label is None else of_mask(self.label),
            None if self.partner is None else of_images(self.partner),
        )


class SampleBatch(NamedTuple):
    """Samples of one training step.

    Attributes:
        images: (N, C, h, w), uint8 from a loader, float in [-1, 1] from a stream.
        labels: (N,) int64, or masks (N, h, w); None without labels.
        partners: The partner of each image, as `images`; None without partners.
    """

    images: Tensor
    labels: Tensor | None
    partners: Tensor | None = None


class BatchStream(Protocol):
    """Endless stream of batches, of which the batch of step k depends on (seed, k) alone."""

    batch: int

    def draw(self, step: int, augmented: bool = True) -> SampleBatch:
        """Return the batch of a step on the training device, with images in [-1, 1].

        Args:
            step: The step.
            augmented: Whether the images are augmented, where the stream augments any.
        """


@dataclass(frozen=True)
class StreamSettings:
    """Settings of the batches that a stage trains on.

    Attributes:
        batch: Images in a batch of one process.
        seed: Seed of the order and of random crops.
        device: Where the batches go.
        augment: Random augmentation; images with masks are not moved by affine maps.
        window: (height, width) of random crops, for images with masks; images with labels stay whole.
        crop_area: (least, most) share of the image that a crop covers, see `Crops`.
        workers: Worker processes that read images which are not in memory.
        rank: Number of this process among those that train together.
        world: Number of processes that train together.
    """

    batch: int
    seed: int
    device: torch.device
    augment: Augment | None = None
    window: tuple[int, int] = (0, 0)
    crop_area: tuple[float, float] | None = None
    workers: int = 0
    rank: int = 0
    world: int = 1


class ImageSet(ABC):
    """Set of images, of which each may have one label or one mask, and a partner image.

    Attributes:
        task: What its labels are for. An unlabelled set has the task of its experiment.
        names: Name of each image, in order; images in memory have none.
        size: (height, width) in pixels; absent where the images differ in size.
        labelled: Whether the images have labels or masks.
        cached: Whether all that was read stays in memory.
        cut_square: Whether files were cut to a centred square before they were resized.
        skipped: Names of images that were left out because they are damaged or incomplete, each with the
            error.
        left_out: Files beside the images that are not read, each with the reason.
    """

    task: ClassVar[Task]
    names: Sequence[str]
    size: tuple[int, int]
    labelled: bool
    cached: bool = False
    cut_square: ClassVar[bool] = False
    skipped: Mapping[str, str]
    left_out: Mapping[str, str]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, i: int) -> Sample:
        """Return image i with its label and its partner.

        Raises:
            CycadaError: A file cannot be read. The message names it.
        """

    @abstractmethod
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        """Return image i, (H, W, 3) uint8, and its mask, (H, W), as arrays for a picture of the data.

        The label of a whole image is a mask of one pixel.
        """

    def check_headers(self, i: int) -> None:  # noqa: B027
        """Check from the first bytes of the files of image i whether they can be read and fit together.

        Args:
            i: Index of the image.

        Raises:
            CycadaError: They cannot be read, or do not fit. The message names them.
        """

    @abstractmethod
    def sample_rows(self, count: int) -> Sequence[int]:
        """Return the indices of at most `count` images that stand for the set."""

    @abstractmethod
    def without_labels(self) -> Self:
        """Return the same images without labels or masks, as the methods see a target domain."""

    @abstractmethod
    def with_partner(self, partner: ImageSet) -> Self:
        """Return the same images, each with the image of another set at the same place as its partner.

        Args:
            partner: As many images of the same size.
        """

    @abstractmethod
    def fingerprint(self, labels: bool) -> str:
        """Return 16 hexadecimal characters that identify the images.

        Args:
            labels: Whether their labels or masks count too.
        """

    @abstractmethod
    def stream(self, settings: StreamSettings) -> BatchStream:
        """Return the endless stream of shuffled batches that training draws from."""

    @abstractmethod
    def describe_labels(self, classes: int) -> str:
        """Return a phrase about the labels, such as 'with masks', for the line that reports what was read.

        Args:
            classes: Number of classes K.
        """

    @property
    def image_labels(self) -> Tensor | None:
        """Class of each image, (N,) int64; None without labels, and for masks."""
        return None

    @property
    def image_paths(self) -> Sequence[str]:
        """File of each image, in order; empty where one file holds several images, and where it is drawn."""
        return ()

    @property
    def original(self) -> ImageSet:
        """The set before it was resized."""
        return self

    @property
    def is_official(self) -> bool:
        """Whether it is a published set whose files all have one size."""
        return False

    def take(self, rows: Sequence[int]) -> tuple[Tensor, Tensor | Sequence[Tensor] | None]:
        """Return some images, (n, C, H, W) uint8, and their labels.

        Args:
            rows: Indices of the images.

        Returns:
            The images; and their classes (n,) or their masks, which may differ in size, or None.
        """
        samples = [self.read(i) for i in rows]
        labels = [sample.label for sample in samples if sample.label is not None]
        return torch.stack([sample.image for sample in samples]), labels or None

    def sample(self, count: int) -> Tensor:
        """Return at most `count` images that stand for the set, (n, C, H, W) uint8."""
        return self.take(self.sample_rows(count))[0]

    def resized_to(self, size: tuple[int, int]) -> ImageSet:
        """Return the set at another size, (height, width); images with labels have one size and stay."""
        return self

    def true_translation(self, other: ImageSet) -> ImageSet | None:
        """Return the same images as they look in the domain of `other`: the result of a perfect translation.

        Returns:
            The set, in the same order, or None where it is unknown. Only drawn and paired images have one.
        """
        return None

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Return the number of image files of each size, by 'W x H'; empty where images are drawn.

        Args:
            rows: Indices of the images to look at, where files have to be opened for it.
        """
        return {}

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Return files with something that cannot be known from the file, each with sentences about it.

        Args:
            rows: Indices of the images to look at, where files have to be opened for it.
        """
        return {}

    def identities(self) -> Iterator[str]:
        """Yield what identifies each image, to find images that occur twice; nothing where it is unknown."""
        return iter(())


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Return at most `wanted` indices, evenly spaced over 0..count-1."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, wanted))})
