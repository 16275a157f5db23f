"""Sets of labelled pictures that do not fit into memory and are read from their files when needed."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from cycada.data.convert import Resize, convert
from cycada.data.image_set import ImageSet, Sample, StreamSettings
from cycada.data.labelled_images import ClassificationSet, Origin
from cycada.data.loaders import LoaderStream, WholeImages

AHEAD = 64
"""Number of pictures that are read ahead when all of them are read in order."""
Item = TypeVar("Item")
Read = TypeVar("Read")


class ImageFiles(ClassificationSet):
    """Images in files, with one label each or without labels, of which none stays in memory.

    Everything else is as in `ImageDataset`: the same images in the same order give the same batches.

    Args:
        files: The file of each image.
        labels: (N,) int64, values 0..K-1; None for unlabelled images.
        read_file: Reads a file as (height, width, 3) uint8, at the size of the experiment. It has to be
            picklable, as worker processes call it.
        folder: Folder that the images are named after.
        origin: The files that the images come from.
        size: (height, width) of what `read_file` returns.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: Tensor | None,
        read_file: Callable[[Path], np.ndarray],
        folder: Path,
        origin: Origin,
        size: tuple[int, int],
    ) -> None:
        self.paths, self.labels, self.read_file = files, labels, read_file
        self.names = [str(file.relative_to(folder)) for file in files]
        self.origin = origin
        self.size, self.channels = size, 3
        self.resize: Resize = "bilinear"
        self.partner: ImageSet | None = None

    @override
    def __len__(self) -> int:
        return len(self.paths)

    def read_pixels(self, i: int) -> Tensor:
        """Return image i as `read_file` gives it, (3, H, W) uint8."""
        return torch.from_numpy(np.ascontiguousarray(self.read_file(self.paths[i]).transpose(2, 0, 1)))

    @override
    def read(self, i: int) -> Sample:
        partner = None if self.partner is None else self.partner.read(i).image
        return Sample(
            self._convert(self.read_pixels(i)),
            None if self.labels is None else self.labels[i],
            None if partner is None else self._convert(partner),
        )

    def _convert(self, pixels: Tensor) -> Tensor:
        return convert(pixels[None], self.size, self.channels, self.resize)[0]

    @override
    def take(self, rows: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        images = torch.stack([self.read(i).image for i in rows])
        return images, None if self.labels is None else self.labels[torch.as_tensor(rows)]

    @override
    def without_labels(self) -> Self:
        unlabelled = copy.copy(self)
        unlabelled.labels = None
        return unlabelled

    @override
    def with_partner(self, partner: ImageSet) -> Self:
        paired = copy.copy(self)
        paired.partner = partner
        return paired

    @override
    def converted(self, channels: int, size: tuple[int, int], resize: Resize, device: torch.device) -> Self:
        converted = copy.copy(self)
        converted.channels, converted.size, converted.resize = channels, size, resize
        height, width = self.size
        converted.origin = replace(self.origin, stored=f"{width} x {height}")
        return converted

    @override
    def hash_into(self, hasher: hashlib.blake2b, labels: bool) -> None:
        for pixels in read_ahead(self.read_pixels, range(len(self))):
            hasher.update(pixels.numpy().data)
        if labels and self.labels is not None:
            hasher.update(self.labels.numpy().data)

    @override
    def identities(self) -> Iterator[str]:
        return iter(self.origin.digests)

    @override
    def describe_labels(self, classes: int) -> str:
        return f"{super().describe_labels(classes)}, read from their files at every step"

    @override
    def stream(self, settings: StreamSettings) -> LoaderStream:
        return LoaderStream(WholeImages(self, settings.seed), settings)


def read_ahead(read: Callable[[Item], Read], items: Sequence[Item]) -> Iterator[Read]:
    """Yield what `read` returns for each item, in order, read on all cores and never far ahead.

    Args:
        read: Reads an item.
        items: The items.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(items), AHEAD):
            yield from pool.map(read, items[start : start + AHEAD])
