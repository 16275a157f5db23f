"""Classifiers for small images: (N, C, H, W) in [-1, 1] -> Output(features (N, D), logits (N, K))."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from cycada.core.bounds import Below1, Width
from cycada.core.errors import CycadaError
from cycada.core.types import Output
from cycada.networks.blocks import init_xavier, norm_layer, to_channels_last
from cycada.networks.registries import classifiers


class Classifier(nn.Module):
    """A classifier made of an encoder, whose features adaptation works on, and a head to the class scores.

    Images (N, C, H, W) in [-1, 1] become `Output(features (N, width), logits (N, K))`.

    Args:
        encoder: Images -> features (N, width).
        head: Features -> logits (N, K).
        width: D, the number of features.
        channels_last: Keep the encoder's maps in channels-last memory format. With batch normalisation,
            inference on a CPU then takes half the time, and a training step a tenth less.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, width: int, channels_last: bool = False) -> None:
        super().__init__()
        self.encoder, self.head, self.width = encoder, head, width
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Output:
        """Return the features (N, width) and the logits (N, K) of images (N, C, H, W)."""
        features = self.encoder(to_channels_last(x) if self.channels_last else x.contiguous())
        return Output(features, self.head(features))


@classifiers("lenet")
def lenet(image_channels: int, classes: int, size: int, *, dropout: Below1 = 0.5) -> Classifier:
    """Build the CyCADA release's LeNet for MNIST and USPS.

    See Hoffman et al. 2018. Images (N, C, H, W) of at least 16 x 16 become 500 features, taken in front of
    their ReLU, and K logits. The layers are those of the release (cycada/models/task_net.py), which takes 28
    x 28: its first linear layer is 800 -> 500, 431,080 parameters in all for grey images. At 32 x 32, the
    size of the `full` and `release` presets here and of the release's joint code, that layer is 1250 -> 500,
    656,080 parameters in all.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        size: Height and width of the images, in pixels.
        dropout: Rate of both dropout layers, in [0, 1).

    Raises:
        CycadaError: `size` is less than 16.
    """
    side = ((size - 4) // 2 - 4) // 2
    if side < 1:
        raise CycadaError(
            f"networks.f: lenet needs images of at least 16 pixels; data.size is {size}. Use 'convnet'."
        )
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(20, 50, 5),
        nn.Dropout2d(dropout),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(50 * side * side, 500),
    )
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(500, classes))
    net = Classifier(encoder, head, 500)
    init_xavier(net)
    return net


@classifiers("dtn")
def dtn(image_channels: int, classes: int, size: int, *, dropout: Below1 = 0.5) -> Classifier:
    """Build the CyCADA release's DTN for SVHN to MNIST.

    See Hoffman et al. 2018. Images (N, C, H, W), 32 x 32 in the release, become 512 features, taken behind
    their batch normalisation and in front of their ReLU, and K logits. 3,133,962 parameters for 10 classes
    and colour images of 32 x 32. The layers are those of the release (cycada/models/task_net.py), which has
    no other size.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        size: Height and width of the images, in pixels.
        dropout: Rate of the last dropout layers, in [0, 1); the first two have 0.2 and 0.6 times this rate.
            The default gives the release's rates, 0.1, 0.3, 0.5 and 0.5.

    Raises:
        CycadaError: `size` is less than 8.
    """
    if size < 8:
        raise CycadaError(f"networks.f: dtn needs images of at least 8 pixels; data.size is {size}.")
    side = size
    for _ in range(3):
        side = (side + 4 - 5) // 2 + 1
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 64, 5, 2, 2),
        nn.BatchNorm2d(64),
        nn.Dropout2d(0.2 * dropout),
        nn.ReLU(),
        nn.Conv2d(64, 128, 5, 2, 2),
        nn.BatchNorm2d(128),
        nn.Dropout2d(0.6 * dropout),
        nn.ReLU(),
        nn.Conv2d(128, 256, 5, 2, 2),
        nn.BatchNorm2d(256),
        nn.Dropout2d(dropout),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256 * side * side, 512),
        nn.BatchNorm1d(512),
    )
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, classes))
    net = Classifier(encoder, head, 512, channels_last=True)
    init_xavier(net)
    return net


@classifiers("convnet")
def convnet(
    image_channels: int,
    classes: int,
    *,
    channels: Width = 32,
    width: Width = 128,
    dropout: Below1 = 0.25,
    norm: Literal["batch", "group"] = "batch",
) -> Classifier:
    """Build a small classifier that trains fast on a CPU.

    It is of this toolkit, not of a paper. Images (N, C, H, W) of at least 8 x 8 become `width` features and K
    logits. Two pairs of 3 x 3 convolutions with normalisation are pooled by 2 each; a third convolution is
    pooled to 2 x 2; a linear layer with batch normalisation gives the features. 206,954 parameters for 10
    classes and colour images, whatever their size.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        channels: The number of maps of the first convolutions; the next ones have 2 and 4 times as many.
        width: D, the number of features.
        dropout: Rate of both dropout layers, in [0, 1).
        norm: How the maps of the convolutions are normalised. `batch`: by the statistics of a batch, and in
            another domain by those of the source. `group`: by those of the image itself, in 8 groups of
            channels (4 where 8 does not divide them, and so on), whatever the domain.
    """

    def conv(into: int, out: int) -> list[nn.Module]:
        return [nn.Conv2d(into, out, 3, padding=1, bias=False), norm_layer(norm, out), nn.ReLU(inplace=True)]

    c = channels
    encoder = nn.Sequential(
        *conv(image_channels, c),
        *conv(c, c),
        nn.MaxPool2d(2),
        *conv(c, 2 * c),
        *conv(2 * c, 2 * c),
        nn.MaxPool2d(2),
        *conv(2 * c, 4 * c),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16 * c, width),
        nn.BatchNorm1d(width),
    )
    head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes))
    return Classifier(encoder, head, width, channels_last=True)


@classifiers("release_classifier")
def release_classifier(image_channels: int, classes: int, size: int) -> Classifier:
    """Build the classifier that the CyCADA release trains as f_S.

    The release trains it next to the generators in place of f_S. Images (N, C, H, W) of at least 31 x 31
    become 1024 features and K logits. Four unpadded 3 x 3 convolutions of stride 2 (64, 64, 128 and 256
    channels) are followed by two linear layers with nothing between them. 682,058 parameters for 10 classes
    and colour images of 32 x 32. The source is `networks.Classifier` of the release's CycleGAN fork.

    Args:
        image_channels: C, the number of image channels.
        classes: K, the number of classes.
        size: Height and width of the images, in pixels.

    Raises:
        CycadaError: `size` is less than 31.
    """
    side = size
    for _ in range(4):
        side = (side - 3) // 2 + 1
    if side < 1:
        raise CycadaError(
            f"networks.f: release_classifier needs images of at least 31 pixels; data.size is {size}."
        )
    encoder = nn.Sequential(
        nn.Conv2d(image_channels, 64, 3, 2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 64, 3, 2),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 3, 2),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, 3, 2),
        nn.BatchNorm2d(256),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(256 * side * side, 1024),
    )
    return Classifier(encoder, nn.Linear(1024, classes), 1024)
