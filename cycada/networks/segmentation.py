"""Parts of segmenters: normalisation inside the network, bilinear enlargement, and an encoder with a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.types import Output
from cycada.networks.blocks import Norm, norm_layer

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's red, green and blue, for colours in [0, 1]."""


class Normalise(nn.Module):
    """Normalisation of images as a pretrained network expects them: (colour in [0, 1] - mean) / std.

    Images (N, C, H, W) in [-1, 1] become (N, 3, H, W). Grey is shown as three equal colours, so that
    pretrained weights fit both.

    Args:
        mean: The mean of each of three colours, for colours in [0, 1].
        std: The standard deviation of each of three colours, for colours in [0, 1].
        bgr: Turn the order of the colours, after the normalisation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], bgr: bool = False) -> None:
        super().__init__()
        self.bgr = bgr
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images (N, C, H, W) in [-1, 1] to (N, 3, H, W)."""
        x = ((x.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.std
        return x.flip(1) if self.bgr else x


def resize(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """Resize maps bilinearly to the height and width of `like`, in float32.

    In bf16 the gradient of an enlarged map would lose precision where many values are added up, and it would
    be slower on a CPU.

    Args:
        x: Maps (N, C, h, w).
        like: A tensor whose last two dimensions are H and W.
        align_corners: Align the centres of the corner pixels, as the DRN release does.

    Returns:
        (N, C, H, W), float32.
    """
    return F.interpolate(x.float(), like.shape[-2:], mode="bilinear", align_corners=align_corners)


class Segmenter(nn.Module):
    """A segmenter made of an encoder to the features that adaptation works on and a head to the class scores.

    Images (N, C, H, W) in [-1, 1] become `Output(features (N, width, h, w), logits (N, K, H, W))`: the head's
    scores are enlarged to the size of the images.

    Args:
        encoder: Images -> features (N, width, h, w).
        head: Features -> scores (N, K, h, w).
        width: The number of channels of the features.
        align_corners: Enlarge the scores with aligned corners.
        frozen_norm: Keep the statistics of batch normalisation fixed in training, for batches that are too
            small or that mix domains.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: nn.Module,
        width: int,
        *,
        align_corners: bool = False,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.width = encoder, head, width
        self.align_corners, self.frozen_norm = align_corners, frozen_norm

    def train(self, mode: bool = True) -> Self:
        """Set the mode; with `frozen_norm`, batch normalisation stays in eval mode."""
        super().train(mode)
        if self.frozen_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Output:
        """Return the features (N, width, h, w) and the logits (N, K, H, W) of images (N, C, H, W)."""
        features = self.encoder(x)
        return Output(features, resize(self.head(features), x, self.align_corners))


def convolution(
    into: int, out: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, norm: Norm = "batch"
) -> nn.Sequential:
    """Build a padded convolution with normalisation and ReLU; it keeps the size where `stride` is 1.

    Args:
        into: The number of input channels.
        out: The number of output channels.
        kernel: Height and width of the kernel, an odd number.
        stride: With 2 the size is halved, rounding up.
        dilation: Dilation of the kernel.
        norm: The normalisation, as `norm_layer` takes it.
    """
    side = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, side, dilation, bias=False),
        norm_layer(norm, out),
        nn.ReLU(inplace=True),
    )
