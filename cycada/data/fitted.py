"""Datasets with masks at the size that the networks get, and the endless stream that training draws from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from cycada.core.errors import CycadaError
from cycada.data.crops import CropBatch, Crops, crop_loader
from cycada.data.loaders import to_float
from cycada.data.resize import resize_pair
from cycada.data.scenes import Image, Mask, SegmentationDataset, evenly_spaced

SAMPLED = 8
"""Number of images whose pixels enter a fingerprint; of the others the names and the sizes of the files
do."""


class ResizedDataset(SegmentationDataset):
    """Dataset whose images are resized to `size` by antialiased bilinear interpolation.

    Args:
        scenes: Images and masks at their own sizes.
        size: (height, width) in pixels.
        full_resolution_masks: Keep masks at their own size, to score at full resolution; otherwise they are
            resized with their images, by taking the nearest pixel.
        cache: Keep everything that was read in memory.
    """

    def __init__(
        self,
        scenes: SegmentationDataset,
        size: tuple[int, int],
        full_resolution_masks: bool = False,
        cache: bool = False,
    ) -> None:
        super().__init__(scenes.names, scenes.labelled, scenes.skipped)
        self.left_out = scenes.left_out
        self.inner, self.size, self.full_resolution_masks = scenes, size, full_resolution_masks
        self._held: dict[int, tuple[Tensor, Tensor | None]] | None = {} if cache else None

    @override
    @property
    def paths(self) -> Sequence[tuple[Path, Path | None]]:
        return self.inner.paths

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Return the file sizes of the dataset at its own size."""
        return self.inner.sizes(rows)

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Return the doubts about the files of the dataset at its own size."""
        return self.inner.doubts(rows)

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        return self.inner.pair(i)

    @override
    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        if self._held is not None and i in self._held:
            return self._held[i]
        image, mask = self.inner.read(i)
        if image.shape[1:] != self.size:
            small, small_mask = resize_pair(image, mask, self.size)
            image, mask = small, mask if self.full_resolution_masks else small_mask
        if self._held is not None:
            self._held[i] = (image, mask)
        return image, mask

    @override
    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        return type(self)(
            self.inner.subset(rows, labelled), self.size, self.full_resolution_masks, self.cached
        )

    @override
    def true_translation(self, other: SegmentationDataset) -> ResizedDataset | None:
        truth = self.inner.true_translation(other.inner if isinstance(other, ResizedDataset) else other)
        if truth is None:
            return None
        return ResizedDataset(truth, self.size, self.full_resolution_masks, self.cached)

    def resized_to(self, size: tuple[int, int]) -> ResizedDataset:
        """Return the same dataset at another size, resized from the original images."""
        if size == self.size:
            return self
        return ResizedDataset(self.inner, size, self.full_resolution_masks, self.cached)

    @property
    def cached(self) -> bool:
        """Whether everything that was read stays in memory."""
        return self._held is not None

    def sample(self, count: int) -> Tensor:
        """Return at most `count` images, (n, 3, H, W) uint8, evenly spaced, as neighbours look alike."""
        return torch.stack([self.read(i)[0] for i in evenly_spaced(len(self), count)])

    def megabytes(self) -> float:
        """Return the memory that the whole dataset takes at this size, in MiB, 4 bytes a pixel."""
        return len(self) * 4 * self.size[0] * self.size[1] / 2**20

    def fingerprint(self, masks: bool) -> str:
        """Return 16 hexadecimal characters that identify the data.

        They depend on the names, the sizes of the files and the original pixels of a sample of `SAMPLED`
        images.

        Args:
            masks: Whether the masks count too.
        """
        hasher = hashlib.blake2b("\n".join(self.names).encode(), digest_size=8)
        for image_file, mask_file in self.inner.paths:
            mask_bytes = mask_file.stat().st_size if masks and mask_file else 0
            hasher.update(f"{image_file.stat().st_size} {mask_bytes}\n".encode())
        for i in sorted({int(k) for k in torch.linspace(0, len(self) - 1, min(SAMPLED, len(self)))}):
            image, mask = self.inner.pair(i)
            hasher.update(image.tobytes())
            if masks and mask is not None:
                hasher.update(mask.tobytes())
        return hasher.hexdigest()


class SceneStream:
    """Endless stream of random crops: the batch of step k depends on (seed, k) alone, as that of `Stream`.

    Args:
        crops: The crops.
        batch: Crops in a batch of this process.
        device: Where the batches go.
        workers: Worker processes that read and crop.
        rank: Number of this process among those that train together.
        world: Number of processes that train together.
    """

    def __init__(
        self, crops: Crops, batch: int, device: torch.device, workers: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.crops, self.batch, self.device = crops, batch, device
        self.workers, self.rank, self.world = workers, rank, world
        self._next = -1
        self._batches: Iterator[CropBatch] = iter(())

    def draw(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the batch of a step.

        Returns:
            Images (batch, 3, h, w), float in [-1, 1], and masks (batch, h, w), int64, or None where the
            dataset has no masks.

        Raises:
            CycadaError: A file cannot be read.
        """
        if step != self._next:
            loader = crop_loader(
                self.crops, self.batch, start=step, workers=self.workers, rank=self.rank, world=self.world
            )
            self._batches = iter(loader)
        try:
            batch = next(self._batches)
        except CycadaError as error:  # the message of a worker process begins with its traceback
            raise CycadaError(str(error).rpartition("CycadaError: ")[2].strip()) from None
        self._next = step + 1
        masks = None if batch.masks is None else batch.masks.to(self.device, non_blocking=True).long()
        return to_float(batch.images.to(self.device, non_blocking=True)), masks
