"""Feature discriminators of segmenters: (N, D, h, w) -> (N, 2, h', w'), class 1 says source, class 0 says target."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.core.errors import CycadaError
from cycada.networks.registries import feature_discriminators

RELEASE_FEATURES = 4096
"""The width of FCN8s' features, for which the release has a discriminator of its own."""


@feature_discriminators("pixel_mlp")
class PixelDiscriminator(nn.Module):
    """1 x 1 convolutions D -> width -> width / 2 -> 2, each of the first two with Dropout2d and ReLU: every place is judged

    alone, as in the CyCADA release (Discriminator in cycada/models/fcn8s.py). width: 512, and 1024 for FCN8s' features.
    """

    def __init__(self, inputs: int, *, width: Width | None = None, dropout: Below1 = 0.5) -> None:
        super().__init__()
        w = width or (1024 if inputs == RELEASE_FEATURES else 512)
        self.body = nn.Sequential(
            nn.Conv2d(inputs, w, 1), nn.Dropout2d(dropout), nn.ReLU(inplace=True),
            nn.Conv2d(w, w // 2, 1), nn.Dropout2d(dropout), nn.ReLU(inplace=True),
            nn.Conv2d(w // 2, 2, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@feature_discriminators("patch")
class PatchDiscriminator(nn.Module):
    """`layers` + 1 convolutions of 4 x 4 with stride 2, LeakyReLU 0.2 between: every patch is judged (AdaptSegNet, Tsai et

    al. 2018; ADVENT, Vu et al. 2019, with 4 layers of 64, 128, 256, 512 channels). Two scores instead of their one.
    The map has to have 2 ** (layers + 1) places in height and width: take fewer layers for small ones.
    """

    def __init__(self, inputs: int, *, channels: Width = 64, layers: Depth = 4) -> None:
        super().__init__()
        self.least = 2 ** (layers + 1)
        widths = [inputs, *(channels * min(2**i, 8) for i in range(layers))]
        modules: list[nn.Module] = []
        for into, out in pairwise(widths):
            modules += [nn.Conv2d(into, out, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*modules, nn.Conv2d(widths[-1], 2, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or min(x.shape[-2:]) < self.least:
            raise CycadaError(
                f"networks.d_feat: 'patch' needs maps of at least {self.least} x {self.least}; it was given {list(x.shape)[2:]}. "
                f"Set its `layers` lower, or let it see `scores`, which are as large as the image."
            )
        return self.body(x)
