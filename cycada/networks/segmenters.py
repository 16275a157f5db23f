"""Any dilated timm backbone as a segmenter, with a plain head, DeepLabv2's or DeepLabv3+'s."""

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
"""The stride of the map that DeepLabv3+ looks at for its contours."""


class Backbone(nn.Module):
    """(N, C, H, W) in [-1, 1] -> timm's map at stride 4 and its last one, at `stride`."""

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
                f"networks.f: timm cannot build '{model}' as a map of features at output_stride {stride} ({reason}). "
                f"ResNets, ResNeXts, RegNets, ConvNeXts and EfficientNets can."
            ) from None
        levels = self.body.feature_info
        if levels.reduction()[-1] != stride:
            raise CycadaError(
                f"networks.f.output_stride: timm's '{model}' has a stride of {levels.reduction()[-1]}, not {stride}."
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
        maps = self.body(self.normalise(x))
        return maps[self.fine], maps[-1]


class Plain(nn.Module):
    """A 3 x 3 convolution on the last map, as torchvision's FCN. -> (N, width, ceil(H / stride), ...)"""

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.backbone, self.convolution = backbone, convolution(backbone.width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(self.backbone(x)[1])


class Coarse(nn.Module):
    """The last map as it is, which DeepLabv2's head looks at. -> (N, width, ceil(H / stride), ...)"""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)[1]


class Sum(nn.Module):
    """DeepLabv2's head (Chen et al. 2018, section 3.2, ASPP-L): the sum of four dilated 3 x 3 convolutions to the classes,

    N(0, 0.01). Dilations 6, 12, 18 and 24 at stride 8, half of them at 16.
    """

    def __init__(self, into: int, classes: int, stride: Stride) -> None:
        super().__init__()
        rates = [rate * 8 // stride for rate in (6, 12, 18, 24)]
        self.branches = nn.ModuleList(
            nn.Conv2d(into, classes, 3, padding=rate, dilation=rate) for rate in rates
        )
        for branch in self.branches:
            nn.init.normal_(branch.weight, 0.0, 0.01)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2018, DeepLabv3+): 1 x 1, three dilated 3 x 3 and the mean of the image.

    The mean goes without batch norm, which a batch of one could not be trained with.
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
        maps = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*maps, self.mean(x).expand_as(maps[0])], 1))


class DeepLab(nn.Module):
    """DeepLabv3+ but for its last layer: the pyramid, enlarged, next to 48 maps at stride 4. -> (N, width, ceil(H / 4), ...)"""

    def __init__(self, backbone: Backbone, width: int, stride: Stride) -> None:
        super().__init__()
        self.backbone, self.pyramid = backbone, Pyramid(backbone.width, width, stride)
        self.contours = convolution(backbone.fine_width, 48, 1)
        self.fuse = nn.Sequential(convolution(width + 48, width), convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        fine, coarse = self.backbone(x)
        contours = self.contours(fine)
        return self.fuse(torch.cat([resize(self.pyramid(coarse), contours).to(contours.dtype), contours], 1))


@classifiers("segmenter")
def segmenter(
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
    """`model` is a name that timm knows, dilated to `output_stride`. pretrained: timm downloads the weights; weights: a

    local file of the backbone instead. The features, of `width`, are at `output_stride` (fcn) or at 4 (deeplabv3plus);
    deeplabv2 has those of the backbone, at `output_stride` (8 in its paper), and no dropout.
    frozen_norm: batch norm keeps its statistics. checkpointing: less memory, about a third more time. Any H and W.
    """
    backbone = Backbone(model, output_stride, pretrained, weights, checkpointing)
    if head == "deeplabv3plus" and backbone.fine < 0:
        raise CycadaError(
            f"networks.f.head: deeplabv3plus wants a map at stride {FINE}, which timm's '{model}' has not. Use head: fcn."
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
