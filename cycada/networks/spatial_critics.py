"""Feature discriminators for segmenters: (N, D, h, w) -> (N, 2, h', w'); class 1 is the source."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from cycada.core.bounds import Below1, Depth, Width
from cycada.core.errors import CycadaError
from cycada.networks.convolution import Conv2d
from cycada.networks.registries import feature_discriminators

RELEASE_FEATURES = 4096
"""The width of the features of FCN-8s, for which the CyCADA release has a wider discriminator."""


@feature_discriminators("pixel_mlp")
class PixelDiscriminator(nn.Module):
    """The feature discriminator of CyCADA for segmenters.

    It sees each place by itself. Features or scores (N, D, h, w) become logits (N, 2, h, w); class 1 is the
    source, class 0 the target. 1 x 1 convolutions D -> width -> width / 2 -> 2, the first two with Dropout2d
    and ReLU, as in the CyCADA release (Hoffman et al. 2018, `Discriminator` in cycada/models/fcn8s.py).
    4,721,154 parameters for the 4096 features of FCN-8s.

    Args:
        inputs: D, the number of input channels.
        width: The number of maps of the first convolution. Where it is not given, as in the release: 1024 for
            the 4096 features of FCN-8s, and 512 otherwise.
        dropout: Rate of both dropout layers, in [0, 1).
    """

    def __init__(self, inputs: int, *, width: Width | None = None, dropout: Below1 = 0.5) -> None:
        super().__init__()
        w = width or (1024 if inputs == RELEASE_FEATURES else 512)
        self.body = nn.Sequential(
            nn.Conv2d(inputs, w, 1),
            nn.Dropout2d(dropout),
            nn.ReLU(inplace=True),
            nn.Conv2d(w, w // 2, 1),
            nn.Dropout2d(dropout),
            nn.ReLU(inplace=True),
            nn.Conv2d(w // 2, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 2, h, w) of features (N, D, h, w)."""
        logits: Tensor = self.body(x)
        return logits


@feature_discriminators("patch")
class PatchDiscriminator(nn.Module):
    """The convolutional discriminator of AdaptSegNet and ADVENT.

    It sees maps (Tsai et al. 2018; Vu et al. 2019). Features or scores (N, D, h, w) become logits (N, 2, h',
    w'), one pair for each patch; class 1 is the source, class 0 the target. `layers` + 1 convolutions of 4 x
    4 with stride 2 and LeakyReLU 0.2 between them; the papers have 4 layers of 64, 128, 256 and 512 channels.
    2,789,314 parameters for the scores of 19 classes. Unlike the releases, which give one score for a patch,
    it gives two logits, as the other feature discriminators do.

    Args:
        inputs: D, the number of input channels.
        channels: The number of maps of the first convolution; later ones have up to 8 times as many.
        layers: The number of convolutions in front of the last one. Height and width of the input must be at
            least 2 ** (layers + 1): take fewer layers for small maps.

    Attributes:
        least: The smallest height and width of the input.
    """

    def __init__(self, inputs: int, *, channels: Width = 64, layers: Depth = 4) -> None:
        super().__init__()
        self.least = 2 ** (layers + 1)
        widths = [inputs, *(channels * min(2**i, 8) for i in range(layers))]
        modules: list[nn.Module] = []
        for into, out in pairwise(widths):
            modules += [Conv2d(into, out, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        self.body = nn.Sequential(*modules, nn.Conv2d(widths[-1], 2, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 2, h', w') of features (N, D, h, w).

        Raises:
            CycadaError: The features are smaller than `least`, or no maps at all.
        """
        if x.dim() != 4 or min(x.shape[-2:]) < self.least:
            raise CycadaError(
                f"networks.d_feat: 'patch' needs maps of at least {self.least} x {self.least}; it was given "
                f"{list(x.shape)[2:]}. Set its `layers` lower, or let it see `scores`, which are as large as "
                "the image."
            )
        logits: Tensor = self.body(x)
        return logits
