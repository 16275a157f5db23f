"""Pieces that generators and discriminators share: normalisation by name and CycleGAN's initialisation."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.types import full_precision

Norm = Literal["instance", "batch", "none"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """instance: without affine parameters or statistics, as CycleGAN. batch: affine. none: nothing."""
    if norm == "instance":
        return nn.GroupNorm(
            channels, channels, affine=False
        )  # the same numbers as InstanceNorm2d, and a sixth faster on a CPU
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


class ReflectConv2d(nn.Conv2d):
    """A convolution of odd kernel that keeps the size, padded by reflection.

    The padding runs in the precision that comes in: autocast would turn it into float32 and back.
    """

    def __init__(self, into: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__(into, out, kernel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        side = self.kernel_size[0] // 2
        with full_precision(x):
            x = F.pad(x, (side, side, side, side), mode="reflect")
        return super().forward(x)


def init_cyclegan(net: nn.Module) -> nn.Module:
    """Convolutions and linear layers N(0, 0.02), batch-norm weights N(1, 0.02), biases 0 (CycleGAN release)."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return net


def init_xavier(net: nn.Module) -> nn.Module:
    """Convolutions and linear layers Xavier normal, biases 0 (CyCADA release, task networks)."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net
