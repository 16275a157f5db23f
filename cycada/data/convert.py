"""Size, channels and range of images: as files have them, and as networks take them."""

from __future__ import annotations

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


def to_float(images: Tensor) -> Tensor:
    """Return images of uint8 in 0..255 as float32 in [-1, 1], the range of every network."""
    return images.float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as uint8 in 0..255, rounded; values outside the range are clamped."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
