"""pix2pix's U-Net generator: (N, C, H, W) in [-1, 1] -> the same shape and range."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.networks.blocks import Norm, init_cyclegan, norm_layer
from cycada.networks.convolution import Conv2d
from cycada.networks.registries import generators

DROPPED = 3
"""The number of decoder levels, from the innermost, that have dropout."""


@generators("unet")
class UnetGenerator(nn.Module):
    """pix2pix's U-Net generator (Isola et al. 2017).

    See section 6.1.1 of the paper. Images (N, C, H, W) in [-1, 1] become images of the same shape and range;
    height and width are multiples of `multiple_of` = 2**downs. The encoder halves the size `downs` times; the
    decoder doubles it as often, and sees the encoder's map of the same size next to its own. 54.4 M
    parameters with 8 halvings.

    Neither the outermost nor the innermost level of the encoder is normalised: a map of 1 x 1 has no
    variance. As in the paper, dropout lies behind the first three levels of the decoder; the CycleGAN release
    begins one level further out. Here dropout is on in training only; in the paper, whose only noise it is,
    at test time too.

    Args:
        image_channels: C, the number of image channels.
        channels: The number of maps at half the size; deeper maps have up to 8 times as many.
        downs: How often the size is halved; 8 for 256 x 256 images.
        norm: The normalisation: `instance`, `batch`, `group` or `none`.
        dropout: Dropout rate in the decoder, in [0, 1); 0.5 in the paper.
    """

    def __init__(
        self,
        image_channels: int,
        *,
        channels: Width = 64,
        downs: Depth = 8,
        norm: Norm = "instance",
        dropout: Below1 = 0.0,
    ) -> None:
        super().__init__()
        self.multiple_of = 2**downs
        widths = [min(channels * 2**i, channels * 8) for i in range(downs)]
        bias = norm != "batch"
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            into = image_channels if i == 0 else widths[i - 1]
            normed = 0 < i < downs - 1  # the innermost level may have one value per channel, without variance
            self.down.append(
                nn.Sequential(
                    nn.Identity() if i == 0 else nn.LeakyReLU(0.2),
                    Conv2d(into, width, 4, stride=2, padding=1, bias=bias or not normed),
                    norm_layer(norm, width) if normed else nn.Identity(),
                )
            )
        for i in reversed(range(downs)):
            into = widths[i] * (1 if i == downs - 1 else 2)
            out = image_channels if i == 0 else widths[i - 1]
            self.up.append(
                nn.Sequential(
                    nn.ReLU(),
                    nn.ConvTranspose2d(into, out, 4, stride=2, padding=1, bias=bias or i == 0),
                    nn.Identity() if i == 0 else norm_layer(norm, out),
                    nn.Dropout(dropout) if dropout and 0 < i >= downs - DROPPED else nn.Identity(),
                )
            )
        init_cyclegan(self)

    def forward(self, x: Tensor) -> Tensor:
        """Translate images (N, C, H, W) in [-1, 1] to the same shape and range."""
        levels: list[Tensor] = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = self.up[0](levels.pop())
        for up in self.up[1:]:
            x = up(torch.cat([levels.pop(), x], 1))
        return torch.tanh(x)
