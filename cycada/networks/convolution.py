"""A convolution that is computed in the way that is fastest for its shape."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cycada.core.cpu import has_matrix_units, multiplies_bf16
from cycada.networks.convolution_by_columns import convolve_columns
from cycada.networks.convolution_by_patches import convolve_patches

Way = Literal["library", "patches", "columns"]

KERNEL = 4
"""The smallest height and width of a kernel for which patches are taken."""
LARGEST_MAP, LARGEST_MAP_WITH_MATRIX_UNITS = 4, 8
"""The largest height and width of the maps of which patches are taken."""
CHANNELS = 128
"""The smallest number of input channels, and of output channels, with which patches are taken."""
ROWS = 256
"""The smallest number of patches that are worth a product of matrices."""
OUTPUTS = 4
"""The largest number of output channels with which columns are added up."""
INPUTS = 16
"""The smallest number of input channels with which columns are added up."""
NARROWEST_MAP = 8
"""The smallest width of the maps whose columns are added up."""


class Conv2d(nn.Conv2d):
    """A convolution with three implementations, of which a rule chooses the fastest.

    It is `torch.nn.Conv2d` in all else: arguments, parameters, state_dict and results, up to the rounding of
    its precision. Beside the library's convolution there are, on a CPU alone:

    - `columns`: for at most 4 output channels, at least 16 input channels, maps of at least 8 columns, and a
      kernel of 3 to 7 columns that moves by 1. This is the last layer of generators and of many PatchGANs
      (`cycada.networks.convolution_by_columns`).
    - `patches`: under autocast to bf16 on a processor that multiplies bf16, and in fp32 on one with matrix
      units, for kernels of at least 4 x 4, maps of at most 4 x 4 (8 x 8 with matrix units), at least 128
      input and output channels and at least 256 patches. These are the deep layers of PatchGANs
      (`cycada.networks.convolution_by_patches`).

    The library reaches a fraction of a CPU's speed there. Everywhere else, and whenever the network is
    compiled or exported, it is the library that computes.

    The choice depends on shapes and the processor alone and never on a measured time: so the same training on
    the same kind of machine gives the same numbers, also when it is resumed.
    `python -m experiments.arithmetic` measures all of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (N, in_channels, H, W) to (N, out_channels, h, w)."""
        way = self.way(x)
        if way == "library":
            return super().forward(x)
        if way == "columns":
            return convolve_columns(x, self.weight, self.bias, self.stride[0], self._pads)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else self.weight.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return convolve_patches(
            x.to(dtype), self.weight.to(dtype), bias, (self.stride[0], self.stride[1]), self._pads
        )

    def way(self, x: Tensor) -> Way:
        """Return how maps (N, in_channels, H, W) are convolved."""
        is_plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        if not is_plain or isinstance(self.padding, str) or x.dim() != 4:
            return "library"
        if x.device.type != "cpu" or _is_traced():
            return "library"
        if self._takes_columns(x):
            return "columns"
        return "patches" if self._takes_patches(x) else "library"

    def _takes_columns(self, x: Tensor) -> bool:
        pays = self.out_channels <= OUTPUTS and self.in_channels >= INPUTS and x.shape[3] >= NARROWEST_MAP
        return pays and 3 <= self.kernel_size[1] <= 7 and self.stride[1] == 1

    def _takes_patches(self, x: Tensor) -> bool:
        if torch.is_autocast_enabled("cpu"):
            pays = torch.get_autocast_dtype("cpu") == torch.bfloat16 and multiplies_bf16()
        else:  # the matrix units do not help there, but processors that have them are slow at these shapes
            pays = x.dtype == self.weight.dtype == torch.float32 and has_matrix_units()
        sides = zip(x.shape[2:], self._pads, self.kernel_size, self.stride, strict=True)
        h, w = ((side + 2 * pad - kernel) // stride + 1 for side, pad, kernel, stride in sides)
        return (
            pays
            and min(self.kernel_size) >= KERNEL
            and max(x.shape[2:]) <= (LARGEST_MAP_WITH_MATRIX_UNITS if has_matrix_units() else LARGEST_MAP)
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
