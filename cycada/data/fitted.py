"""SegmentationDataset at the size that networks see, kept in memory where they fit, and as the endless stream that training draws from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.data.crops import CropBatch, Crops, crop_loader
from cycada.data.loaders import to_float
from cycada.data.resize import resize_pair
from cycada.data.scenes import Image, Mask, SegmentationDataset, evenly_spaced

SAMPLED = 8
"""SegmentationDataset whose every pixel is in a fingerprint; of the others the names and the sizes of the files are."""


class ResizedDataset(SegmentationDataset):
    """Other scenes, every image scaled to `size` = (height, width), antialiased.

    full_resolution_masks: masks keep their own size, for scores at full resolution; else they are scaled along, by the nearest pixel.
    hold: what was read once stays in memory. `read` is as that of any scenes.
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

    @property
    def paths(self) -> Sequence[tuple[Path, Path | None]]:
        return self.inner.paths

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Of the scenes inside."""
        return self.inner.sizes(rows)

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Of the scenes inside."""
        return self.inner.doubts(rows)

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        return self.inner.pair(i)

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

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        return type(self)(
            self.inner.subset(rows, labelled), self.size, self.full_resolution_masks, self.cached
        )

    def true_translation(self, other: SegmentationDataset) -> ResizedDataset | None:
        found = self.inner.true_translation(other.inner if isinstance(other, ResizedDataset) else other)
        return (
            None
            if found is None
            else ResizedDataset(found, self.size, self.full_resolution_masks, self.cached)
        )

    def resized_to(self, size: tuple[int, int]) -> ResizedDataset:
        """The same scenes at another size."""
        return (
            self
            if size == self.size
            else ResizedDataset(self.inner, size, self.full_resolution_masks, self.cached)
        )

    @property
    def cached(self) -> bool:
        return self._held is not None

    def sample(self, count: int) -> Tensor:
        """(n, 3, H, W) uint8, at most `count` images, evenly over all: neighbours in a drive look alike."""
        return torch.stack([self.read(i)[0] for i in evenly_spaced(len(self), count)])

    def megabytes(self) -> float:
        """What holding all of it takes."""
        return len(self) * 4 * self.size[0] * self.size[1] / 2**20

    def fingerprint(self, masks: bool) -> str:
        """16 hex characters of names, file sizes and the pixels of a sample; masks: of their masks too."""
        hasher = hashlib.blake2b("\n".join(self.names).encode(), digest_size=8)
        for image_file, mask_file in self.inner.paths:
            hasher.update(
                f"{image_file.stat().st_size} {mask_file.stat().st_size if masks and mask_file else 0}\n".encode()
            )
        for i in sorted({int(k) for k in torch.linspace(0, len(self) - 1, min(SAMPLED, len(self)))}):
            pixels, mask = self.inner.pair(i)
            hasher.update(pixels.tobytes())
            if masks and mask is not None:
                hasher.update(mask.tobytes())
        return hasher.hexdigest()


class SceneStream:
    """What `Stream` is for images: the batch of step k depends on (seed, k) alone. Crops and mirrored scenes as in `Crops`."""

    def __init__(
        self, crops: Crops, batch: int, device: torch.device, workers: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.crops, self.batch, self.device = crops, batch, device
        self.workers, self.rank, self.world = workers, rank, world
        self._next = -1
        self._batches: Iterator[CropBatch] = iter(())

    def draw(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Images (batch, 3, h, w) float in [-1, 1] and masks (batch, h, w) int64, where the scenes have masks."""
        if step != self._next:
            loader = crop_loader(
                self.crops, self.batch, start=step, workers=self.workers, rank=self.rank, world=self.world
            )
            self._batches = iter(loader)
        try:
            cut = next(self._batches)
        except CycadaError as error:  # a worker process puts its traceback before it
            raise CycadaError(str(error).rpartition("CycadaError: ")[2].strip()) from None
        self._next = step + 1
        masks = None if cut.masks is None else cut.masks.to(self.device, non_blocking=True).long()
        return to_float(cut.images.to(self.device, non_blocking=True)), masks
