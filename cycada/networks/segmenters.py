"""Any dilated timm backbone as a segmenter, with the head of FCN, DeepLabv2 or DeepLabv3+."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from cycada.core.bounds import Below1, PathText, Width
from cycada.core.errors import CycadaError
from cycada.networks.backbones import timm_model
from cycada.networks.checkpointing import count_batches_once
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise, Segmenter, convolution, resize

Stride = Literal[8, 16]

FINE = 4
"""The stride of the map from which DeepLabv3+ takes the contours."""


class Backbone(nn.Module):
    """A timm backbone that returns its map at stride 4 and its last map, at `stride`.

    Images (N, C, H, W) in [-1, 1] are normalised inside, as timm records for the model.

    Args:
        model: A name that timm knows.
        stride: The stride of the last map, reached by dilation.
        pretrained: Let timm download the weights.
        weights: Path of a local file of weights, used in place of the download.
        checkpointing: Recompute the activations in the backward pass: less memory, about a third more time.

    Raises:
        CycadaError: timm does not know the name, cannot build the model at this stride, or there is no file
            `weights`.
    """

    body: Any

    def __init__(
        self, model: str, stride: Stride, pretrained: bool, weights: str | None, checkpointing: bool
    ) -> None:
        super().__init__()
        try:
            self.body = timm_model(model, pretrained, weights, features_only=True, output_stride=stride)
            if checkpointing:
                self.body.set_grad_checkpointing(True)
        except CycadaError:
            raise
        except Exception as error:  # timm's models refuse in many ways
            reason = f"{type(error).__name__}: {error}".rstrip(": ")[:300]
            raise CycadaError(
                f"networks.f: timm cannot build '{model}' with maps at output_stride {stride} ({reason}). "
                f"It can build ResNets, ResNeXts, RegNets, ConvNeXts and EfficientNets."
            ) from None
        levels = self.body.feature_info
        if levels.reduction()[-1] != stride:
            raise CycadaError(
                f"networks.f.output_stride: timm's '{model}' has a stride of {levels.reduction()[-1]}, "
                f"not {stride}."
            )
        self.fine = max(
            (i for i, reduction in enumerate(levels.reduction()) if reduction == FINE), default=-1
        )
        self.fine_width, self.width = levels.channels()[self.fine], levels.channels()[-1]
        cfg = self.body.pretrained_cfg
        self.normalise = Normalise(cfg.get("mean", IMAGENET[0]), cfg.get("std", IMAGENET[1]))
        if checkpointing:
            count_batches_once(self.body)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map at stride 4 (else the last one) and the last map of images (N, C, H, W)."""
        maps = self.body(self.normalise(x))
        return maps[self.fine], maps[-1]


