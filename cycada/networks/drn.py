"""DRN-C-26, dilated residual networks (Yu et al. 2017), as the CyCADA release has it (cycada/models/drn.py)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.networks.checkpointing import count_batches_once, run
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise, Segmenter
from cycada.networks.weights import fill, read_weights

# channels, blocks, stride, dilation, with shortcuts. The last two levels smooth the grid that dilation leaves.
LEVELS = (
    (16, 1, 1, 1, True), (32, 1, 2, 1, True), (64, 2, 2, 1, True), (128, 2, 2, 1, True),
    (256, 2, 1, 2, True), (512, 2, 1, 4, True), (512, 1, 1, 2, False), (512, 1, 1, 1, False),
)  # fmt: skip

IMAGENET_CLASSES = 1000


class Block(nn.Module):
    """ReLU(shortcut + norm(conv(ReLU(norm(conv(x)))))), or without the shortcut. The names are those of the release."""

    def __init__(self, into: int, out: int, stride: int, dilation: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut, self.downsample = shortcut, None
        if stride != 1 or into != out:
            self.downsample = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        deep = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut:
            deep = deep + (self.downsample(x) if self.downsample else x)
        return F.relu(deep)


class Drn(nn.Module):
    """(N, C, H, W) in [-1, 1] -> (N, 512, ceil(H / 8), ceil(W / 8))."""

    def __init__(self, checkpointing: bool) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.normalise = Normalise(*IMAGENET)
        into = LEVELS[0][0]
        self.conv1, self.bn1 = nn.Conv2d(3, into, 7, padding=3, bias=False), nn.BatchNorm2d(into)
        for number, (out, blocks, stride, dilation, shortcut) in enumerate(LEVELS, 1):
            level = [
                Block(into if i == 0 else out, out, stride if i == 0 else 1, dilation, shortcut)
                for i in range(blocks)
            ]
            self.add_module(f"layer{number}", nn.Sequential(*level))
            into = out

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(self.normalise(x))))
        for number in range(1, len(LEVELS) + 1):
            x = run(self.get_submodule(f"layer{number}"), x, self.checkpointing)
        return x


@classifiers("drn26")
def drn26(
    image_channels: int,
    classes: int,
    *,
    weights: PathText | None = None,
    frozen_norm: bool = False,
    checkpointing: bool = False,
) -> Segmenter:
    """DRN-C-26, features of width 512 at an eighth of the size, a 1 x 1 head, enlarged with corners aligned. Any H and W,

    grey or colour. 20.6 M parameters with 19 classes. weights: a local file with the release's names; the head of a
    network for ImageNet (1000 classes) is left out, any other has to fit. frozen_norm: batch norm keeps its statistics.
    """
    encoder, head = Drn(checkpointing), nn.Conv2d(LEVELS[-1][0], classes, 1)
    for module in [*encoder.modules(), head]:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(
                module.weight, 0.0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
            )
    if weights:
        found = read_weights(weights)
        last = {k.removeprefix("fc."): v for k, v in found.items() if k.startswith("fc.")}
        if "bias" not in last or len(last["bias"]) != IMAGENET_CLASSES or classes == IMAGENET_CLASSES:
            fill(head, last, weights)
        own = {f"normalise.{k}": v for k, v in encoder.normalise.state_dict().items()}
        fill(encoder, own | {k: v for k, v in found.items() if not k.startswith("fc.")}, weights)
    if checkpointing:
        count_batches_once(encoder)
    return Segmenter(encoder, head, LEVELS[-1][0], align_corners=True, frozen_norm=frozen_norm)
