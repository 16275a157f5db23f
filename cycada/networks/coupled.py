"""CoGAN's coupled networks: layers that both domains share, and one layer of each domain's own.

The method is that of Liu & Tuzel (2016). Images are floats in [-1, 1].
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.networks.blocks import init_xavier
from cycada.networks.convolution import Conv2d
from cycada.networks.registries import pair_discriminators, pair_generators

NOISE = 100
"""The length of the noise vector, as in the paper."""

Side = Literal["s", "t"]


class PairDiscriminatorOutput(NamedTuple):
    """The output of a pair discriminator for images of one domain.

    Attributes:
        score: (N, 1), unbounded; high means real.
        features: (N, D), computed by layers that both domains share.
        logits: (N, K), the class scores; K is 0 where images have no classes.
    """

    score: Tensor
    features: Tensor
    logits: Tensor


Shape = tuple[int, int]
"""Height and width of images, in pixels."""


def _up(into: int, out: int) -> list[nn.Module]:
    """Twice the size."""
    return [nn.ConvTranspose2d(into, out, 4, 2, 1), nn.BatchNorm2d(out, affine=False), nn.PReLU()]


def build_heads(width: int, classes: int) -> tuple[nn.Linear, nn.Linear | None]:
    """Build the linear layers to the score and to the classes; the latter is None for 0 classes."""
    return nn.Linear(width, 1), nn.Linear(width, classes) if classes else None


def apply_heads(score: nn.Linear, classes: nn.Linear | None, features: Tensor) -> PairDiscriminatorOutput:
    """Apply the two heads of a pair discriminator, see `build_heads`, to features (N, D)."""
    logits = features[:, :0] if classes is None else classes(features)
    return PairDiscriminatorOutput(score(features), features, logits)


@pair_generators("coupled")
class PairGenerator(nn.Module):
    """CoGAN's generator for digits (Liu & Tuzel 2016).

    It draws one image of each domain from the same noise. Noise (N, 100) becomes two images (N, C, H, W) in
    [-1, 1]. A linear layer leads to 4 x `channels` maps at a quarter of the size; two transposed convolutions
    enlarge them. All of this is shared, so that the content of both images is decided once. The last layer, a
    5 x 5 convolution, belongs to one domain each and decides how the content looks there. 1,925,701
    parameters for grey images of 28 x 28.

    Batch normalisation without affine parameters and PReLU are those of the release. The release is larger
    (five transposed convolutions of 1024, 512, 256, 128 and 1 channels, for 28 x 28 only) and ends in a
    sigmoid in place of tanh.

    Args:
        image_channels: C, the number of image channels.
        shape: Height and width of the images, multiples of `multiple_of` = 4.
        channels: The number of maps at full size.
    """

    multiple_of = 4

    def __init__(self, image_channels: int, shape: Shape, *, channels: Width = 64) -> None:
        super().__init__()
        self.shape = shape
        c, (h, w) = channels, (side // 4 for side in shape)
        self.shared = nn.Sequential(
            nn.Linear(NOISE, 4 * c * h * w),
            nn.Unflatten(1, (4 * c, h, w)),
            nn.BatchNorm2d(4 * c, affine=False),
            nn.PReLU(),
            *_up(4 * c, 2 * c),
            *_up(2 * c, c),
        )
        self.s, self.t = (Conv2d(c, image_channels, 5, padding=2) for _ in range(2))
        init_xavier(self)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return an image of the source and one of the target, each (N, C, H, W), from noise (N, 100)."""
        shared = self.shared(noise)
        return torch.tanh(self.s(shared)), torch.tanh(self.t(shared))


@pair_discriminators("coupled")
class PairDiscriminator(nn.Module):
    """CoGAN's discriminator and classifier for digits.

    It is a LeNet (Liu & Tuzel 2016). Images (N, C, H, W) of one domain become a `PairDiscriminatorOutput`
    with D = `width`. Each domain has its own first 5 x 5 convolution; a second convolution, the layer to the
    features, and one linear layer each to the score and to the classes are shared. 1,257,102 parameters for
    10 classes and grey images of 28 x 28.

    Unlike the release, convolutions are padded, so that they take any size that is a multiple of 4, and real
    or fake is one score in place of two.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes; 0 for images without classes.
        shape: Height and width of the images, multiples of `multiple_of` = 4.
        channels: The number of maps of the first convolution; the second one has 2.5 times as many.
        width: D, the number of features.
        dropout: Dropout rate in front of and behind the layer to the features; 0, as in the release, for
            none.
    """

    multiple_of = 4

    def __init__(
        self,
        image_channels: int,
        classes: int,
        shape: Shape,
        *,
        channels: Width = 20,
        width: Width = 500,
        dropout: Below1 = 0.0,
    ) -> None:
        super().__init__()
        places = (shape[0] // 4) * (shape[1] // 4)
        self.s, self.t = (
            nn.Sequential(nn.Conv2d(image_channels, channels, 5, padding=2), nn.MaxPool2d(2))
            for _ in range(2)
        )
        self.shared = nn.Sequential(
            nn.Conv2d(channels, 5 * channels // 2, 5, padding=2),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(5 * channels // 2 * places, width),
            nn.PReLU(),
            nn.Dropout(dropout),
        )
        self.score, self.classes = build_heads(width, classes)
        init_xavier(self)

    def forward(self, images: Tensor, side: Side) -> PairDiscriminatorOutput:
        """Return score, features and logits of images (N, C, H, W) of the domain `side`."""
        features = self.shared(self.s(images) if side == "s" else self.t(images))
        return apply_heads(self.score, self.classes, features)