class Plain(nn.Module):
    """An encoder with a 3 x 3 convolution on the backbone's last map, as in torchvision's FCN.

    Images (N, C, H, W) become features (N, width, ceil(H / stride), ceil(W / stride)).

    Args:
        backbone: The backbone.
        width: The number of channels of the features.
    """

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.backbone, self.convolution = backbone, convolution(backbone.width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of images (N, C, H, W)."""
        features: Tensor = self.convolution(self.backbone(x)[1])
        return features


class Coarse(nn.Module):
    """An encoder that returns the backbone's last map as it is, for DeepLabv2's head.

    Images (N, C, H, W) become features (N, width of the backbone, ceil(H / stride), ceil(W / stride)).

    Args:
        backbone: The backbone.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of images (N, C, H, W)."""
        features: Tensor = self.backbone(x)[1]
        return features


class Sum(nn.Module):
    """DeepLabv2's head ASPP-L (Chen et al. 2018, section 3.2): the sum of four dilated 3 x 3 convolutions.

    Features (N, into, h, w) become scores (N, classes, h, w). The dilations are 6, 12, 18 and 24 at stride 8,
    and half of them at 16; weights start from N(0, 0.01).

    Args:
        into: The number of channels of the features.
        classes: The number of classes.
        stride: The stride of the features.
    """

    def __init__(self, into: int, classes: int, stride: Stride) -> None:
        super().__init__()
        rates = [rate * 8 // stride for rate in (6, 12, 18, 24)]
        branches = [nn.Conv2d(into, classes, 3, padding=rate, dilation=rate) for rate in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, 0.0, 0.01)
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (N, classes, h, w) of features (N, into, h, w)."""
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling, as in DeepLabv3+ (Chen et al. 2018, section 3.1).

    Features (N, into, h, w) become (N, width, h, w): a 1 x 1 convolution, three dilated 3 x 3 convolutions
    and the mean of the image, projected to `width`. The mean goes without batch normalisation, which cannot
    be trained with one image.

    Args:
        into: The number of channels of the features.
        width: The number of output channels.
        stride: The stride of the features; the dilations are 6, 12 and 18 at 16, and twice as large at 8.
    """

    def __init__(self, into: int, width: int, stride: Stride) -> None:
        super().__init__()
        dilations = [rate * 16 // stride for rate in (6, 12, 18)]
        self.branches = nn.ModuleList(
            [convolution(into, width, 1), *(convolution(into, width, dilation=d) for d in dilations)]
        )
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(into, width, 1), nn.ReLU(inplace=True))
        self.project = convolution(5 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, into, h, w) to (N, width, h, w)."""
        maps = [branch(x) for branch in self.branches]
        features: Tensor = self.project(torch.cat([*maps, self.mean(x).expand_as(maps[0])], 1))
        return features


class DeepLab(nn.Module):
    """DeepLabv3+ without its last layer (Chen et al. 2018, section 3.1).

    The enlarged pyramid and 48 maps at stride 4 are fused by two convolutions. Images (N, C, H, W) become
    features (N, width, ceil(H / 4), ceil(W / 4)). Convolutions are plain ones in place of the paper's
    depthwise separable ones.

    Args:
        backbone: The backbone, which has a map at stride 4.
        width: The number of channels of the features.
        stride: The stride of the backbone's last map.
    """

    def __init__(self, backbone: Backbone, width: int, stride: Stride) -> None:
        super().__init__()
        self.backbone, self.pyramid = backbone, Pyramid(backbone.width, width, stride)
        self.contours = convolution(backbone.fine_width, 48, 1)
        self.fuse = nn.Sequential(convolution(width + 48, width), convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of images (N, C, H, W)."""
        fine, coarse = self.backbone(x)
        contours = self.contours(fine)
        enlarged = resize(self.pyramid(coarse), contours).to(contours.dtype)
        features: Tensor = self.fuse(torch.cat([enlarged, contours], 1))
        return features


@classifiers("segmenter")
def segmenter(  # noqa: PLR0913 (each is an option of its caller)
    image_channels: int,
    classes: int,
    *,
    model: str,
    head: Literal["fcn", "deeplabv2", "deeplabv3plus"] = "deeplabv3plus",
    output_stride: Stride = 16,
    width: Width = 256,
    dropout: Below1 = 0.1,
    pretrained: bool = False,
    weights: PathText | None = None,
    frozen_norm: bool = False,
    checkpointing: bool = False,
) -> Segmenter:
    """Build a segmenter from any dilated timm backbone.

    Its head is that of FCN, DeepLabv2 or DeepLabv3+. Images (N, C, H, W) in [-1, 1] of any size, grey or
    colour, become features and logits (N, K, H, W). The features are (N, `width`, ...) at stride
    `output_stride` for fcn (Long et al. 2015) and at stride 4 for deeplabv3plus (Chen et al. 2018); for
    deeplabv2 (Chen et al. 2018, TPAMI) they are the backbone's last map, at stride `output_stride`. DeepLabv2
    on ResNet-101 with 19 classes has 43,901,068 parameters, 42,500,160 of them in the backbone.

    Args:
        image_channels: C, the number of image channels, 1 or 3.
        classes: K, the number of classes.
        model: A name that timm knows.
        head: `fcn`, `deeplabv2` or `deeplabv3plus`.
        output_stride: The stride of the backbone's last map, 8 or 16; DeepLabv2's paper has 8.
        width: The number of channels of the features; without effect for deeplabv2.
        dropout: Dropout rate in front of the last layer, in [0, 1); deeplabv2 has none.
        pretrained: Let timm download the backbone's weights.
        weights: Path of a local file of the backbone's weights, used in place of the download.
        frozen_norm: Keep the statistics of batch normalisation fixed in training.
        checkpointing: Recompute the activations in the backward pass: less memory, about a third more time.

    Raises:
        CycadaError: timm does not know the model, cannot build it at this stride, or it has no map at stride
            4 for deeplabv3plus; or there is no file `weights`.
    """
    backbone = Backbone(model, output_stride, pretrained, weights, checkpointing)
    if head == "deeplabv3plus" and backbone.fine < 0:
        raise CycadaError(
            f"networks.f.head: deeplabv3plus needs a map at stride {FINE}, which timm's '{model}' does not "
            "have. "
            f"Use head: fcn."
        )
    if head == "deeplabv2":
        return Segmenter(
            Coarse(backbone),
            Sum(backbone.width, classes, output_stride),
            backbone.width,
            frozen_norm=frozen_norm,
        )
    encoder = Plain(backbone, width) if head == "fcn" else DeepLab(backbone, width, output_stride)
    last = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(width, classes, 1))
    return Segmenter(encoder, last, width, frozen_norm=frozen_norm)
