"""Changes of size and channels on loading, and random transforms on the device during training."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.errors import CycadaError

Resize = Literal["bilinear", "bicubic", "nearest", "pad"]
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601), as in Pillow's convert("L")."""


def convert(
    images: Tensor,
    size: int | tuple[int, int],
    channels: int,
    resize: Resize = "bilinear",
    chunk: int = 10_000,
) -> Tensor:
    """Return images at another size and with another number of channels.

    Args:
        images: (N, C, H, W) uint8.
        size: Side, or (height, width), in pixels.
        channels: 1 or 3. Grey becomes RGB by repeating the channel; RGB becomes grey by its luma.
        resize: Interpolation. 'bilinear' and 'bicubic' are antialiased as Pillow's are; 'pad' adds a black
            border, for example from 28 to 32 pixels.
        chunk: Number of images that are converted at a time.

    Returns:
        (N, channels, height, width) uint8.

    Raises:
        CycadaError: 'pad' was asked to make images smaller.
    """
    shape = (size, size) if isinstance(size, int) else (size[0], size[1])
    if images.shape[1] == channels and images.shape[2:] == shape:
        return images
    return torch.cat([_convert(part, shape, channels, resize) for part in images.split(chunk)])


def _convert(images: Tensor, size: tuple[int, int], channels: int, resize: Resize) -> Tensor:
    x = images.float()
    if x.shape[1] == 3 and channels == 1:
        x = (x * torch.tensor(GREY).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    if resize == "pad":
        rows, columns = size[0] - x.shape[2], size[1] - x.shape[3]
        if rows < 0 or columns < 0:
            raise CycadaError(
                f"data.resize: pad cannot shrink {x.shape[2]} x {x.shape[3]} to {size[0]} x {size[1]}. "
                f"Use bilinear."
            )
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    elif x.shape[2:] != size:
        if resize == "nearest":
            x = F.interpolate(x, size, mode="nearest")
        else:
            x = F.interpolate(x, size, mode=resize, antialias=True, align_corners=False)
    return x.expand(-1, channels, -1, -1).round().clamp(0, 255).byte().contiguous()


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
