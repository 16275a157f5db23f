"""Batches of random crops from scenes: which crop of which scene is a matter of (seed, epoch, index) and nothing else."""

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
"""What an image is padded with: the middle of the range."""

Key = tuple[int, int]
"""(epoch, index of the scene)."""


class CropBatch(NamedTuple):
    """images: (N, 3, h, w) uint8, for `to_float` on the device. masks: (N, h, w) uint8, or None without labels."""

    images: Tensor
    masks: Tensor | None


class Crops(Dataset[tuple[Tensor, Tensor | None]]):
    """SegmentationDataset, scaled to `width` (None: as they are), cut to `size` = (height, width) and mirrored by chance.

    area: (least, most) share of the scene that is cut, in the shape of `size`, and then scaled to it. Images are
    scaled antialiased, masks by the nearest pixel. What a crop is larger than its image is padded around it, the mask with
    IGNORE. Both get the same cut. Indexed by (epoch, index), so that no state has to be kept or saved.
    """

    def __init__(
        self, scenes: SegmentationDataset, size: tuple[int, int], seed: int, width: int | None = None, flip: bool = True,
        area: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        self.scenes, self.size, self.seed, self.width, self.flip, self.area = (
            scenes,
            size,
            seed,
            width,
            flip,
            area,
        )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor | None]:
        """Image (3, h, w) uint8 and mask (h, w) uint8."""
        epoch, index = key
        chance = np.random.default_rng((self.seed, epoch, index)).random(4)
        image, mask = self.scenes.read(index)
        if self.width is not None and self.width != image.shape[2]:
            image, mask = resize_pair(
                image, mask, (max(1, round(image.shape[1] * self.width / image.shape[2])), self.width)
            )
        window = (
            _part(image.shape, self.size, self.area[0] + chance[3] * (self.area[1] - self.area[0]))
            if self.area
            else self.size
        )
        image = _cut(image, window, chance, GREY)
        mask = None if mask is None else _cut(mask, window, chance, IGNORE)
        if window != self.size:
            image, mask = resize_pair(image, mask, self.size)
        if self.flip and chance[2] < 0.5:
            image, mask = image.flip(-1), None if mask is None else mask.flip(-1)
        return image.contiguous(), None if mask is None else mask.contiguous()


def _part(shape: Sequence[int], size: tuple[int, int], share: float) -> tuple[int, int]:
    """(height, width) in the proportions of `size` that is `share` of an image (3, H, W), or as much of it as fits."""
    height, width = shape[1:]
    scale = min(math.sqrt(share * height * width / (size[0] * size[1])), height / size[0], width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _cut(pixels: Tensor, size: tuple[int, int], chance: np.ndarray, fill: int) -> Tensor:
    """A window of the last two dimensions, at chance[0] of the way down and chance[1] of the way right."""
    for axis, (want, share) in zip((-2, -1), zip(size, chance[:2], strict=True), strict=True):
        spare = pixels.shape[axis] - want
        if spare >= 0:
            pixels = pixels.narrow(axis, min(int(share * (spare + 1)), spare), want)
        else:
            before = -spare // 2
            around = (before, -spare - before)
            pixels = F.pad(pixels, around if axis == -1 else (0, 0, *around), value=fill)
    return pixels


class Steps(Sampler[list[Key]]):
    """The batches of step `start`, `start` + 1, ... without end: the order of `Stream`, as (epoch, index)."""

    def __init__(
        self, count: int, batch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.count, self.batch, self.seed, self.start, self.rank, self.world = (
            count,
            batch,
            seed,
            start,
            rank,
            world,
        )

    def __iter__(self) -> Iterator[list[Key]]:
        step = self.start
        while True:
            first = (step * self.world + self.rank) * self.batch
            places = [divmod(at, self.count) for at in range(first, first + self.batch)]
            yield [(epoch, int(epoch_order(self.count, self.seed, epoch)[at])) for epoch, at in places]
            step += 1


def crop_loader(
    crops: Crops, batch: int, *, start: int = 0, workers: int = 0, rank: int = 0, world: int = 1
) -> DataLoader[CropBatch]:
    """An endless loader of `CropBatch`s from step `start` on. A run that resumes at step k asks for start=k and sees what it would

    have seen, with any number of worker processes. Torch's global generator is neither read nor moved.
    """
    return DataLoader(
        crops,  # type: ignore[arg-type]
        batch_sampler=Steps(len(crops), batch, crops.seed, start, rank, world),  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=_stack,
        generator=torch.Generator(),  # a loader draws a seed for its workers, from the global generator unless it has its own
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
    )


def _stack(found: list[tuple[Tensor, Tensor | None]]) -> CropBatch:
    masks = [mask for _, mask in found if mask is not None]
    return CropBatch(torch.stack([image for image, _ in found]), torch.stack(masks) if masks else None)
