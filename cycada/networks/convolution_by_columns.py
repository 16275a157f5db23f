"""The convolution to a few channels, as one to more channels by a kernel of one column, and sums."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve_columns(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int]
) -> Tensor:
    """Return what `torch.nn.functional.conv2d` does, with stride 1 to the right, by columns of the kernel.

    A library computes output channels in groups of 8 or 16, and wastes most of its work where an image of
    3 channels, or a map of 1, comes out. Each of the kernel's l columns becomes a kernel of its own here, so
    that one convolution has l x O output channels; what the columns give, moved by as many places, is added
    up in at least float32. Gradients can be differentiated again.

    Args:
        x: (N, C, H, W) maps.
        weight: (O, C, k, l) kernels.
        bias: (O,), or None.
        stride: How far the kernel moves down; to the right it moves by 1.
        padding: Zeros above and below, and left and right.

    Returns:
        (N, O, h, w), contiguous.
    """
    outputs, inputs, height, width = weight.shape
    kernels = weight.permute(3, 0, 1, 2).reshape(width * outputs, inputs, height, 1)
    columns = F.conv2d(x, kernels, None, (stride, 1), padding).unflatten(1, (width, outputs))
    y: Tensor = _AddedColumns.apply(columns)
    return y if bias is None else y + bias.to(y.dtype)[:, None, None]


class _AddedColumns(torch.autograd.Function):
    """Sums over moved columns: (N, l, O, h, w + l - 1) -> (N, O, h, w); column j is read j places later."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor) -> Tensor:
        count = ctx.count = columns.shape[1]
        width = columns.shape[-1] - count + 1
        dtype = torch.promote_types(columns.dtype, torch.float32)
        total = columns[:, 0, ..., :width].to(dtype, copy=True, memory_format=torch.contiguous_format)
        for j in range(1, count):
            total += columns[:, j, ..., j : j + width]
        return total.to(columns.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        columns: Tensor = _MovedColumns.apply(gradient, ctx.count)
        return columns


class _MovedColumns(torch.autograd.Function):
    """The transpose of `_AddedColumns`: l copies of maps, each moved by one place more, and zeros around."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, count: int) -> Tensor:
        n, *rest, width = maps.shape
        columns = maps.new_zeros(n, count, *rest, width + count - 1)
        for j in range(count):
            columns[:, j, ..., j : j + width] = maps
        return columns

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _AddedColumns.apply(gradient), None
