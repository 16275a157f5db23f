"""Task networks: (N, C, H, W) in [-1, 1] -> Output(features (N, D), logits (N, K)). `width` is D."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.core.errors import CycadaError
from cycada.core.types import Output
from cycada.networks.blocks import init_xavier
from cycada.networks.registries import classifiers


class Classifier(nn.Module):
    """An encoder to the feature that adaptation works on, and a head from there to the class scores.

    channels_last: how the encoder's maps lie in memory. With batch norm, answers take half the time on a CPU, a training step
    a tenth less.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, width: int, channels_last: bool = False) -> None:
        super().__init__()
        self.encoder, self.head, self.width = encoder, head, width
        self.layout = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, x: Tensor) -> Output:
        features = self.encoder(x.contiguous(memory_format=self.layout))
        return Output(features, self.head(features))


@classifiers("lenet")
def lenet(image_channels: int, classes: int, size: int, *, dropout: Below1 = 0.5) -> Classifier:
    """The CyCADA release's LeNet variant for MNIST <-> USPS (cycada/models/task_net.py). The feature is the 500-vector before its ReLU.

    The release feeds it 28 x 28, where its first linear layer is 800 -> 500, 431,080 parameters in all; at 32 x 32, as in the `full` and
    `release` presets here and in the joint code, it is 1250 -> 500, 656,080 parameters.
    """
    side = ((size - 4) // 2 - 4) // 2
    if side < 1:
        raise CycadaError(
            f"networks.f: lenet needs images of at least 16 pixels; data.size is {size}. Use 'convnet'."
        )
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 20, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(20, 50, 5), nn.Dropout2d(dropout), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(50 * side * side, 500),
    )  # fmt: skip
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(500, classes))
    net = Classifier(encoder, head, 500)
    init_xavier(net)
    return net


@classifiers("dtn")
def dtn(image_channels: int, classes: int, size: int, *, dropout: Below1 = 0.5) -> Classifier:
    """The CyCADA release's DTN for SVHN -> MNIST (cycada/models/task_net.py), 32 x 32. The feature is the 512-vector

    after its batch norm, before its ReLU. `dropout` is the last rate; the others are .2, .6 and 1 times it.
    """
    if size < 8:
        raise CycadaError(f"networks.f: dtn needs images of at least 8 pixels; data.size is {size}.")
    side = size
    for _ in range(3):
        side = (side + 4 - 5) // 2 + 1
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 64, 5, 2, 2), nn.BatchNorm2d(64), nn.Dropout2d(0.2 * dropout), nn.ReLU(),
        nn.Conv2d(64, 128, 5, 2, 2), nn.BatchNorm2d(128), nn.Dropout2d(0.6 * dropout), nn.ReLU(),
        nn.Conv2d(128, 256, 5, 2, 2), nn.BatchNorm2d(256), nn.Dropout2d(dropout), nn.ReLU(),
        nn.Flatten(), nn.Linear(256 * side * side, 512), nn.BatchNorm1d(512),
    )  # fmt: skip
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, classes))
    net = Classifier(encoder, head, 512, channels_last=True)
    init_xavier(net)
    return net


@classifiers("convnet")
def convnet(
    image_channels: int, classes: int, *, channels: Width = 32, width: Width = 128, dropout: Below1 = 0.25
) -> Classifier:
    """A small strong network for a CPU: two pairs of 3 x 3 convolutions with batch norm, each pooled by 2, a third

    convolution pooled to 2 x 2, and a feature of `width`. Any image of at least 8 pixels.
    """

    def conv(into: int, out: int) -> list[nn.Module]:
        return [nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]

    c = channels
    encoder = nn.Sequential(
        *conv(image_channels, c), *conv(c, c), nn.MaxPool2d(2),
        *conv(c, 2 * c), *conv(2 * c, 2 * c), nn.MaxPool2d(2),
        *conv(2 * c, 4 * c), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(16 * c, width), nn.BatchNorm1d(width),
    )  # fmt: skip
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes))
    return Classifier(encoder, head, width, channels_last=True)


@classifiers("release_classifier")
def release_classifier(image_channels: int, classes: int, size: int) -> Classifier:
    """The small network that the CyCADA release trains next to the generators in the place of f_S: 4 unpadded 3 x 3

    convolutions of stride 2 (64, 64, 128, 256), FC -> 1024 -> K with nothing in between (fork: networks.Classifier).
    """
    side = size
    for _ in range(4):
        side = (side - 3) // 2 + 1
    if side < 1:
        raise CycadaError(
            f"networks.f: release_classifier needs images of at least 31 pixels; data.size is {size}."
        )
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 64, 3, 2), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 64, 3, 2), nn.BatchNorm2d(64), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 3, 2), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 3, 2), nn.BatchNorm2d(256), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(256 * side * side, 1024),
    )  # fmt: skip
    return Classifier(encoder, nn.Linear(1024, classes), 1024)
