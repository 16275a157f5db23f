"""FCN-8s on VGG-16 (Long et al. 2015), as in the CyCADA release (cycada/models/fcn8s.py)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import Below1, PathText, Width
from cycada.core.errors import CycadaError
from cycada.core.types import Output
from cycada.networks.checkpointing import run
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise
from cycada.networks.weights import WHERE, fill, read_weights

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of VGG-16's convolutions, by stage; the size is halved after each stage, rounding up."""

CAFFE = ((0.48502, 0.45796, 0.40760), (1 / 255, 1 / 255, 1 / 255))
"""Means 123.68, 116.779 and 103.939 of 255, and a scale of 1 / 255, in the order blue, green, red."""


class Enlarge(nn.Module):
    """Bilinear enlargement by an integer factor, as a fixed transposed convolution without padding.

    Maps (N, C, h, w) become (N, C, (h + 1) factor, (w + 1) factor).

    Args:
        factor: How many times larger the maps become.
    """

    kernel: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        tent = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
        self.register_buffer("kernel", tent[:, None] * tent, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge maps (N, C, h, w) to (N, C, (h + 1) factor, (w + 1) factor)."""
        channels = x.shape[1]
        return F.conv_transpose2d(
            x, self.kernel.expand(channels, 1, -1, -1), stride=self.factor, groups=channels
        )


def crop(x: Tensor, like: Tensor, offset: int) -> Tensor:
    """Cut the window of the size of `like` from `x`, `offset` pixels from the upper left corner.

    Args:
        x: (N, C, H, W).
        like: A tensor whose last two dimensions are the height and width of the window.
        offset: Distance of the window from the top and from the left, in pixels.
    """
    height, width = like.shape[-2:]
    return x[:, :, offset : offset + height, offset : offset + width]


@classifiers("fcn8s")
class Fcn8s(nn.Module):
    """FCN-8s on VGG-16, as in the CyCADA release.

    See Long et al. 2015. Images (N, C, H, W) in [-1, 1] of any size become logits (N, K, H, W) and features
    (N, `width`, ceil((H + 198) / 32) - 6, ceil((W + 198) / 32) - 6), the input of the last 1 x 1 convolution.
    VGG-16 is padded by 99 pixels and pools with rounding up; a 7 x 7 convolution and two 1 x 1 convolutions
    give the scores. Skip connections from pool4 (scaled by 0.01) and pool3 (scaled by 0.0001) start at zero.
    The scores are enlarged by 2, 2 and 8 with fixed bilinear kernels and cropped at 5, 9 and 31 pixels.
    134,353,017 parameters with 19 classes.

    Differences from the release: from a file that it saved, ALL weights are loaded, whereas the release
    itself forgets the trained skip connections, both for its evaluation and for its feature step. Colours in
    Caffe's order are turned correctly; the release's own transform for them turns the images upside down. The
    layers in front of a ReLU that no file initialises start with He's initialisation in place of torch's
    default.

    Args:
        image_channels: C, the number of image channels, 1 or 3.
        classes: K, the number of classes.
        width: The number of channels of the features.
        dropout: Rate of both dropout layers of the head, in [0, 1).
        weights: Path of a local file: torchvision's vgg16, or what the release saves.
        normalisation: `imagenet`, as in the release, or `caffe` for VGG weights that were converted from
            Caffe: blue first, values up to 255.
        checkpointing: Recompute the activations of VGG-16 in the backward pass: less memory, more time.

    Raises:
        CycadaError: The file of weights cannot be read or does not fit.
    """

    def __init__(
        self,
        image_channels: int,
        classes: int,
        *,
        width: Width = 4096,
        dropout: Below1 = 0.5,
        weights: PathText | None = None,
        normalisation: Literal["imagenet", "caffe"] = "imagenet",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.checkpointing = width, checkpointing
        self.normalise = Normalise(*IMAGENET) if normalisation == "imagenet" else Normalise(*CAFFE, bgr=True)
        layers: list[nn.Module] = []
        self.ends: list[int] = []
        into = 3
        for stage in STAGES:
            for out in stage:
                layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(inplace=True)]
                into = out
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            self.ends.append(len(layers))
        self.vgg = nn.Sequential(*layers)
        self.vgg_head = nn.Sequential(
            nn.Conv2d(512, width, 7),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, classes, 1),
        )
        self.score_pool4, self.score_pool3 = nn.Conv2d(512, classes, 1), nn.Conv2d(256, classes, 1)
        self.twice, self.eightfold = Enlarge(2), Enlarge(8)
        self._initialise()
        if weights:
            self._load(weights)

    def _initialise(self) -> None:
        """Initialise the layers in front of a ReLU as He et al. (2015), and the skip connections with zeros.

        torchvision initialises its VGG in the same way. With torch's default, the signal of 15 layers would
        fade to nothing.
        """
        for module in [*self.vgg, *self.vgg_head[:-1]]:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.get_parameter("bias"))
        for skip in (self.score_pool4, self.score_pool3):
            for parameter in skip.parameters():
                nn.init.zeros_(parameter)

    def _load(self, path: str) -> None:
        """Load a state dict of torchvision's vgg16 or of the release's FCN-8s."""
        state_dict = read_weights(path)

        def below(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}

        if "features.0.weight" in state_dict:  # torchvision's vgg16
            fill(self.vgg, below("features."), path)
            for layer in ("0", "3"):  # the fully connected layers become convolutions
                module = self.vgg_head.get_submodule(layer)
                try:
                    shape = module.get_parameter("weight").shape
                    weight = state_dict[f"classifier.{layer}.weight"].reshape(shape)
                    fill(module, {"weight": weight, "bias": state_dict[f"classifier.{layer}.bias"]}, path)
                except (KeyError, RuntimeError) as error:
                    raise CycadaError(
                        f"{WHERE}: classifier.{layer} of {path} does not fit a head of width {self.width} "
                        f"({error})."
                    ) from None
        elif "vgg.0.weight" in state_dict:  # the release's, whose bilinear kernels (upscore*) are constants
            names = ("vgg", "vgg_head", "score_pool4", "score_pool3")
            unknown = {k.split(".")[0] for k in state_dict if not k.startswith("upscore")} - {*names}
            if unknown:
                raise CycadaError(f"{WHERE}: {path} has unknown entries: {', '.join(sorted(unknown))}.")
            for name in names:
                fill(self.get_submodule(name), below(f"{name}."), path)
        else:
            raise CycadaError(
                f"{WHERE}: {path} is neither torchvision's vgg16 nor the release's FCN-8s; "
                f"it has {', '.join([*state_dict][:3])} ..."
            )

    def forward(self, x: Tensor) -> Output:
        """Return the features and the logits (N, K, H, W) of images (N, C, H, W)."""
        deep = F.pad(self.normalise(x), (99, 99, 99, 99))  # zero after the normalisation: the mean colour
        pooled = []
        for start, end in zip([0, *self.ends], self.ends, strict=False):
            deep = run(self.vgg[start:end], deep, self.checkpointing)
            pooled.append(deep)
        features = self.vgg_head[:-1](deep)
        scores = self.twice(self.vgg_head[-1](features))
        scores = self.twice(scores + crop(self.score_pool4(0.01 * pooled[3]), scores, 5))
        scores = self.eightfold(scores + crop(self.score_pool3(0.0001 * pooled[2]), scores, 9))
        return Output(features, crop(scores, x, 31))
