"""Random changes of training images, which draw from torch's global CPU generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.data.photometric import photometric
from cycada.data.random_convolution import convolve_randomly


@dataclass(frozen=True)
class Augment:
    """Random augmentation of training images: affine maps, mirroring, colours, blur, random convolutions.

    Calling it maps images (N, C, H, W) to images of the same shape. It draws from torch's global CPU
    generator.

    Attributes:
        rotate: Largest rotation in degrees, either way.
        scale: Largest change of the size, as a share: 0.1 is 0.9 to 1.1.
        shear: Largest shear in degrees, either way.
        shift: Largest shift, as a share of the side, either way.
        flip: Mirror each image left to right with probability 1/2.
        random_convolution: Probability that an image is mixed with a random convolution of itself, see
            `convolve_randomly`.
        jitter: Strength of the colour jitter, see `colour_jitter`.
        blur: Largest standard deviation of the blur in pixels, see `gaussian_blur`.
    """

    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    flip: bool = False
    random_convolution: float = 0.0
    jitter: float = 0.0
    blur: float = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images, (N, C, H, W), each changed by a random draw of its own."""
        return self.together(images)[0]

    def together(self, *images: Tensor) -> list[Tensor]:
        """Return images that belong together, each (N, C, H, W), all changed by the same random draws.

        Args:
            images: The images and, if they have any, their partners. Image i of each gets the draw of i.
        """
        moved, count, device = list(images), len(images[0]), images[0].device
        if self.flip:
            mirrored = (torch.rand(count, 1, 1, 1) < 0.5).to(device)
            moved = [torch.where(mirrored, tensor.flip(3), tensor) for tensor in moved]
        if self.rotate or self.scale or self.shear or self.shift:
            maps = draw_affine(count, self.rotate, self.scale, self.shear, self.shift).to(device)
            moved = [apply_affine(tensor, maps) for tensor in moved]
        if self.random_convolution:
            moved = convolve_randomly(moved, self.random_convolution)
        if self.jitter or self.blur:
            moved = _photometric(moved, self.jitter, self.blur)
        return moved

    @property
    def changes_pixels(self) -> bool:
        """Whether it changes the pixels of an image where they are, without moving them."""
        return bool(self.random_convolution or self.jitter or self.blur)


def _photometric(images: Sequence[Tensor], jitter: float, blur: float) -> list[Tensor]:
    """Return each of some batches, image i of all of them changed by the same random draws."""
    start = torch.get_rng_state()
    changed = []
    for tensor in images:
        torch.set_rng_state(start)
        changed.append(photometric(tensor, jitter, blur))
    return changed


def draw_affine(count: int, rotate: float, scale: float, shear: float, shift: float) -> Tensor:
    """Return random affine maps, (count, 2, 3), drawn from torch's global CPU generator.

    Args:
        count: Number of maps.
        rotate: Largest rotation in degrees, either way.
        scale: Largest change of the size, as a share: factors are in 1 +- scale.
        shear: Largest shear in degrees, either way.
        shift: Largest shift, as a share of the side, either way.
    """
    r = torch.rand(6, count) * 2 - 1
    angle, skew = r[0] * math.radians(rotate), torch.tan(r[1] * math.radians(shear))
    sx, sy = 1 + r[2] * scale, 1 + r[3] * scale
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(count, 2, 2)
    skewed = torch.stack([1 / sx, skew / sy, torch.zeros(count), 1 / sy], -1).reshape(count, 2, 2)
    return torch.cat([turn @ skewed, 2 * shift * r[4:6].T.unsqueeze(-1)], -1)


def apply_affine(images: Tensor, maps: Tensor) -> Tensor:
    """Return images after affine maps, one for each image; border pixels are repeated outside the image.

    Args:
        images: (N, C, H, W), floating point.
        maps: (N, 2, 3), from the coordinates of the result to those of the images, both in [-1, 1].
    """
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def mask_patches(images: Tensor, patch: int, share: float) -> Tensor:
    """Return images with random square patches set to 0, the middle of the range.

    Masked image consistency: Hoyer et al., "MIC: Masked Image Consistency for Context-Enhanced Domain
    Adaptation", CVPR 2023, section 3.2. Random numbers come from torch's global CPU generator.

    Args:
        images: (N, C, H, W).
        patch: Side of a patch in pixels.
        share: Probability that a patch is masked.
    """
    n, _, height, width = images.shape
    kept = torch.rand(n, 1, -(-height // patch), -(-width // patch)) > share
    pixels = kept.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :height, :width]
    return images * pixels.to(images.device, images.dtype)
