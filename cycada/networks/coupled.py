"""CoGAN's coupled networks: one trunk for both domains, a layer of its own for each (Liu & Tuzel 2016)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.networks.blocks import init_xavier
from cycada.networks.registries import pair_discriminators, pair_generators

NOISE = 100
"""The length of the noise vector, the paper's."""

Side = Literal["s", "t"]


class PairDiscriminatorOutput(NamedTuple):
    """What a discriminator of pairs says of images.

    score: (N, 1), unbounded, high means real. features: (N, D), shared by both domains. logits: (N, K), their classes; K = 0
    where images have none.
    """

    score: Tensor
    features: Tensor
    logits: Tensor


Shape = tuple[int, int]
"""(height, width)"""


def _up(into: int, out: int) -> list[nn.Module]:
    """Twice the size."""
    return [nn.ConvTranspose2d(into, out, 4, 2, 1), nn.BatchNorm2d(out, affine=False), nn.PReLU()]


def heads(width: int, classes: int) -> tuple[nn.Linear, nn.Linear | None]:
    """To the score, and to the classes where images have one."""
    return nn.Linear(width, 1), nn.Linear(width, classes) if classes else None


def judge(net: nn.Module, features: Tensor) -> PairDiscriminatorOutput:
    """What the heads of a discriminator of pairs say of features (N, D)."""
    classes = net.classes(features) if net.classes is not None else features[:, :0]  # type: ignore[operator]
    return PairDiscriminatorOutput(net.score(features), features, classes)  # type: ignore[operator]


@pair_generators("coupled")
class PairGenerator(nn.Module):
    """Noise (N, 100) -> an image of each domain, both (N, C, H, W) in [-1, 1]. All layers but the last are shared: what is

    shown is decided for both at once, how it looks for each alone. A linear layer to 4 x `channels` maps of a quarter of
    the size, two deconvolutions, and each domain's own convolution, with batch norm and PReLU as in the release.
    """

    multiple_of = 4

    def __init__(self, image_channels: int, shape: Shape, *, channels: Width = 64) -> None:
        super().__init__()
        self.shape = shape
        c, (h, w) = channels, (side // 4 for side in shape)
        self.shared = nn.Sequential(
            nn.Linear(NOISE, 4 * c * h * w), nn.Unflatten(1, (4 * c, h, w)), nn.BatchNorm2d(4 * c, affine=False), nn.PReLU(),
            *_up(4 * c, 2 * c), *_up(2 * c, c),
        )  # fmt: skip
        self.s, self.t = (nn.Conv2d(c, image_channels, 5, padding=2) for _ in range(2))
        init_xavier(self)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.shared(noise)
        return torch.tanh(self.s(shared)), torch.tanh(self.t(shared))


@pair_discriminators("coupled")
class PairDiscriminator(nn.Module):
    """Images of one domain -> PairDiscriminatorOutput. The release's LeNet: each domain's own 5 x 5 convolution, then all is shared:

    convolution, 500 features, and from these one linear layer to the score and one to the classes.
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
            nn.Conv2d(channels, 5 * channels // 2, 5, padding=2), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(dropout), nn.Linear(5 * channels // 2 * places, width), nn.PReLU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.score, self.classes = heads(width, classes)
        init_xavier(self)

    def forward(self, images: Tensor, side: Side) -> PairDiscriminatorOutput:
        return judge(self, self.shared(self.s(images) if side == "s" else self.t(images)))
