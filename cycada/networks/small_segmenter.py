"""A segmenter that a CPU trains in minutes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import Segmenter, convolution, resize

DILATIONS = (1, 2, 4, 8)


class DilatedBlock(nn.Module):
    """ReLU(x + norm(conv(ReLU(norm(dilated conv(x)))))): the plain second convolution fills the grid of the first."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels, dilation=dilation),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class SmallEncoder(nn.Module):
    """(N, C, H, W) -> (N, width, ceil(H / 4), ceil(W / 4)): most of the work is done at an eighth of the size."""

    def __init__(self, image_channels: int, channels: int, width: int) -> None:
        super().__init__()
        c = channels
        self.fine = nn.Sequential(convolution(image_channels, c, stride=2), convolution(c, 2 * c, stride=2))
        self.coarse = nn.Sequential(
            convolution(2 * c, 4 * c, stride=2), *(DilatedBlock(4 * c, d) for d in DILATIONS)
        )
        self.fuse = convolution(6 * c, width)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(
            x.contiguous(memory_format=torch.channels_last)
        )  # a sixth faster on a CPU, and on tensor cores
        return self.fuse(torch.cat([resize(self.coarse(fine), fine).to(fine.dtype), fine], 1))


@classifiers("small_segmenter")
def small_segmenter(
    image_channels: int, classes: int, *, channels: Width = 16, width: Width = 64, dropout: Below1 = 0.1
) -> Segmenter:
    """Halved twice to a fine map, once more to a coarse one with four dilated residual blocks (seeing the whole of a small

    image), both fused into features of `width` at a quarter of the size. 0.38 M parameters; any H and W, also below 8.
    Plain convolutions: depthwise ones have fewer parameters and took twice the time of a step on a CPU in bf16.
    """
    head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))
    return Segmenter(SmallEncoder(image_channels, channels, width), head, width)
