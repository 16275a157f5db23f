"""Image discriminators: (N, C, H, W) in [-1, 1] -> unbounded scores; high means real."""

from __future__ import annotations

from torch import Tensor, nn

from cycada.core.bounds import Depth, Index, Width
from cycada.core.errors import CycadaError
from cycada.networks.blocks import Norm, init_cyclegan, norm_layer
from cycada.networks.convolution import Conv2d
from cycada.networks.registries import discriminators


@discriminators("patchgan")
class PatchGan(nn.Module):
    """PatchGAN discriminator of overlapping patches.

    It gives each patch of an image a logit (Isola et al. 2017). Images (N, C, H, W) in [-1, 1] become scores
    (N, 1, h, w), one for each patch. `layers` + 2 convolutions of 4 x 4 with LeakyReLU 0.2; the first
    `layers` of them have stride 2. The default of 3 layers is CycleGAN's discriminator, whose patches are 70
    x 70 pixels: 2,764,737 parameters, as in its release.

    With `strided`, only that many convolutions have stride 2: `layers: 4, strided: 3` is the discriminator of
    six convolutions (64, 128, 256, 512, 512 and 1 channels, strides 2, 2, 2, 1, 1, 1) that fits images of 32
    x 32, where plain `layers: 4` does not.

    Args:
        image_channels: C, the number of image channels.
        size: The smaller side of the images, in pixels.
        channels: The number of maps of the first convolution; later ones have up to 8 times as many.
        layers: The number of convolutions besides the first or last two.
        strided: The number of convolutions of stride 2; `layers` where it is not given.
        norm: The normalisation: `instance`, `batch`, `group` or `none`.

    Raises:
        CycadaError: An image of `size` pixels shrinks to nothing on the way.
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
                Conv2d(widths[i - 1], widths[i], 4, strides[i], 1, bias=norm != "batch"),
                norm_layer(norm, widths[i]),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        modules.append(Conv2d(widths[-1], 1, 4, strides[-1], 1))
        self.body = init_cyclegan(nn.Sequential(*modules))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (N, 1, h, w) of images (N, C, H, W)."""
        logits: Tensor = self.body(x)
        return logits


@discriminators("pixel")
class PixelGan(nn.Module):
    """PixelGAN discriminator of the colours of single pixels.

    It gives each pixel a logit (Isola et al. 2017). Images (N, C, H, W) in [-1, 1] become scores (N, 1, H,
    W), by three 1 x 1 convolutions. 8,705 parameters for colour images; the layers are those of the CycleGAN
    release.

    Args:
        image_channels: C, the number of image channels.
        channels: The number of maps of the first convolution; the second has twice as many.
        norm: The normalisation: `instance`, `batch`, `group` or `none`.
    """

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
        """Return the scores (N, 1, H, W) of images (N, C, H, W)."""
        logits: Tensor = self.body(x)
        return logits
