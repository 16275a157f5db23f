"""CoGAN's coupled networks for photos: DCGAN's (Radford et al. 2016), as deep as the size allows (Liu & Tuzel 2016)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from cycada.core.bounds import Width
from cycada.networks.blocks import init_cyclegan
from cycada.networks.coupled import NOISE, PairDiscriminatorOutput, Shape, Side, heads, judge
from cycada.networks.registries import pair_discriminators, pair_generators

LEAST = 4
"""The smallest height or width of a map: DCGAN starts from 4 x 4."""


def widths_of(shape: Shape, channels: int) -> list[int]:
    """The channels of the maps at 1/2, 1/4, ... of the size, as long as both sides halve evenly and stay at least 4 (one map

    in any case): `channels` at half the size, twice as many at every further halving, and 8 times as many at most.
    """
    deep = 1
    while all(side % 2 ** (deep + 1) == 0 and side // 2 ** (deep + 1) >= LEAST for side in shape):
        deep += 1
    return [channels * min(2**i, 8) for i in range(deep)]


@pair_generators("dcgan")
class DeepPairGenerator(nn.Module):
    """Noise (N, 100) -> an image of each domain, both (N, C, H, W) in [-1, 1], for any even H and W. A linear layer to the

    smallest map (4 x 4 of 64 x 64, or of 256 x 256), deconvolutions with batch norm and ReLU, all shared; each domain's own last
    deconvolution.
    """

    multiple_of = 2

    def __init__(self, image_channels: int, shape: Shape, *, channels: Width = 64) -> None:
        super().__init__()
        self.shape = shape
        widths = widths_of(shape, channels)
        h, w = (side // 2 ** len(widths) for side in shape)
        modules: list[nn.Module] = [nn.Linear(NOISE, widths[-1] * h * w), nn.Unflatten(1, (widths[-1], h, w))]
        for into, out in pairwise(reversed(widths)):
            modules += [
                nn.BatchNorm2d(into),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(into, out, 4, 2, 1, bias=False),
            ]
        self.shared = nn.Sequential(*modules, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.s, self.t = (nn.ConvTranspose2d(channels, image_channels, 4, 2, 1) for _ in range(2))
        init_cyclegan(self)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.shared(noise)
        return torch.tanh(self.s(shared)), torch.tanh(self.t(shared))


@pair_discriminators("dcgan")
class DeepPairDiscriminator(nn.Module):
    """Images of one domain -> PairDiscriminatorOutput. Each domain's own first convolution, then all is shared: convolutions with batch norm down

    to the smallest map, whose values are the features; LeakyReLU 0.2.
    """

    multiple_of = 2

    def __init__(self, image_channels: int, classes: int, shape: Shape, *, channels: Width = 64) -> None:
        super().__init__()
        widths = widths_of(shape, channels)
        self.s, self.t = (
            nn.Sequential(nn.Conv2d(image_channels, channels, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True))
            for _ in range(2)
        )
        modules: list[nn.Module] = []
        for into, out in pairwise(widths):
            modules += [
                nn.Conv2d(into, out, 4, 2, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.shared = nn.Sequential(*modules, nn.Flatten())
        h, w = (side // 2 ** len(widths) for side in shape)
        self.score, self.classes = heads(widths[-1] * h * w, classes)
        init_cyclegan(self)

    def forward(self, images: Tensor, side: Side) -> PairDiscriminatorOutput:
        return judge(self, self.shared(self.s(images) if side == "s" else self.t(images)))
