"""VGG-16 and VGG-19 as features: what translations and styles are compared by (Simonyan & Zisserman 2015)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import ClassVar, Literal

import torchvision
from torch import Tensor, nn

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.types import Output
from cycada.networks.registries import classifiers
from cycada.networks.segmentation import IMAGENET, Normalise
from cycada.networks.weights import WHERE, fill, read_weights

WIDTHS = (64, 128, 256, 512, 512)
"""The channels of the five stages; before each stage but the first the size is halved, rounding down."""


class Vgg(nn.Module):
    """torchvision's VGG up to `layer`, whose answers are the features: (N, C, H, W) in [-1, 1] -> (N, width, h, w).

    Layers are called as in Gatys et al. (2016): `body.relu4_2` is the ReLU behind the second convolution of the fourth stage.
    ImageNet's normalisation is inside. It names no class: its logits are (N, 0).
    weights: a state dict of torchvision's vgg, whole or its `features.*` alone, .pth or .safetensors; or the word `random`.
    pretrained: torchvision downloads them. One of the two is needed. pooling: Gatys et al. liked averages better than maxima.
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
        known, into = [], 3
        for stage, (width, count) in enumerate(zip(WIDTHS, self.convolutions, strict=True), 1):
            for i in range(1, count + 1):
                layers[f"conv{stage}_{i}"] = nn.Conv2d(into, width, 3, padding=1)
                layers[f"relu{stage}_{i}"] = nn.ReLU(inplace=True)
                known.append(f"relu{stage}_{i}")
                into = width
            layers[f"pool{stage}"] = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
        if layer not in known:
            raise CycadaError(f"networks.f.layer: {self.name} has no layer '{layer}'.{nearest(layer, known)}")
        self.order = {f"features.{i}": name for i, name in enumerate(layers)}  # torchvision's names
        names = [*layers]
        self.body = nn.Sequential(
            OrderedDict((name, layers[name]) for name in names[: names.index(layer) + 1])
        )
        self.width, stride = WIDTHS[int(layer[4]) - 1], 2 ** (int(layer[4]) - 1)
        if size < stride:
            raise CycadaError(
                f"networks.f: {layer} of {self.name} needs images of at least {stride} pixels; data.size is {size}."
            )
        self.normalise = Normalise(*IMAGENET)
        self._fill(weights, pretrained)

    def _fill(self, weights: str | None, pretrained: bool) -> None:
        if weights == "random":
            for module in self.body:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        elif weights:
            self._take(read_weights(weights), weights)
        elif pretrained:
            self._take(download(self.name), f"torchvision's {self.name}")
        else:
            raise CycadaError(
                f"{WHERE}: {self.name} has no weights, and features of an untrained network are noise. Give weights: FILE, a state dict "
                f"of torchvision's {self.name}, or pretrained: true where the network can be reached; weights: random if noise is wanted."
            )

    def _take(self, found: Mapping[str, Tensor], path: str) -> None:
        """The layers that are there; deeper ones and the classifier are not needed."""
        renamed = {}
        for key, value in found.items():
            layer, _, kind = key.rpartition(".")
            if layer in self.order:
                renamed[f"{self.order[layer]}.{kind}"] = value
            elif not layer.startswith("classifier."):
                raise CycadaError(
                    f"{WHERE}: {path} is no state dict of torchvision's {self.name}; it has '{key}'."
                )
        own = self.body.state_dict()
        fill(self.body, {key: value for key, value in renamed.items() if key in own}, path)

    def forward(self, x: Tensor) -> Output:
        features = self.body(self.normalise(x))
        return Output(features, features.flatten(1)[:, :0])


def download(name: str) -> Mapping[str, Tensor]:
    """ImageNet's weights as torchvision has them, from its cache or its server. Raises CycadaError."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        found: Mapping[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except Exception as error:  # no network, a proxy, a broken file
        raise CycadaError(
            f"networks.f.pretrained: cannot download {name} ({error}). Fetch {weights.url} elsewhere and give it as weights: FILE."
        ) from None
    return found


@classifiers("vgg16_features")
class Vgg16(Vgg):
    __doc__ = Vgg.__doc__
    name, convolutions = "vgg16", (2, 2, 3, 3, 3)


@classifiers("vgg19_features")
class Vgg19(Vgg):
    __doc__ = Vgg.__doc__
    name, convolutions = "vgg19", (2, 2, 4, 4, 4)
