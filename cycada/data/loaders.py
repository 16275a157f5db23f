"""Streams of batches from datasets that are in memory, as bytes, on the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cycada.data.domain import ImageDataset
from cycada.data.transforms import random_affine


@dataclass(frozen=True)
class Augment:
    """Random augmentation of training images: affine maps and mirroring.

    Calling it maps images (N, C, H, W) to images of the same shape. It draws from torch's global CPU
    generator.

    Attributes:
        rotate: Largest rotation in degrees, either way.
        scale: Largest change of the size, as a share: 0.1 is 0.9 to 1.1.
        shear: Largest shear in degrees, either way.
        shift: Largest shift, as a share of the side, either way.
        flip: Mirror each image left to right with probability 1/2.
    """

    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images, (N, C, H, W), each changed by a random draw of its own."""
        if self.flip:
            mirrored = (torch.rand(len(images), 1, 1, 1) < 0.5).to(images.device)
            images = torch.where(mirrored, images.flip(3), images)
        if not (self.rotate or self.scale or self.shear or self.shift):
            return images
        return random_affine(images, self.rotate, self.scale, self.shear, self.shift)


def to_float(images: Tensor) -> Tensor:
    """Return images of uint8 in 0..255 as float32 in [-1, 1], the range of every network."""
    return images.float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8 in 0..255, rounded; values outside the range are clamped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch shows `count` images, (count,) int64."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 7_919 + 17) % 2**63)
    return torch.randperm(count, generator=generator)


class Stream:
    """Endless stream of shuffled batches in which each epoch shows every image once.

    The order of an epoch depends on (seed, epoch) alone. The batch of step k therefore depends on (seed, k)
    alone, and a resumed run gets the same batches. With `world` processes, a step takes `world` batches from
    the order, one for each.

    Args:
        examples: The images and labels.
        batch: Images in a batch of one process.
        seed: Seed of the order.
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(self, examples: ImageDataset, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.examples, self.batch, self.seed, self.rank, self.world = examples, batch, seed, rank, world

    def indices(self, step: int) -> Tensor:
        """Return the indices of the batch of a step, counted from 0, as (batch,) int64."""
        start = (step * self.world + self.rank) * self.batch
        parts, need, count = [], self.batch, len(self.examples)
        while need:
            epoch, offset = divmod(start, count)
            part = epoch_order(count, self.seed, epoch)[offset : offset + need]
            parts.append(part)
            start, need = start + len(part), need - len(part)
        return torch.cat(parts)

    def draw(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the images of a step, (batch, C, H, W) float in [-1, 1], and labels, (batch,) or None."""
        rows = self.indices(step).to(self.examples.images.device)
        labels = self.examples.labels
        return to_float(self.examples.images[rows]), None if labels is None else labels[rows]
