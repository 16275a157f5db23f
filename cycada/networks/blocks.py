"""Layers and initialisations that generators, discriminators and classifiers share."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.types import full_precision
from cycada.networks.convolution import Conv2d

Norm = Literal["instance", "batch", "group", "none"]
GROUPS = 8
"""The number of groups into which group normalisation divides the channels."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """Return the normalisation layer of this name.

    Args:
        norm: `instance`: without affine parameters or running statistics, as in CycleGAN. `batch`: batch
            normalisation with affine parameters. `group`: group normalisation (Wu & He 2018) with affine
            parameters and `GROUPS` groups, or the greatest number that divides both `GROUPS` and the
            channels. `none`: the identity.
        channels: The number of channels of the maps.
    """
    if norm == "instance":
        # The same numbers as InstanceNorm2d, and a sixth faster on a CPU.
        return nn.GroupNorm(channels, channels, affine=False)
    if norm == "group":
        return nn.GroupNorm(math.gcd(GROUPS, channels), channels)
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


class ReflectConv2d(Conv2d):
    """Convolution with an odd kernel that keeps height and width by reflection padding.

    The padding runs in the precision of its input: autocast would convert the maps to float32 and back.

    Args:
        into: The number of input channels.
        out: The number of output channels.
        kernel: Height and width of the kernel in pixels, an odd number.
        bias: Add a bias.
    """

    def __init__(self, into: int, out: int, kernel: int, bias: bool = True) -> None:
        super().__init__(into, out, kernel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps (N, into, H, W) to (N, out, H, W)."""
        side = self.kernel_size[0] // 2
        with full_precision(x):
            x = F.pad(x, (side, side, side, side), mode="reflect")
        return super().forward(x)


def init_cyclegan(net: nn.Module) -> nn.Module:
    """Initialise a network as the CycleGAN release does, and return it.

    Weights of convolutions and linear layers are drawn from N(0, 0.02), those of batch normalisation from
    N(1, 0.02); biases are 0.
    """
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
    """Initialise a network as the CyCADA release does its task networks, and return it.

    Weights of convolutions and linear layers are Xavier normal (Glorot & Bengio 2010); biases are 0.
    """
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def to_channels_last(x: Tensor) -> Tensor:
    """Return images (N, C, H, W) in channels-last memory format, also where C is 1.

    The strides of grey images fit both formats, so that `contiguous` leaves them, and PyTorch takes the other
    one for all maps that are computed from them.
    """
    if x.shape[1] == 1:
        return x.contiguous().permute(0, 2, 3, 1).flatten(2).unsqueeze(3).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)
