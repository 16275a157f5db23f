"""FCN-8s on VGG-16 (Long et al. 2015) as the CyCADA release has it (cycada/models/fcn8s.py)."""

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
"""VGG-16's convolutions; after each stage the size is halved, rounding up."""

CAFFE = ((0.48502, 0.45796, 0.40760), (1 / 255, 1 / 255, 1 / 255))
"""Means 123.68, 116.779, 103.939 of 255 and no scaling, for blue, green, red."""


class Enlarge(nn.Module):
    """Bilinear interpolation by a factor as a fixed transposed convolution without padding: h -> (h + 1) factor."""

    kernel: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        tent = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
        self.register_buffer("kernel", tent[:, None] * tent, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv_transpose2d(
            x, self.kernel.expand(channels, 1, -1, -1), stride=self.factor, groups=channels
        )


def crop(x: Tensor, like: Tensor, offset: int) -> Tensor:
    """The window of x that lies under `like`, `offset` from the upper left."""
    height, width = like.shape[-2:]
    return x[:, :, offset : offset + height, offset : offset + width]


@classifiers("fcn8s")
class Fcn8s(nn.Module):
    """VGG-16, padded by 99 and pooled with rounding up, a 7 x 7 head, skips from pool4 (scaled by 0.01) and pool3 (0.0001)

    that start at zero, fixed bilinear enlargement x 2, x 2, x 8, crops at 5, 9, 31. The features are what the last 1 x 1
    convolution sees, (N, `width`, ceil((H + 198) / 32) - 6, ...). Any H and W. 134 M parameters with 19 classes.

    weights: a local file, either torchvision's vgg16 or what the release saves. Of the latter ALL is loaded: the release
    itself forgets the trained skips, both for its evaluation and for its feature step.
    normalisation: imagenet as in the release; caffe for VGG weights converted from there, blue first and up to 255 (the
    release's own transform for these stands images on their head).
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
            nn.Conv2d(512, width, 7), nn.ReLU(inplace=True), nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 1), nn.ReLU(inplace=True), nn.Dropout2d(dropout),
            nn.Conv2d(width, classes, 1),
        )  # fmt: skip
        self.score_pool4, self.score_pool3 = nn.Conv2d(512, classes, 1), nn.Conv2d(256, classes, 1)
        self.twice, self.eightfold = Enlarge(2), Enlarge(8)
        self._initialise()
        if weights:
            self._load(weights)

    def _initialise(self) -> None:
        """He's for all that has a ReLU behind it, as torchvision's VGG: with torch's own, 15 layers would fade to nothing."""
        for module in [*self.vgg, *self.vgg_head[:-1]]:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for skip in (self.score_pool4, self.score_pool3):
            nn.init.zeros_(skip.weight)
            nn.init.zeros_(skip.bias)  # type: ignore[arg-type]

    def _load(self, path: str) -> None:
        found = read_weights(path)
        if (
            "features.0.weight" in found
        ):  # torchvision's vgg16: the fully connected layers become convolutions
            fill(
                self.vgg,
                {k.removeprefix("features."): v for k, v in found.items() if k.startswith("features.")},
                path,
            )
            for layer in ("0", "3"):
                place = self.vgg_head.get_submodule(layer)
                try:
                    weight = found[f"classifier.{layer}.weight"].reshape(place.weight.shape)  # type: ignore[arg-type]
                    fill(place, {"weight": weight, "bias": found[f"classifier.{layer}.bias"]}, path)
                except (KeyError, RuntimeError) as error:
                    raise CycadaError(
                        f"{WHERE}: classifier.{layer} of {path} does not fit a head of width {self.width} ({error})."
                    ) from None
        elif "vgg.0.weight" in found:  # the release's, whose bilinear kernels (upscore*) are constants
            parts = ("vgg", "vgg_head", "score_pool4", "score_pool3")
            unknown = {k.split(".")[0] for k in found if not k.startswith("upscore")} - {*parts}
            if unknown:
                raise CycadaError(
                    f"{WHERE}: {path} has, without a place for it, {', '.join(sorted(unknown))}."
                )
            for part in parts:
                own = {k.removeprefix(f"{part}."): v for k, v in found.items() if k.startswith(f"{part}.")}
                fill(self.get_submodule(part), own, path)
        else:
            raise CycadaError(
                f"{WHERE}: {path} is neither torchvision's vgg16 nor an FCN8s of the release; it has {', '.join([*found][:3])} ..."
            )

    def forward(self, x: Tensor) -> Output:
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
