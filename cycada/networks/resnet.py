"""CycleGAN's ResNet generator: (N, C, H, W) in [-1, 1] -> the same shape and range."""

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
    """A residual block with reflection padding: x + norm(conv(dropout(relu(norm(conv(x)))))).

    Args:
        channels: The number of input and output channels.
        norm: The normalisation: `instance`, `batch`, `group` or `none`.
        dropout: Rate of the dropout between the convolutions; 0 for none.
    """

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
        """Map (N, channels, H, W) to the same shape."""
        change: Tensor = self.body(x)
        return x + change


def upsample(into: int, out: int, up: Up, bias: bool) -> nn.Module:
    """Build a layer that doubles height and width.

    Args:
        into: The number of input channels.
        out: The number of output channels.
        up: `transpose`: the transposed convolution of CycleGAN. `resize`: nearest-neighbour enlargement and a
            convolution, which leave no checkerboard pattern (Odena et al. 2016).
        bias: Add a bias.
    """
    if up == "transpose":
        return nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2), ReflectConv2d(into, out, 3, bias=bias))


@generators("resnet")
class ResnetGenerator(nn.Module):
    """CycleGAN's ResNet generator (Zhu et al. 2017).

    It is after Johnson et al. 2016. Images (N, C, H, W) in [-1, 1] become images of the same shape and range;
    height and width are multiples of `multiple_of` = 2**downs. A 7 x 7 convolution, `downs` convolutions of
    stride 2, `blocks` residual blocks, `downs` enlarging layers, a 7 x 7 convolution and tanh, with
    reflection padding. 11,378,179 parameters with 9 blocks and 7,837,699 with 6 for colour images, as in the
    release.

    The layers are those of the CycleGAN release. The options `downs`, `up: resize` and `checkpointing` are
    additions.

    Args:
        image_channels: C, the number of image channels.
        channels: The number of maps at full size; every halving doubles it.
        blocks: The number of residual blocks: 9 in CycleGAN for 256 x 256, 6 for 128 x 128.
        downs: How often the size is halved. With 1, thin structures of small images stay sharp that would not
            survive a quarter of the size.
        norm: The normalisation: `instance`, `batch`, `group` or `none`.
        dropout: Dropout rate within the residual blocks, in [0, 1).
        up: How the size is doubled: `transpose` as in CycleGAN, or `resize` against checkerboard patterns.
        checkpointing: Recompute the activations in the backward pass: less memory, about a third more time.

    Attributes:
        multiple_of: The number that divides height and width of the images.
        smallest: The smallest height and width of the images, in pixels.
        widths: The number of channels of each map of `encode`.

    Raises:
        CycadaError: `checkpointing` is used with dropout.
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
                "networks.g.checkpointing: the backward pass would draw another dropout mask. Set dropout to "
                "0."
            )
        self.multiple_of, self.checkpointing = 2**downs, checkpointing
        self.smallest = max(4, 2 * self.multiple_of)  # reflection padding needs more pixels than it adds
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
        # Where checkpointing cuts the body: nowhere at full size, whose maps it would have to keep.
        self.pieces = (
            *range(6, first + 1, 3),
            *range(first + 1, last + 1),
            *range(last + 3, len(layers), 3),
        )
        block_ends = sorted({first + 1, first + (blocks + 1) // 2}) if blocks else []
        # Where `encode` cuts the body. Without normalisation, the ReLU would overwrite a convolution's output
        # in place, so the cut lies behind the ReLU.
        first_cut = 4 if norm != "none" else 6
        self.cuts = (0, *range(first_cut, first + 1, 3), *block_ends)
        self.widths = (image_channels, *widths[1:], *(widths[-1] for _ in block_ends))
        layers.append(ReflectConv2d(channels, image_channels, 7))
        self.body = nn.Sequential(*layers)
        init_cyclegan(self.body)
        if checkpointing:
            count_batches_once(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate images (N, C, H, W) in [-1, 1] to the same shape and range."""
        if not self.checkpointing:
            return torch.tanh(self.body(x))
        return torch.tanh(self._between(0, len(self.body), x))

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the maps that CUT compares (Park et al. 2020, section 4).

        They are the images themselves and the outputs of the downsampling convolutions, of the first residual
        block and of the middle one, which is the fifth of 9. Without normalisation, the maps of the
        convolutions are those behind their ReLU.

        Returns:
            Maps (N, C, h, w); `widths` holds the number of channels of each.
        """
        maps = [x]
        for start, end in pairwise(self.cuts):
            maps.append(self._between(start, end, maps[-1]))
        return maps

    def decode(self, x: Tensor) -> Tensor:
        """Return what `forward` gives, from the last map of `encode`: images in [-1, 1]."""
        return torch.tanh(self._between(self.cuts[-1], len(self.body), x))

    def _between(self, start: int, end: int, x: Tensor) -> Tensor:
        """Run the layers start .. end of the body, piece by piece where their activations are recomputed."""
        for a, b in pairwise((start, *(p for p in self.pieces if start < p < end), end)):
            x = run(self.body[a:b], x, self.checkpointing)
        return x
