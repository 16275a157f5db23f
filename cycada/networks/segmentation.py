"""What segmenters share: the normalisation inside, scores at the size of the input, an encoder and a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.types import Output

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of colours in [0, 1]."""


class Normalise(nn.Module):
    """(N, C, H, W) in [-1, 1] -> (N, 3, H, W) as a pretrained network saw it: (colour in [0, 1] - mean) / std.

    Grey is shown as three equal colours, so that pretrained weights fit both. `bgr` turns the order of colours.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], bgr: bool = False) -> None:
        super().__init__()
        self.bgr = bgr
        self.register_buffer("mean", torch.tensor(mean).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = ((x.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.std
        return x.flip(1) if self.bgr else x


def resize(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W), bilinear, at the height and width of `like`. In float32: bf16 would blur what the

    gradient of an enlarged map adds up, and is the slower one on a CPU.
    """
    return F.interpolate(x.float(), like.shape[-2:], mode="bilinear", align_corners=align_corners)


class Segmenter(nn.Module):
    """An encoder to the map of features that adaptation works on, a head to class scores, which are then enlarged.

    (N, C, H, W) in [-1, 1] -> Output(features (N, width, h, w), logits (N, K, H, W)). frozen_norm: batch norm keeps the
    statistics that it came with also in training, where batches are too small or mix domains.
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
        super().train(mode)
        if self.frozen_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Output:
        features = self.encoder(x)
        return Output(features, resize(self.head(features), x, self.align_corners))


def convolution(into: int, out: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (or halves it, rounding up), batch norm, ReLU."""
    side = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, side, dilation, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )
