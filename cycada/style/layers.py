"""Feature maps of named layers of any network, whatever its forward returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError, nearest

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)


class Activations:
    """The feature maps of some layers of a network.

    `Activations(net, ["relu1_1"])(images)` is {"relu1_1": maps (N, C, h, w)}.
    Use it in a `with` statement, which removes its hooks at the end. A layer that runs several times in a
    forward gives the maps of its last run.

    Args:
        net: The network.
        layers: The layers, each by its path in the network, or by an end of the path that no other layer has.

    Raises:
        CycadaError: There is no such layer, it gives no maps, or the network does not take the images.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str]) -> None:
        self.net, self.layers = net, list(dict.fromkeys(layers))
        self._outputs: dict[str, Any] = {}
        self._hooks = [find(net, name).register_forward_hook(self._keep(name)) for name in self.layers]

    def _keep(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            self._outputs[name] = output

        return keep

    def __enter__(self) -> Activations:
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps of each layer for `images` (N, C, H, W)."""
        self._outputs = {}
        forward(self.net, images)
        for name in self.layers:
            output = self._outputs.get(name)
            if not isinstance(output, Tensor) or output.dim() != 4:
                found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise CycadaError(
                    f"The layer '{name}' gives {found}, expected maps (N, C, h, w). Choose a convolution or "
                    "a layer after one."
                )
        return self._outputs


def forward(net: nn.Module, images: Tensor) -> None:
    """Run the network on images for the sake of its hooks.

    Raises:
        CycadaError: There is not enough memory, or the network does not take images of this size.
    """
    try:
        net(images)
    except torch.OutOfMemoryError:
        raise CycadaError(
            f"There is not enough memory for pictures of {images.shape[-1]} x {images.shape[-2]} pixels. "
            "Choose a smaller size."
        ) from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CycadaError(
            f"The network does not take pictures of {images.shape[-1]} x {images.shape[-2]} pixels "
            f"({reason}). Take another size, or a network that takes any size, such as vgg19_features or a "
            "segmenter."
        ) from None


def find(net: nn.Module, name: str) -> nn.Module:
    """Return a layer by its path, or by an end of the path that no other layer has.

    Raises:
        CycadaError: There is no such layer, or there are several; the message names the nearest.
    """
    named: dict[str, nn.Module] = dict(net.named_modules())
    ends = [named[name]] if name in named else [m for path, m in named.items() if path.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    leaves = [path for path, m in named.items() if path and not list(m.children())]
    problem = f"{len(ends)} layers whose paths end with" if ends else "no layer"
    raise CycadaError(f"The network has {problem} '{name}'.{nearest(name, leaves)}")


def usual_layers(net: nn.Module, image: Tensor) -> tuple[str, list[str]]:
    """Choose layers of a network in the way of the paper.

    Args:
        net: The network.
        image: (1, C, H, W) a picture, to find the sizes of the layers' maps.

    Returns:
        The layer for the content, which is the last activation at the second smallest size of maps, like
        conv4_2 in the paper; and the layers for the style, which are the first activations at each size, like
        conv1_1 to conv5_1. In a network without activation layers they are convolutions.

    Raises:
        CycadaError: No layer gives maps (N, C, h, w).
    """
    leaves = {path: m for path, m in net.named_modules() if path and not list(m.children())}
    kinds = ACTIVATIONS if any(isinstance(m, ACTIVATIONS) for m in leaves.values()) else (nn.Conv2d,)
    sizes: dict[int, list[str]] = {}

    def keep(path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4 and output.shape[-2:].numel() > 1:
                names = sizes.setdefault(output.shape[-2:].numel(), [])
                names += [path] if path not in names else []

        return hook

    hooks = [m.register_forward_hook(keep(path)) for path, m in leaves.items() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            forward(net, image)
    finally:
        for hook in hooks:
            hook.remove()
    if not sizes:
        raise CycadaError("No layer of the network gives maps (N, C, h, w). Choose a convolutional network.")
    ordered = sorted(sizes, reverse=True)
    return sizes[ordered[max(0, len(ordered) - 2)]][-1], [sizes[size][0] for size in ordered]
