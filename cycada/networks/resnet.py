"""CycleGAN's generator: (N, C, H, W) in [-1, 1] -> the same shape and range."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cycada.networks.blocks import Norm, ReflectConv2d, init_cyclegan, norm_layer
from cycada.networks.registries import generators

Up = Literal["transpose", "resize"]


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), reflection-padded, with dropout between where asked for."""

    def __init__(self, channels: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ReflectConv2d(channels, channels, 3, bias=norm != "batch"),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            ReflectConv2d(channels, channels, 3, bias=norm != "batch"),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def upsample(into: int, out: int, up: Up, bias: bool) -> nn.Module:
    """Twice the size. `transpose`: CycleGAN's; `resize`: nearest, then a convolution, without checkerboards
    (Odena et al. 2016)."""
    if up == "transpose":
        return nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2), ReflectConv2d(into, out, 3, bias=bias))


@generators("resnet")
class ResnetGenerator(nn.Module):
    """CycleGAN's generator (Johnson et al. 2016): c7s1, two downsamplings, `blocks` residual blocks, two upsamplings,
    c7s1, tanh. Height and width are divisible by `multiple_of`.
    """

    multiple_of = 4

    def __init__(
        self,
        image_channels: int,
        *,
        channels: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        up: Up = "transpose",
    ) -> None:
        super().__init__()
        bias, c = norm != "batch", channels
        layers: list[nn.Module] = [
            ReflectConv2d(image_channels, c, 7, bias=bias), norm_layer(norm, c), nn.ReLU(inplace=True),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias), norm_layer(norm, 2 * c), nn.ReLU(inplace=True),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=bias), norm_layer(norm, 4 * c), nn.ReLU(inplace=True),
        ]  # fmt: skip
        layers += [ResidualBlock(4 * c, norm, dropout) for _ in range(blocks)]
        layers += [
            upsample(4 * c, 2 * c, up, bias), norm_layer(norm, 2 * c), nn.ReLU(inplace=True),
            upsample(2 * c, c, up, bias), norm_layer(norm, c), nn.ReLU(inplace=True),
            ReflectConv2d(c, image_channels, 7),
        ]  # fmt: skip
        self.body = init_cyclegan(nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.body(x))
