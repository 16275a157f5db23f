"""Endless streams of batches, from images in memory and from images that are read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cycada.core.errors import CycadaError
from cycada.data.augment import Augment
from cycada.data.convert import to_float
from cycada.data.image_set import ImageSet, Sample, SampleBatch, StreamSettings

Key = tuple[int, int]
"""Key of a sample: (epoch, index of the image in its set)."""


@lru_cache(maxsize=4)
def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch shows `count` images, (count,) int64."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 7_919 + 17) % 2**63)
    return torch.randperm(count, generator=generator)


class InMemory(Protocol):
    """Images in memory with their labels and partners, as `ImageDataset` has them."""

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) uint8."""

    @property
    def labels(self) -> Tensor | None:
        """(N,) int64, or None."""

    @property
    def partners(self) -> Tensor | None:
        """The partner of each image, as `images`, or None."""


class Stream:
    """Endless stream of shuffled batches from images in memory; each epoch shows every image once.

    The order of an epoch depends on (seed, epoch) alone. The batch of step k therefore depends on (seed, k)
    alone, and a resumed run gets the same batches. With `world` processes, a step takes `world` batches from
    the order, one for each.

    Args:
        examples: The images and labels.
        batch: Images in a batch of one process.
        seed: Seed of the order.
        rank: Number of this process.
        world: Number of processes.
        augment: Random augmentation; None for none.
    """

    def __init__(
        self,
        examples: InMemory,
        batch: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        augment: Augment | None = None,
    ) -> None:
        self.examples, self.batch, self.seed, self.rank, self.world = examples, batch, seed, rank, world
        self.augment = augment

    def indices(self, step: int) -> Tensor:
        """Return the indices of the batch of a step, counted from 0, as (batch,) int64."""
        start = (step * self.world + self.rank) * self.batch
        parts, need, count = [], self.batch, len(self.examples.images)
        while need:
            epoch, offset = divmod(start, count)
            part = epoch_order(count, self.seed, epoch)[offset : offset + need]
            parts.append(part)
            start, need = start + len(part), need - len(part)
        return torch.cat(parts)

    def draw(self, step: int, augmented: bool = True) -> SampleBatch:
        """Return the images of a step, (batch, C, H, W) float in [-1, 1], and labels, (batch,) or None.

        Args:
            step: The step.
            augmented: Whether the images are augmented.
        """
        rows = self.indices(step).to(self.examples.images.device)
        labels, partners = self.examples.labels, self.examples.partners
        return on_device(
            SampleBatch(
                self.examples.images[rows],
                None if labels is None else labels[rows],
                None if partners is None else partners[rows],
            ),
            self.examples.images.device,
            self.augment if augmented else None,
        )


class KeyedSamples(Protocol):
    """Samples by (epoch, index of the image), as `Crops` gives them, and the seed of their order."""

    seed: int

    def __len__(self) -> int: ...

    def __getitem__(self, key: Key) -> Sample:
        """Return a sample of an epoch."""


class WholeImages(Dataset[Sample]):
    """Whole images of a set, indexed by (epoch, index of the image).

    Args:
        images: The set.
        seed: Seed of the order.
    """

    def __init__(self, images: ImageSet, seed: int) -> None:
        self.images, self.seed = images, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Sample:
        """Return the image, which is the same in every epoch."""
        return self.images.read(key[1])


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


def sample_loader(
    samples: KeyedSamples, batch: int, *, start: int = 0, workers: int = 0, rank: int = 0, world: int = 1
) -> DataLoader[SampleBatch]:
    """Return an endless loader of samples, one `SampleBatch` in bytes a step.

    A run that resumes at step k passes `start=k` and gets the batches that it would have got without the
    interruption, with any number of worker processes. The loader does not use torch's global generator.

    Args:
        samples: The samples.
        batch: Samples in a batch of this process.
        start: Step of the first batch.
        workers: Worker processes that read; 0 reads in this process.
        rank: Number of this process among those that train together.
        world: Number of processes that train together.
    """
    return DataLoader(
        samples,  # type: ignore[arg-type] # torch asks for a Dataset, and needs no more than __getitem__
        batch_sampler=Steps(len(samples), batch, samples.seed, start, rank, world),
        num_workers=workers,
        collate_fn=_stack,
        generator=torch.Generator(),  # without it, a loader seeds its workers from the global generator
        pin_memory=torch.cuda.is_available(),
        persistent_workers=False,
    )


def _stack(samples: Sequence[Sample]) -> SampleBatch:
    labels = [sample.label for sample in samples if sample.label is not None]
    partners = [sample.partner for sample in samples if sample.partner is not None]
    return SampleBatch(
        torch.stack([sample.image for sample in samples]),
        torch.stack(labels) if labels else None,
        torch.stack(partners) if partners else None,
    )


class LoaderStream:
    """Endless stream of batches that are read when they are needed, in the order of `Stream`.

    The batch of step k depends on (seed, k) alone.

    Args:
        samples: The samples, such as random crops.
        settings: Size of the batches, processes and augmentation; the order has the seed of `samples`.
    """

    def __init__(self, samples: KeyedSamples, settings: StreamSettings) -> None:
        self.samples, self.settings, self.batch = samples, settings, settings.batch
        self._next = -1
        self._batches: Iterator[SampleBatch] = iter(())

    def draw(self, step: int, augmented: bool = True) -> SampleBatch:
        """Return the batch of a step.

        Args:
            step: The step.
            augmented: Whether the images are augmented.

        Returns:
            Images (batch, C, h, w), float in [-1, 1], and labels (batch,) or masks (batch, h, w), int64, or
            None where the set has none.

        Raises:
            CycadaError: A file cannot be read.
        """
        to = self.settings
        if step != self._next:
            loader = sample_loader(
                self.samples, to.batch, start=step, workers=to.workers, rank=to.rank, world=to.world
            )
            self._batches = iter(loader)
        try:
            batch = next(self._batches)
        except CycadaError as error:  # the message of a worker process begins with its traceback
            raise CycadaError(str(error).rpartition("CycadaError: ")[2].strip()) from None
        self._next = step + 1
        return on_device(batch, to.device, to.augment if augmented else None)


def on_device(batch: SampleBatch, device: torch.device, augment: Augment | None) -> SampleBatch:
    """Return a batch on a device, with images in [-1, 1], of which a partner moves with its image.

    Args:
        batch: Images in bytes.
        device: The device.
        augment: Random augmentation; None for none.
    """
    images, labels, partners = (
        None if tensor is None else tensor.to(device, non_blocking=True) for tensor in batch
    )
    assert images is not None
    moved = [to_float(images)] + ([] if partners is None else [to_float(partners)])
    if augment:
        moved = augment.together(*moved)
    return SampleBatch(moved[0], None if labels is None else labels.long(), *moved[1:])
