"""Datasets with masks at the size that the networks get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from typing_extensions import override

from cycada.data.image_set import Image, ImageSet, Mask, Sample
from cycada.data.resize import resize_sample
from cycada.data.segmentation import SegmentationDataset


class ResizedDataset(SegmentationDataset):
    """Dataset whose images are resized to `size` by antialiased bilinear interpolation.

    Args:
        dataset: Images and masks at their own sizes.
        size: (height, width) in pixels.
        full_resolution_masks: Keep masks at their own size, to score at full resolution; otherwise they are
            resized with their images, by taking the nearest pixel.
        cache: Keep everything that was read in memory.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        size: tuple[int, int],
        full_resolution_masks: bool = False,
        cache: bool = False,
    ) -> None:
        super().__init__(dataset.names, dataset.labelled, dataset.skipped)
        self.left_out = dataset.left_out
        self.inner, self.size, self.full_resolution_masks = dataset, size, full_resolution_masks
        self._held: dict[int, Sample] | None = {} if cache else None

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
    def check_headers(self, i: int) -> None:
        self.inner.check_headers(i)

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        return self.inner.pair(i)

    @override
    def read(self, i: int) -> Sample:
        sample = self._held.get(i) if self._held is not None else None
        if sample is None:
            sample = self.inner.read(i)
            if sample.image.shape[1:] != self.size:
                small = resize_sample(sample, self.size)
                sample = small._replace(label=sample.label) if self.full_resolution_masks else small
            if self._held is not None:
                self._held[i] = sample
        return sample._replace(partner=self.read_partner(i))

    @override
    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        return type(self)(
            self.inner.subset(rows, labelled), self.size, self.full_resolution_masks, self.cached
        )

    @override
    def true_translation(self, other: ImageSet) -> ResizedDataset | None:
        truth = self.inner.true_translation(other.original)
        if truth is None:
            return None
        return ResizedDataset(truth, self.size, self.full_resolution_masks, self.cached)

    @override
    @property
    def original(self) -> SegmentationDataset:
        return self.inner

    @override
    def resized_to(self, size: tuple[int, int]) -> ResizedDataset:
        if size == self.size:
            return self
        return ResizedDataset(self.inner, size, self.full_resolution_masks, self.cached)

    @override
    @property
    def cached(self) -> bool:  # type: ignore[override]
        return self._held is not None

    def megabytes(self) -> float:
        """Return the memory that the whole dataset takes at this size, in MiB, 4 bytes a pixel."""
        return len(self) * 4 * self.size[0] * self.size[1] / 2**20

    @override
    def fingerprint(self, labels: bool) -> str:
        return self.inner.fingerprint(labels)
