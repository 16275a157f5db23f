"""A segmenter that a CPU trains in minutes."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.networks.blocks import Norm, norm_layer, to_channels_last
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import Segmenter, convolution, resize

DILATIONS = (1, 2, 4, 8)
"""The dilations of the residual blocks at an eighth of the size."""


class DilatedBlock(nn.Module):
    """A residual block whose first convolution is dilated: ReLU(x + norm(conv(ReLU(norm(dilated conv(x)))))).

    The second convolution is not dilated: it fills the grid that the first one leaves.

    Args:
        channels: The number of input and output channels.
        dilation: Dilation of the first convolution.
        norm: The normalisation, as `norm_layer` takes it.
    """

    def __init__(self, channels: int, dilation: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels, dilation=dilation, norm=norm),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        return F.relu(x + self.body(x))


class SmallEncoder(nn.Module):
    """The encoder of the small segmenter, to features at a quarter of the image size.

    Images (N, C, H, W) in [-1, 1] become features (N, width, ceil(H / 4), ceil(W / 4)). Most of its work is
    done at an eighth of the size.

    Args:
        image_channels: C, the number of image channels.
        channels: The number of maps at half the size.
        width: The number of channels of the features.
        norm: The normalisation, as `norm_layer` takes it.
    """

    def __init__(self, image_channels: int, channels: int, width: int, norm: Norm) -> None:
        super().__init__()
        c, conv = channels, partial(convolution, norm=norm)
        self.fine = nn.Sequential(conv(image_channels, c, stride=2), conv(c, 2 * c, stride=2))
        self.coarse = nn.Sequential(
            conv(2 * c, 4 * c, stride=2), *(DilatedBlock(4 * c, d, norm) for d in DILATIONS)
        )
        self.fuse = conv(6 * c, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, width, ceil(H / 4), ceil(W / 4)) of images (N, C, H, W)."""
        # Channels last: a sixth faster on a CPU, and on tensor cores.
        fine = self.fine(to_channels_last(x))
        coarse = resize(self.coarse(fine), fine).to(fine.dtype)
        features: Tensor = self.fuse(torch.cat([coarse, fine], 1))
        return features


@classifiers("small_segmenter")
def small_segmenter(
    image_channels: int,
    classes: int,
    *,
    channels: Width = 16,
    width: Width = 64,
    dropout: Below1 = 0.1,
    norm: Literal["batch", "group"] = "batch",
) -> Segmenter:
    """Build a small segmenter that a CPU trains in minutes.

    It is of this toolkit, not of a paper. Images (N, C, H, W) in [-1, 1] of any size, also below 8 pixels,
    become features (N, `width`, ceil(H / 4), ceil(W / 4)) and logits (N, K, H, W). Two convolutions of stride
    2 give a fine map; a third one and four dilated residual blocks, which see the whole of a small image,
    give a coarse one; both are fused into the features. 0.38 M parameters. The convolutions are plain ones:
    depthwise ones have fewer parameters, but a training step took twice the time on a CPU in bf16.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        channels: The number of maps at half the size; deeper maps have 2 and 4 times as many.
        width: The number of channels of the features.
        dropout: Rate of the dropout of whole maps in front of the last layer, in [0, 1).
        norm: How the maps are normalised. `batch`: by the statistics of a batch, and in another domain by
            those of the source. `group`: by those of the image itself, in 8 groups of channels (4 where 8
            does not divide them, and so on), whatever the domain.
    """
    head = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))
    return Segmenter(SmallEncoder(image_channels, channels, width, norm), head, width)
