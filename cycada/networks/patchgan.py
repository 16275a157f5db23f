"""Image discriminators: (N, C, H, W) in [-1, 1] -> unbounded scores, high means real."""

from __future__ import annotations

from torch import Tensor, nn

from cycada.core.bounds import Depth, Index, Width
from cycada.core.errors import CycadaError
from cycada.networks.blocks import Norm, init_cyclegan, norm_layer
from cycada.networks.registries import discriminators


@discriminators("patchgan")
class PatchGan(nn.Module):
    """`layers` + 2 convolutions of 4 x 4, LeakyReLU 0.2, one score per patch (Isola et al. 2017). -> (N, 1, h, w)

    layers 3 is CycleGAN's 70 x 70 discriminator. The first `layers` convolutions have stride 2; `strided` makes only
    the first so many of them strided: layers 4, strided 3 is the six-convolution discriminator that fits 32 x 32
    (channels 64 128 256 512 512 1, strides 2 2 2 1 1 1), where stock layers 4 fails.
    Raises CycadaError when an image of `size` pixels shrinks to nothing on the way.
    """

    def __init__(
        self,
        image_channels: int,
        size: int,
        *,
        channels: Width = 64,
        layers: Depth = 3,
        strided: Index | None = None,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        strides = [2 if i < (layers if strided is None else strided) else 1 for i in range(layers)] + [1, 1]
        side = size
        for stride in strides:
            side = (side - 2) // stride + 1
            if side < 1:
                raise CycadaError(
                    f"networks.d: a patchgan with strides {strides} does not fit images of {size} pixels. "
                    f"Take fewer layers, or set `strided` lower (layers: 4, strided: 3 fits 32 pixels)."
                )
        widths = [min(channels * 2**i, channels * 8) for i in range(layers + 1)]
        modules: list[nn.Module] = [
            nn.Conv2d(image_channels, widths[0], 4, strides[0], 1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for i in range(1, layers + 1):
            modules += [
                nn.Conv2d(widths[i - 1], widths[i], 4, strides[i], 1, bias=norm != "batch"),
                norm_layer(norm, widths[i]),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        modules.append(nn.Conv2d(widths[-1], 1, 4, strides[-1], 1))
        self.body = init_cyclegan(nn.Sequential(*modules))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@discriminators("pixel")
class PixelGan(nn.Module):
    """1 x 1 convolutions: judges every pixel's colour alone (Isola et al. 2017). -> (N, 1, H, W)"""

    def __init__(self, image_channels: int, *, channels: Width = 64, norm: Norm = "instance") -> None:
        super().__init__()
        self.body = init_cyclegan(
            nn.Sequential(
                nn.Conv2d(image_channels, channels, 1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(channels, 2 * channels, 1, bias=norm != "batch"),
                norm_layer(norm, 2 * channels),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(2 * channels, 1, 1, bias=norm != "batch"),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
