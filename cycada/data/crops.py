"""Random crops of images and their masks.

Each crop depends on (seed, epoch, index of the image) alone, so that a resumed run sees the same crops
without any saved state of a random generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from cycada.core.types import IGNORE
from cycada.data.image_set import ImageSet, Sample
from cycada.data.loaders import Key
from cycada.data.resize import resize_sample

GREY = 127
"""Value that images are padded with, the middle of 0..255."""


class Crops(Dataset[Sample]):
    """Random crops of the images of a dataset, indexed by (epoch, index of the image).

    An image, its mask and its partner get the same crop. Images are resized by antialiased bilinear
    interpolation, masks by taking the nearest pixel. Where a crop is larger than its image, the image is
    padded on all sides with GREY and the mask with IGNORE.

    Args:
        dataset: The images and masks.
        size: (height, width) of a crop in pixels.
        seed: Seed of the random crops.
        width: Resize each image to this width in pixels first, keeping its shape; None leaves it as it is.
        flip: Mirror a crop left to right with probability 1/2.
        area: (least, most) share of the image's area, in (0, 1], that a crop covers: it is cut in the
            proportions of `size` and then resized to `size`. None cuts `size` pixels.
    """

    def __init__(
        self,
        dataset: ImageSet,
        size: tuple[int, int],
        seed: int,
        width: int | None = None,
        flip: bool = True,
        area: tuple[float, float] | None = None,
    ) -> None:
        self.dataset, self.size, self.seed = dataset, size, seed
        self.width, self.flip, self.area = width, flip, area

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Sample:
        """Return a crop: the image and its partner, (3, h, w) uint8, and the mask, (h, w) uint8."""
        epoch, index = key
        chance = np.random.default_rng((self.seed, epoch, index)).random(4)
        sample = self.dataset.read(index)
        height, width = sample.image.shape[1:]
        if self.width is not None and self.width != width:
            sample = resize_sample(sample, (max(1, round(height * self.width / width)), self.width))
        window = (
            _window_size(
                sample.image.shape, self.size, self.area[0] + chance[3] * (self.area[1] - self.area[0])
            )
            if self.area
            else self.size
        )
        sample = sample.transformed(
            lambda image: _crop(image, window, chance, GREY), lambda mask: _crop(mask, window, chance, IGNORE)
        )
        if window != self.size:
            sample = resize_sample(sample, self.size)
        if self.flip and chance[2] < 0.5:
            sample = sample.transformed(lambda image: image.flip(-1), lambda mask: mask.flip(-1))
        return sample.transformed(Tensor.contiguous, Tensor.contiguous)


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
