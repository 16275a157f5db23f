"""Size and channels on loading; random affine maps on the device while training."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.errors import CycadaError

Resize = Literal["bilinear", "bicubic", "nearest", "pad"]
GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as PIL's convert("L")


def convert(
    images: Tensor,
    size: int | tuple[int, int],
    channels: int,
    resize: Resize = "bilinear",
    chunk: int = 10_000,
) -> Tensor:
    """(N, C, H, W) uint8 -> (N, channels, size, size) uint8.

    bilinear and bicubic are antialiased, as PIL's; `pad` puts black around (28 -> 32) and refuses to shrink.
    Grey -> RGB repeats the channel; RGB -> grey takes the luma.
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
                f"data.resize: pad cannot shrink {x.shape[2]} x {x.shape[3]} to {size[0]} x {size[1]}. Use bilinear."
            )
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    elif x.shape[2:] != size:
        if resize == "nearest":
            x = F.interpolate(x, size, mode="nearest")
        else:
            x = F.interpolate(x, size, mode=resize, antialias=True, align_corners=False)
    return x.expand(-1, channels, -1, -1).round().clamp(0, 255).byte().contiguous()


def random_affine(images: Tensor, rotate: float, scale: float, shear: float, shift: float) -> Tensor:
    """Every image by its own map: rotation and shear in +-degrees, scale in 1 +- scale, shift in +-share of the side.

    (N, C, H, W) -> the same. What comes in from outside repeats the border. Draws from torch's global CPU generator.
    """
    n = len(images)
    r = torch.rand(6, n) * 2 - 1
    angle, skew = r[0] * math.radians(rotate), torch.tan(r[1] * math.radians(shear))
    sx, sy = 1 + r[2] * scale, 1 + r[3] * scale
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(n, 2, 2)
    skewed = torch.stack([1 / sx, skew / sy, torch.zeros(n), 1 / sy], -1).reshape(n, 2, 2)
    theta = torch.cat([turn @ skewed, 2 * shift * r[4:6].T.unsqueeze(-1)], -1)
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def mask_patches(images: Tensor, patch: int, share: float) -> Tensor:
    """Every image with about `share` of its `patch` x `patch` squares set to 0, the middle of the range.

    (N, C, H, W) -> the same (Hoyer et al. 2023, MIC, section 3.2). Draws from torch's global CPU generator.
    """
    n, _, height, width = images.shape
    kept = torch.rand(n, 1, -(-height // patch), -(-width // patch)) > share
    pixels = kept.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :height, :width]
    return images * pixels.to(images.device, images.dtype)
