"""A convolution that becomes a product of matrices where that is faster than the library's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.cpu import has_matrix_units

KERNEL = 4
"""The smallest height and width of a kernel for which patches are taken."""
LARGEST_MAP = 8
"""The largest height and width of the maps of which patches are taken."""
CHANNELS = 128
"""The smallest number of input channels, and of output channels, with which patches are taken."""
ROWS = 256
"""The smallest number of patches that are worth a product of matrices."""


class Conv2d(nn.Conv2d):
    """A convolution with two implementations, of which a rule chooses the faster.

    It is `torch.nn.Conv2d` in all else: arguments, parameters, state_dict and results, up to the rounding of
    its precision. The two are the library's convolution, and all patches of the maps times the kernels as a
    matrix (`convolve_patches`). Patches are taken under autocast to bf16 on a CPU with matrix units, for
    kernels of at least 4 x 4, maps of at most 8 x 8, at least 128 input and output channels and at least 256
    patches; the library's convolution reaches a fraction of such a CPU's speed there. Everywhere else, and
    whenever the network is compiled or exported, the library's convolution is computed.

    The choice depends on shapes and the processor alone and never on a measured time: so the same training on
    the same kind of machine gives the same numbers, also when it is resumed.
    `python -m experiments.arithmetic` measures both.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (N, in_channels, H, W) to (N, out_channels, h, w)."""
        if not self.takes_patches(x):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu")
        bias = None if self.bias is None else self.bias.to(dtype)
        return convolve_patches(
            x.to(dtype), self.weight.to(dtype), bias, (self.stride[0], self.stride[1]), self._pads
        )

    def takes_patches(self, x: Tensor) -> bool:
        """Return whether maps (N, in_channels, H, W) are convolved by patches."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not has_matrix_units():
            return False
        if torch.get_autocast_dtype("cpu") != torch.bfloat16 or _is_traced():
            return False
        is_plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        if not is_plain or isinstance(self.padding, str) or x.dim() != 4:
            return False
        sides = zip(x.shape[2:], self._pads, self.kernel_size, self.stride, strict=True)
        h, w = ((side + 2 * pad - kernel) // stride + 1 for side, pad, kernel, stride in sides)
        return (
            min(self.kernel_size) >= KERNEL
            and max(x.shape[2:]) <= LARGEST_MAP
            and min(self.in_channels, self.out_channels) >= CHANNELS
            and min(h, w) > 0
            and len(x) * h * w >= ROWS
        )

    @property
    def _pads(self) -> tuple[int, int]:
        vertical, horizontal = (int(pad) for pad in self.padding)
        return vertical, horizontal


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


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
