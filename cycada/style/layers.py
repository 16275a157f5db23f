"""The answers of named layers of any network, whatever its forward returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError, nearest

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish)


class Activations:
    """`Activations(net, ["relu1_1"])(images)` -> {"relu1_1": maps (N, C, h, w)}; to be used in a `with`, which takes its hooks off.

    A layer is called by its path in the network or by the end of it, where that is one layer's alone. A layer that runs several
    times in a forward answers with its last. Raises CycadaError: no such layer, no maps, images that the network does not take.
    """

    def __init__(self, net: nn.Module, layers: Sequence[str]) -> None:
        self.net, self.layers = net, list(dict.fromkeys(layers))
        self._seen: dict[str, Any] = {}
        self._hooks = [find(net, name).register_forward_hook(self._keep(name)) for name in self.layers]

    def _keep(self, name: str) -> Any:
        def keep(module: nn.Module, given: Any, answer: Any) -> None:
            self._seen[name] = answer

        return keep

    def __enter__(self) -> Activations:
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self._seen = {}
        forward(self.net, images)
        for name in self.layers:
            found = self._seen.get(name)
            if not isinstance(found, Tensor) or found.dim() != 4:
                what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise CycadaError(
                    f"The layer '{name}' answers with {what}, expected maps (N, C, h, w). Take a convolution or what follows it."
                )
        return self._seen


def forward(net: nn.Module, images: Tensor) -> None:
    """Raises CycadaError where the network does not take images of this size."""
    try:
        net(images)
    except torch.OutOfMemoryError:
        raise CycadaError(
            f"No memory left for pictures of {images.shape[-1]} x {images.shape[-2]} pixels. Take a smaller size."
        ) from None
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise CycadaError(
            f"The network does not take pictures of {images.shape[-1]} x {images.shape[-2]} pixels ({said}). Take another size, or a "
            f"network that takes any, such as vgg19_features or a segmenter."
        ) from None


def find(net: nn.Module, name: str) -> nn.Module:
    """A layer by its path or the end of it. Raises CycadaError with the nearest."""
    named = dict(net.named_modules())
    ends = [named[name]] if name in named else [m for path, m in named.items() if path.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    leaves = [path for path, m in named.items() if path and not list(m.children())]
    problem = f"{len(ends)} layers whose paths end with" if ends else "no layer"
    raise CycadaError(f"The network has {problem} '{name}'.{nearest(name, leaves)}")


def usual_layers(net: nn.Module, image: Tensor) -> tuple[str, list[str]]:
    """-> a layer for the content and layers for the style: of every size of map the first activation (convolution, where there is

    none), as conv1_1 to conv5_1 in the paper; of the smallest size but one the last, as its conv4_2.
    """
    leaves = {path: m for path, m in net.named_modules() if path and not list(m.children())}
    kinds = ACTIVATIONS if any(isinstance(m, ACTIVATIONS) for m in leaves.values()) else (nn.Conv2d,)
    sizes: dict[int, list[str]] = {}

    def keep(path: str) -> Any:
        def hook(module: nn.Module, given: Any, answer: Any) -> None:
            if isinstance(answer, Tensor) and answer.dim() == 4 and answer.shape[-2:].numel() > 1:
                names = sizes.setdefault(answer.shape[-2:].numel(), [])
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
        raise CycadaError(
            "The network has no layer whose answers are maps (N, C, h, w). Take a convolutional one."
        )
    ordered = sorted(sizes, reverse=True)
    return sizes[ordered[max(0, len(ordered) - 2)]][-1], [sizes[size][0] for size in ordered]
