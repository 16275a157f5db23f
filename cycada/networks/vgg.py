"""VGG-16 and VGG-19 as feature extractors (Simonyan & Zisserman 2015).

They serve to compare translations and styles.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.types import Output
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise
from cycada.networks.weights import WHERE, fill, read_weights

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five stages; in front of each but the first the size is halved, rounding down."""


class Vgg(nn.Module):
    """torchvision's VGG up to one of its layers, as a feature extractor.

    The network is that of Simonyan & Zisserman (2015). Images (N, C, H, W) in [-1, 1], grey or colour, become
    `Output(features (N, width, h, w), logits (N, 0))`: there are no classes. ImageNet's normalisation is
    inside. Layers are named as in Gatys et al. (2016): `relu4_2`, in the state dict `body.relu4_2`, is the
    ReLU behind the second convolution of the fourth stage. Either `weights` or `pretrained` is needed.

    Args:
        image_channels: C, the number of image channels, 1 or 3.
        size: The smaller side of the images, in pixels.
        layer: The layer whose outputs are the features.
        weights: Path of a state dict of torchvision's VGG, whole or its `features.*` alone, .pth or
            .safetensors; or the word `random`.
        pretrained: Let torchvision download the weights.
        pooling: `max` as in VGG, or `average`, which Gatys et al. (2016) prefer.

    Attributes:
        width: The number of channels of the features.
        order: The name of each layer here, by its name in torchvision.

    Raises:
        CycadaError: There is no such layer, the images are too small for it, or there are no weights that
            fit.
    """

    name: ClassVar[str]
    convolutions: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        image_channels: int,
        size: int,
        *,
        layer: str = "relu4_2",
        weights: PathText | None = None,
        pretrained: bool = False,
        pooling: Literal["max", "average"] = "max",
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        names_of_relus, into = [], 3
        for stage, (width, count) in enumerate(zip(WIDTHS, self.convolutions, strict=True), 1):
            for i in range(1, count + 1):
                layers[f"conv{stage}_{i}"] = nn.Conv2d(into, width, 3, padding=1)
                layers[f"relu{stage}_{i}"] = nn.ReLU(inplace=True)
                names_of_relus.append(f"relu{stage}_{i}")
                into = width
            layers[f"pool{stage}"] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
        if layer not in names_of_relus:
            raise CycadaError(
                f"networks.f.layer: {self.name} has no layer '{layer}'.{nearest(layer, names_of_relus)}"
            )
        self.order = {f"features.{i}": name for i, name in enumerate(layers)}  # torchvision's names
        names = [*layers]
        self.body = nn.Sequential(
            OrderedDict((name, layers[name]) for name in names[: names.index(layer) + 1])
        )
        self.width, stride = WIDTHS[int(layer[4]) - 1], 2 ** (int(layer[4]) - 1)
        if size < stride:
            raise CycadaError(
                f"networks.f: {layer} of {self.name} needs images of at least {stride} pixels; "
                f"data.size is {size}."
            )
        self.normalise = Normalise(*IMAGENET)
        self._fill(weights, pretrained)

    def _fill(self, weights: str | None, pretrained: bool) -> None:
        if weights == "random":
            for module in self.body:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    nn.init.zeros_(module.get_parameter("bias"))
        elif weights:
            self._take(read_weights(weights), weights)
        elif pretrained:
            self._take(download(self.name), f"torchvision's {self.name}")
        else:
            raise CycadaError(
                f"{WHERE}: {self.name} has no weights, and the features of an untrained network are noise. "
                f"Give weights: FILE, a state dict of torchvision's {self.name}, or pretrained: true where "
                "there is an internet connection, or weights: random if noise is wanted."
            )

    def _take(self, weights: Mapping[str, Tensor], path: str) -> None:
        """Load the weights of this network's layers; deeper layers and the classifier are left out."""
        renamed = {}
        for key, value in weights.items():
            layer, _, kind = key.rpartition(".")
            if layer in self.order:
                renamed[f"{self.order[layer]}.{kind}"] = value
            elif not layer.startswith("classifier."):
                raise CycadaError(
                    f"{WHERE}: {path} is not a state dict of torchvision's {self.name}; it has '{key}'."
                )
        own = self.body.state_dict()
        fill(self.body, {key: value for key, value in renamed.items() if key in own}, path)

    def forward(self, x: Tensor) -> Output:
        """Return the features (N, width, h, w) and empty logits (N, 0) of images (N, C, H, W)."""
        features = self.body(self.normalise(x))
        return Output(features, features.flatten(1)[:, :0])


def download(name: str) -> Mapping[str, Tensor]:
    """Return torchvision's ImageNet weights of a VGG, from its cache or from its server.

    Args:
        name: `vgg16` or `vgg19`.

    Raises:
        CycadaError: The download fails.
    """
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT
    try:
        state_dict: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # no network, a proxy, a broken file
        raise CycadaError(
            f"networks.f.pretrained: cannot download {name} ({error}). Download {weights.url} on another "
            "machine and give it as weights: FILE."
        ) from None
    return state_dict


@classifiers("vgg16_features")
class Vgg16(Vgg):
    """VGG-16 up to one of its layers, as a feature extractor.

    See Simonyan & Zisserman 2015. Images (N, C, H, W) in [-1, 1], grey or colour, become the outputs of
    `layer`, named as in Gatys et al. (2016), and empty logits (N, 0). Either `weights` (a state dict of
    torchvision's vgg16, or `random`) or `pretrained` is needed. Arguments and errors are those of `Vgg`.
    """

    name, convolutions = "vgg16", (2, 2, 3, 3, 3)


@classifiers("vgg19_features")
class Vgg19(Vgg):
    """VGG-19 up to one of its layers, as a feature extractor.

    See Simonyan & Zisserman 2015. Images (N, C, H, W) in [-1, 1], grey or colour, become the outputs of
    `layer`, named as in Gatys et al. (2016), and empty logits (N, 0). Either `weights` (a state dict of
    torchvision's vgg19, or `random`) or `pretrained` is needed. Arguments and errors are those of `Vgg`.
    """

    name, convolutions = "vgg19", (2, 2, 4, 4, 4)
