"""CycleGAN's generator: (N, C, H, W) in [-1, 1] -> the same shape and range."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.core.errors import CycadaError
from cycada.networks.blocks import Norm, ReflectConv2d, init_cyclegan, norm_layer
from cycada.networks.checkpointing import count_batches_once, run
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
    c7s1, tanh. Height and width are divisible by `multiple_of`. checkpointing: less memory, about a third more time.

    downs: 1 halves once: small images, whose thin things would not survive a quarter of the size, stay sharp.

    `encode` and `decode` are the forward in two halves, for those who look inside (CUT). widths: the channels of encode's maps.
    """

    def __init__(
        self,
        image_channels: int,
        *,
        channels: Width = 64,
        blocks: Depth = 9,
        downs: Annotated[int, Field(ge=0, le=100)] = 2,
        norm: Norm = "instance",
        dropout: Below1 = 0.0,
        up: Up = "transpose",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if checkpointing and dropout:
            raise CycadaError(
                "networks.g.checkpointing: it would draw another dropout in the backward pass. Set dropout to 0."
            )
        self.multiple_of, self.checkpointing = 2**downs, checkpointing
        self.smallest = max(4, 2 * self.multiple_of)  # reflection takes more pixels than it adds
        bias, widths = norm != "batch", [channels * 2**i for i in range(downs + 1)]
        layers: list[nn.Module] = [
            ReflectConv2d(image_channels, channels, 7, bias=bias),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
        ]
        for c in widths[:-1]:
            layers += [
                nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias),
                norm_layer(norm, 2 * c),
                nn.ReLU(inplace=True),
            ]
        first = len(layers)
        layers += [ResidualBlock(widths[-1], norm, dropout) for _ in range(blocks)]
        last = len(layers)
        for c in reversed(widths[:-1]):
            layers += [upsample(2 * c, c, up, bias), norm_layer(norm, c), nn.ReLU(inplace=True)]
        self.pieces = (
            *range(6, first + 1, 3),
            *range(first + 1, last + 1),
            *range(last + 3, len(layers), 3),
        )  # no cut at full size
        inner = sorted({first + 1, first + (blocks + 1) // 2}) if blocks else []
        behind = (
            4 if norm != "none" else 6
        )  # there the ReLU would overwrite in place what the convolution answered
        self.cuts = (0, *range(behind, first + 1, 3), *inner)
        self.widths = (image_channels, *widths[1:], *(widths[-1] for _ in inner))
        layers.append(ReflectConv2d(channels, image_channels, 7))
        self.body = nn.Sequential(*layers)
        init_cyclegan(self.body)
        if checkpointing:
            count_batches_once(self)

    def forward(self, x: Tensor) -> Tensor:
        if not self.checkpointing:
            return torch.tanh(self.body(x))
        return torch.tanh(self._between(0, len(self.body), x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """The images, the answers of the downsampling convolutions, of the first and of the middle residual block, (N, C, h, w)

        each: the layers of CUT (Park et al. 2020, section 4), whose middle one of 9 blocks is the fifth. Without normalisation a
        convolution's answers are those behind its ReLU.
        """
        maps = [x]
        for start, end in pairwise(self.cuts):
            maps.append(self._between(start, end, maps[-1]))
        return maps

    def decode(self, x: Tensor) -> Tensor:
        """The last of encode's maps -> what the forward gives."""
        return torch.tanh(self._between(self.cuts[-1], len(self.body), x))

    def _between(self, start: int, end: int, x: Tensor) -> Tensor:
        for a, b in pairwise((start, *(p for p in self.pieces if start < p < end), end)):
            x = run(self.body[a:b], x, self.checkpointing)
        return x
