"""Batches by index from a whole set that lives as uint8 on the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cycada.data.domain import ImageDataset
from cycada.data.transforms import random_affine


@dataclass(frozen=True)
class Augment:
    """Random affine maps of the training images. rotate, shear: degrees. scale, shift: shares. All are +-.

    flip: every second image mirrored, by chance.
    """

    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        if self.flip:
            mirrored = (torch.rand(len(images), 1, 1, 1) < 0.5).to(images.device)
            images = torch.where(mirrored, images.flip(3), images)
        if not (self.rotate or self.scale or self.shear or self.shift):
            return images
        return random_affine(images, self.rotate, self.scale, self.shear, self.shift)


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float in [-1, 1], the range of every network."""
    return images.float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Float in [-1, 1] -> uint8 0..255, rounded; what is outside is clamped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch shows `count` images: (count,) int64."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 7_919 + 17) % 2**63)
    return torch.randperm(count, generator=generator)


class Stream:
    """An endless shuffled pass over a set: every image once per epoch, the order drawn from (seed, epoch), so that the
    batch of step k depends on nothing but (seed, k) and a resumed run sees the same data.

    With `world` processes a step takes `world` batches from the order and process `rank` gets its own.
    """

    def __init__(self, examples: ImageDataset, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.examples, self.batch, self.seed, self.rank, self.world = examples, batch, seed, rank, world

    def indices(self, step: int) -> Tensor:
        """(batch,) int64, for step 0, 1, 2, ..."""
        start = (step * self.world + self.rank) * self.batch
        parts, need, count = [], self.batch, len(self.examples)
        while need:
            epoch, offset = divmod(start, count)
            part = epoch_order(count, self.seed, epoch)[offset : offset + need]
            parts.append(part)
            start, need = start + len(part), need - len(part)
        return torch.cat(parts)

    def draw(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Images (batch, C, H, W) float in [-1, 1] and their labels, where the set has labels."""
        rows = self.indices(step).to(self.examples.images.device)
        labels = self.examples.labels
        return to_float(self.examples.images[rows]), None if labels is None else labels[rows]
