"""DRN-C-26, a dilated residual network (Yu et al. 2017), as in the CyCADA release (cycada/models/drn.py)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.networks.checkpointing import count_batches_once, run
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise, Segmenter
from cycada.networks.weights import fill, read_weights

LEVELS = (
    (16, 1, 1, 1, True), (32, 1, 2, 1, True), (64, 2, 2, 1, True), (128, 2, 2, 1, True),
    (256, 2, 1, 2, True), (512, 2, 1, 4, True), (512, 1, 1, 2, False), (512, 1, 1, 1, False),
)  # fmt: skip
"""Channels, number of blocks, stride, dilation and whether there are shortcuts, for each level.

The last two levels, without shortcuts, smooth the grid that dilation leaves.
"""

IMAGENET_CLASSES = 1000
"""The number of classes of a network that was trained on ImageNet."""


class Block(nn.Module):
    """A residual block of two 3 x 3 convolutions with batch normalisation, with or without its shortcut.

    The output is ReLU(shortcut(x) + norm(conv(ReLU(norm(conv(x)))))). Submodules have the names of the
    release, so that its weights load.

    Args:
        into: The number of input channels.
        out: The number of output channels.
        stride: Stride of the first convolution.
        dilation: Dilation of both convolutions.
        shortcut: Add the input; by a 1 x 1 convolution where its shape differs.
    """

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
        """Map (N, into, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        deep = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut:
            deep = deep + (self.downsample(x) if self.downsample else x)
        return F.relu(deep)


class Drn(nn.Module):
    """The encoder of DRN-C-26: images (N, C, H, W) in [-1, 1] -> features (N, 512, ceil(H / 8), ceil(W / 8)).

    Args:
        checkpointing: Recompute the activations in the backward pass: less memory, more time.
    """

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
        """Return the features (N, 512, ceil(H / 8), ceil(W / 8)) of images (N, C, H, W)."""
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
    """Build DRN-C-26 as a segmenter, as in the CyCADA release.

    It is that of Yu et al. 2017 (cycada/models/drn.py in the release). Images (N, C, H, W) in [-1, 1] of any
    size, grey or colour, become features (N, 512, ceil(H / 8), ceil(W / 8)); a 1 x 1 convolution and bilinear
    enlargement with aligned corners give logits (N, K, H, W). 20.6 M parameters with 19 classes, 21,126,584
    with the 1000 of ImageNet. Unlike the release, which offers a discriminator the scores alone, this network
    also returns its features.

    Args:
        image_channels: C, the number of image channels, 1 or 3.
        classes: K, the number of classes.
        weights: Path of a local file with the release's names. The head of a network for ImageNet's 1000
            classes is left out where the classes differ; all else has to fit.
        frozen_norm: Keep the statistics of batch normalisation fixed in training.
        checkpointing: Recompute the activations in the backward pass: less memory, about a third more time.

    Raises:
        CycadaError: The file of weights cannot be read or does not fit.
    """
    encoder, head = Drn(checkpointing), nn.Conv2d(LEVELS[-1][0], classes, 1)
    for module in [*encoder.modules(), head]:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(
                module.weight, 0.0, math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels))
            )
    if weights:
        state_dict = read_weights(weights)
        head_weights = {k.removeprefix("fc."): v for k, v in state_dict.items() if k.startswith("fc.")}
        is_imagenet_head = "bias" in head_weights and len(head_weights["bias"]) == IMAGENET_CLASSES
        if not is_imagenet_head or classes == IMAGENET_CLASSES:
            fill(head, head_weights, weights)
        # The release normalises outside its network, so its files lack these constants.
        constants = {f"normalise.{k}": v for k, v in encoder.normalise.state_dict().items()}
        fill(encoder, constants | {k: v for k, v in state_dict.items() if not k.startswith("fc.")}, weights)
    if checkpointing:
        count_batches_once(encoder)
    return Segmenter(encoder, head, LEVELS[-1][0], align_corners=True, frozen_norm=frozen_norm)
