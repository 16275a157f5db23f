"""CoGAN's coupled networks for photos, built like DCGAN and as deep as the image size allows.

CoGAN is by Liu & Tuzel (2016), DCGAN by Radford et al. (2016). Images are floats in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from cycada.core.bounds import Width
from cycada.networks.blocks import init_cyclegan
from cycada.networks.convolution import Conv2d
from cycada.networks.coupled import NOISE, PairDiscriminatorOutput, Shape, Side, apply_heads, build_heads
from cycada.networks.registries import pair_discriminators, pair_generators

LEAST = 4
"""The smallest height and width of a map; DCGAN starts from 4 x 4."""


def widths_of(shape: Shape, channels: int) -> list[int]:
    """Return the number of channels of the maps at 1/2, 1/4, 1/8, ... of the image size.

    The size is halved as long as both sides divide evenly and keep at least `LEAST` pixels, and once in any
    case.

    Args:
        shape: Height and width of the images, in pixels.
        channels: The number of channels at half the size. Every further halving doubles it, up to 8 times as
            many.
    """
    deep = 1
    while all(side % 2 ** (deep + 1) == 0 and side // 2 ** (deep + 1) >= LEAST for side in shape):
        deep += 1
    return [channels * min(2**i, 8) for i in range(deep)]


@pair_generators("dcgan")
class DeepPairGenerator(nn.Module):
    """CoGAN's generator for photos, a DCGAN.

    It draws one image of each domain from the same noise. Noise (N, 100) becomes two images (N, C, H, W) in
    [-1, 1]. A linear layer leads to the smallest map (4 x 4 for images of 64 x 64 or 256 x 256), and
    transposed convolutions with batch normalisation and ReLU double the size; all these are shared. Each
    domain has its own last transposed convolution. 3,587,974 parameters for colour images of 64 x 64.

    The networks are those of DCGAN (Radford et al. 2016), coupled as in CoGAN (Liu & Tuzel 2016), whose
    release has no network for these sizes.

    Args:
        image_channels: C, the number of image channels.
        shape: Height and width of the images, multiples of `multiple_of` = 2.
        channels: The number of maps at half the image size; deeper maps have up to 8 times as many.
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
        """Return an image of the source and one of the target, each (N, C, H, W), from noise (N, 100)."""
        shared = self.shared(noise)
        return torch.tanh(self.s(shared)), torch.tanh(self.t(shared))


@pair_discriminators("dcgan")
class DeepPairDiscriminator(nn.Module):
    """CoGAN's discriminator and classifier for photos.

    It is a DCGAN (Radford et al. 2016; Liu & Tuzel 2016). Images (N, C, H, W) of one domain become a
    `PairDiscriminatorOutput`. Each domain has its own first convolution; the others, with batch normalisation
    and LeakyReLU 0.2, are shared. They halve the size down to the smallest map, whose values are the
    features: D = channels x height x width of that map. 2,850,699 parameters for 10 classes and colour images
    of 64 x 64.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes; 0 for images without classes.
        shape: Height and width of the images, multiples of `multiple_of` = 2.
        channels: The number of maps at half the image size; deeper maps have up to 8 times as many.
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
                Conv2d(into, out, 4, 2, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.shared = nn.Sequential(*modules, nn.Flatten())
        h, w = (side // 2 ** len(widths) for side in shape)
        self.score, self.classes = build_heads(widths[-1] * h * w, classes)
        init_cyclegan(self)

    def forward(self, images: Tensor, side: Side) -> PairDiscriminatorOutput:
        """Return score, features and logits of images (N, C, H, W) of the domain `side`."""
        features = self.shared(self.s(images) if side == "s" else self.t(images))
        return apply_heads(self.score, self.classes, features)
