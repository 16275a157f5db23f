"""The convolution as one product of matrices: all patches of the maps times the kernels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve_patches(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Return what `torch.nn.functional.conv2d` does, by one product of matrices.

    Its gradients with respect to maps and weights are products of matrices, too, and can be differentiated
    again.

    Args:
        x: (N, C, H, W) maps.
        weight: (O, C, k, l) kernels.
        bias: (O,), or None.
        stride: How far the kernel moves, down and to the right.
        padding: Zeros above and below, and left and right.

    Returns:
        (N, O, h, w), contiguous.
    """
    vertical, horizontal = padding
    # Channels last: a patch is then k runs of l x C values, which are copied four times as fast as runs of l.
    maps = F.pad(x.permute(0, 2, 3, 1), (0, 0, horizontal, horizontal, vertical, vertical))
    patches: Tensor = _Patches.apply(maps, tuple(weight.shape[2:]), stride)
    kernels = weight.permute(0, 2, 3, 1).flatten(1)
    return F.linear(patches, kernels, bias).permute(0, 3, 1, 2).contiguous()


class _Patches(torch.autograd.Function):
    """All patches of maps: (N, H, W, C) -> (N, h, w, k x l x C); its gradient adds patches up."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.kernel, ctx.stride = maps.shape, kernel, stride
        windows = maps.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])
        return windows.permute(0, 1, 2, 4, 5, 3).flatten(3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _AddedPatches.apply(gradient, ctx.shape, ctx.kernel, ctx.stride), None, None


class _AddedPatches(torch.autograd.Function):
    """The sum of patches at their places, in float32: the transpose of `_Patches`."""

    @staticmethod
    def forward(
        ctx: Any, patches: Tensor, shape: torch.Size, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> Tensor:
        ctx.kernel, ctx.stride = kernel, stride
        (n, h, w, _), (down, right) = patches.shape, stride
        parts = patches.reshape(n, h, w, *kernel, shape[-1])
        maps = patches.new_zeros(shape, dtype=torch.promote_types(patches.dtype, torch.float32))
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                maps[:, i : i + down * h : down, j : j + right * w : right] += parts[:, :, :, i, j]
        return maps.to(patches.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _Patches.apply(gradient, ctx.kernel, ctx.stride), None, None, None
