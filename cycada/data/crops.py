"""Batches of random crops of images and their masks.

Each crop depends on (seed, epoch, index of the image) alone, so that a resumed run sees the same crops
without any saved state of a random generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cycada.core.types import IGNORE
from cycada.data.loaders import epoch_order
from cycada.data.resize import resize_pair
from cycada.data.scenes import SegmentationDataset

GREY = 127
"""Value that images are padded with, the middle of 0..255."""

Key = tuple[int, int]
"""Key of a crop: (epoch, index of the image in its dataset)."""


class CropBatch(NamedTuple):
    """Batch of crops, still in bytes: `to_float` converts the images on the device.

    Attributes:
        images: (N, 3, h, w) uint8.
        masks: (N, h, w) uint8, values 0..K-1 or IGNORE; None where the dataset has no masks.
    """

    images: Tensor
    masks: Tensor | None


class Crops(Dataset[tuple[Tensor, Tensor | None]]):
    """Random crops of the images of a dataset, indexed by (epoch, index of the image).

    An image and its mask get the same crop. Images are resized by antialiased bilinear interpolation, masks
    by taking the nearest pixel. Where a crop is larger than its image, the image is padded on all sides with
    GREY and the mask with IGNORE.

    Args:
        scenes: The images and masks.
        size: (height, width) of a crop in pixels.
        seed: Seed of the random crops.
        width: Resize each image to this width in pixels first, keeping its shape; None leaves it as it is.
        flip: Mirror a crop left to right with probability 1/2.
        area: (least, most) share of the image's area, in (0, 1], that a crop covers: it is cut in the
            proportions of `size` and then resized to `size`. None cuts `size` pixels.
    """

    def __init__(
        self,
        scenes: SegmentationDataset,
        size: tuple[int, int],
        seed: int,
        width: int | None = None,
        flip: bool = True,
        area: tuple[float, float] | None = None,
    ) -> None:
        self.scenes, self.size, self.seed = scenes, size, seed
        self.width, self.flip, self.area = width, flip, area

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor | None]:
        """Return a crop of the image, (3, h, w) uint8, and of its mask, (h, w) uint8 or None."""
        epoch, index = key
        chance = np.random.default_rng((self.seed, epoch, index)).random(4)
        image, mask = self.scenes.read(index)
        if self.width is not None and self.width != image.shape[2]:
            image, mask = resize_pair(
                image, mask, (max(1, round(image.shape[1] * self.width / image.shape[2])), self.width)
            )
        window = (
            _window_size(image.shape, self.size, self.area[0] + chance[3] * (self.area[1] - self.area[0]))
            if self.area
            else self.size
        )
        image = _crop(image, window, chance, GREY)
        mask = None if mask is None else _crop(mask, window, chance, IGNORE)
        if window != self.size:
            image, mask = resize_pair(image, mask, self.size)
        if self.flip and chance[2] < 0.5:
            image, mask = image.flip(-1), None if mask is None else mask.flip(-1)
        return image.contiguous(), None if mask is None else mask.contiguous()


def _window_size(shape: Sequence[int], size: tuple[int, int], share: float) -> tuple[int, int]:
    """Return the (height, width), in the proportions of `size`, that covers a share of an image.

    Args:
        shape: Shape of the image, (3, H, W).
        size: (height, width) whose proportions are kept.
        share: Share of the image's area in (0, 1]; less is covered where so large a window does not fit.
    """
    height, width = shape[1:]
    scale = min(math.sqrt(share * height * width / (size[0] * size[1])), height / size[0], width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _crop(pixels: Tensor, size: tuple[int, int], chance: np.ndarray, fill: int) -> Tensor:
    """Return a window of the last two dimensions, padded with `fill` where it is larger than the image.

    Args:
        pixels: (..., H, W).
        size: (height, width) of the window.
        chance: Position of the window, from 0 (top, left) to 1 (bottom, right): down in [0], right in [1].
        fill: Value of the padding.
    """
    for axis, (length, share) in zip((-2, -1), zip(size, chance[:2], strict=True), strict=True):
        spare = pixels.shape[axis] - length
        if spare >= 0:
            pixels = pixels.narrow(axis, min(int(share * (spare + 1)), spare), length)
        else:
            before = -spare // 2
            padding = (before, -spare - before)
            pixels = F.pad(pixels, padding if axis == -1 else (0, 0, *padding), value=fill)
    return pixels


class Steps(Sampler[list[Key]]):
    """Endless sampler of batches of (epoch, index) keys, in the order of `Stream`.

    Args:
        count: Number of images.
        batch: Images in a batch of one process.
        seed: Seed of the order.
        start: Step whose batch comes first.
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(
        self, count: int, batch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch, self.seed, self.start = count, batch, seed, start
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[Key]]:
        step = self.start
        while True:
            first = (step * self.world + self.rank) * self.batch
            positions = [divmod(k, self.count) for k in range(first, first + self.batch)]
            yield [(epoch, int(epoch_order(self.count, self.seed, epoch)[k])) for epoch, k in positions]
            step += 1


def crop_loader(
    crops: Crops, batch: int, *, start: int = 0, workers: int = 0, rank: int = 0, world: int = 1
) -> DataLoader[CropBatch]:
    """Return an endless loader of crops, one `CropBatch` a step.

    A run that resumes at step k passes `start=k` and gets the batches that it would have got without the
    interruption, with any number of worker processes. The loader does not use torch's global generator.

    Args:
        crops: The crops.
        batch: Crops in a batch of this process.
        start: Step of the first batch.
        workers: Worker processes that read and crop; 0 reads in this process.
        rank: Number of this process among those that train together.
        world: Number of processes that train together.
    """
    return DataLoader(
        crops,  # type: ignore[arg-type] # its keys are (epoch, index), not an index
        batch_sampler=Steps(len(crops), batch, crops.seed, start, rank, world),
        num_workers=workers,
        collate_fn=_stack,
        generator=torch.Generator(),  # without it, a loader seeds its workers from the global generator
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
    )


def _stack(crops: list[tuple[Tensor, Tensor | None]]) -> CropBatch:
    masks = [mask for _, mask in crops if mask is not None]
    return CropBatch(torch.stack([image for image, _ in crops]), torch.stack(masks) if masks else None)
