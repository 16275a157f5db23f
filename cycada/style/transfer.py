"""Give one picture the style of another by gradient descent on its pixels (Gatys et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.style.gram import content_loss, gram, style_loss, total_variation
from cycada.style.layers import Activations

CONTENT = "relu4_2"
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The paper's layers of VGG-19 for content and style."""

Report = Callable[[int, Mapping[str, float]], bool | None]
"""Callback after every step: (number of the step, from 1; unweighted losses by name) -> whether to stop."""


@dataclass(frozen=True)
class Weights:
    """The weights of the losses.

    Attributes:
        content: The paper's alpha; alpha / beta is 1e-3 in its figure 3.
        style: The paper's beta.
        total_variation: The weight of the total variation, which is not in the paper.
    """

    content: float = 1e-3
    style: float = 1.0
    total_variation: float = 0.0


class Objective:
    """The loss of an image against a content and a style picture (eq. 7 of the paper).

    The paper scales VGG so that the mean activation of every filter is 1 (section 2). Here the maps of each
    layer are divided by their mean magnitude over the two pictures, so that weights mean the same in every
    layer and network.

    Args:
        activations: The feature maps of the network.
        content: (1, C, H, W) the content picture.
        style: (1, C, h, w) the style picture.
        content_layer: The layer for the content; empty for none.
        style_layers: The layers for the style, with their weights w_l.
        weights: The weights of the losses.

    Raises:
        CycadaError: A layer gives only zeros for both pictures.
    """

    def __init__(
        self,
        activations: Activations,
        content: Tensor,
        style: Tensor,
        content_layer: str,
        style_layers: Mapping[str, float],
        weights: Weights,
    ) -> None:
        self.activations, self.weights = activations, weights
        self.content_layer, self.style_layers = content_layer, style_layers
        with torch.no_grad():
            content_maps = {name: maps.clone() for name, maps in activations(content).items()}
            style_maps = {name: maps.clone() for name, maps in activations(style).items()}
        self.scale = {
            name: float(content_maps[name].abs().mean() + style_maps[name].abs().mean()) / 2
            for name in content_maps
        }
        if dead := [name for name, scale in self.scale.items() if not scale > 0]:
            raise CycadaError(
                f"The layer '{dead[0]}' gives nothing but zeros for both pictures. Leave it out."
            )
        self.content = content_maps[content_layer] / self.scale[content_layer] if content_layer else None
        self.grams = {name: gram(style_maps[name] / self.scale[name]) for name in style_layers}

    def losses(self, image: Tensor) -> dict[str, Tensor]:
        """Return the unweighted losses by name, without those whose weight is 0."""
        scaled = {name: maps / self.scale[name] for name, maps in self.activations(image).items()}
        losses = {}
        if self.content is not None:
            losses["content"] = content_loss(scaled[self.content_layer], self.content)
        if self.style_layers:
            losses["style"] = torch.stack(
                [w * style_loss(scaled[name], self.grams[name]) for name, w in self.style_layers.items()]
            ).sum()
        if self.weights.total_variation:
            losses["total_variation"] = total_variation(image)
        return losses

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum of the losses, with its graph, and the unweighted losses as numbers."""
        losses = self.losses(image)
        total = torch.stack([getattr(self.weights, name) * value for name, value in losses.items()]).sum()
        return total, {name: value.item() for name, value in losses.items()}


def stylize(  # noqa: PLR0913 (each is an option of its caller)
    content: Tensor,
    style: Tensor,
    net: nn.Module,
    *,
    content_layer: str = CONTENT,
    style_layers: Sequence[str] | Mapping[str, float] = STYLE,
    weights: Weights = Weights(),
    steps: int = 500,
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    rate: float = 0.02,
    start: Literal["content", "noise"] = "content",
    seed: int = 0,
    report: Report = lambda step, losses: None,
) -> Tensor:
    """Return the image that minimises alpha L_content + beta L_style (Gatys et al. 2016, eq. 7).

    The same call gives the same image on the same machine.

    Args:
        content: (1, C, H, W) the content picture in [-1, 1], on the network's device.
        style: (1, C, h, w) the style picture in [-1, 1], on the network's device.
        net: A network with layers of these names (see `Activations`). It runs in eval mode, and is left as it
            was.
        content_layer: The layer for the content.
        style_layers: The layers for the style with their weights w_l; without weights all are equal and sum
            to 1, as in the paper.
        weights: The weights of the losses.
        steps: The number of optimisation steps.
        optimizer: "lbfgs" keeps pixels in [-1, 1] as bounds (L-BFGS-B of scipy, on the CPU); "adam" projects
            them there.
        rate: The learning rate of adam.
        start: "noise" as in the paper, or "content", which takes fewer steps.
        seed: The seed of the noise.
        report: Called after every step; the optimisation stops where it returns True.

    Returns:
        (1, C, H, W) in [-1, 1], of the content's size.

    Raises:
        CycadaError: A layer cannot be used, or no loss has a weight and a layer.
    """
    layer_weights = (
        dict(style_layers)
        if isinstance(style_layers, Mapping)
        else {name: 1 / len(style_layers) for name in style_layers}
    )
    used_style_layers = layer_weights if weights.style else {}
    used_content_layer = content_layer if weights.content else ""
    if not used_style_layers and not used_content_layer:
        raise CycadaError("Neither content nor style has a weight and a layer: there is nothing to optimise.")
    modes = {module: module.training for module in net.modules()}
    net.eval()
    layers = [*([used_content_layer] if used_content_layer else []), *used_style_layers]
    try:
        with Activations(net, layers) as activations:
            objective = Objective(activations, content, style, used_content_layer, used_style_layers, weights)
            image = content.clone()
            if start == "noise":
                drawn = torch.randn(content.shape, generator=torch.Generator().manual_seed(seed))
                image = (0.5 * drawn).clamp(-1, 1).to(content)
            return (
                by_lbfgs(objective, image, steps, report)
                if optimizer == "lbfgs"
                else by_adam(objective, image, steps, rate, report)
            )
    finally:
        for module, training in modes.items():
            module.training = training


def by_adam(objective: Objective, image: Tensor, steps: int, rate: float, report: Report) -> Tensor:
    """Minimise `objective` by Adam from `image`, with pixels clamped to [-1, 1] after each step."""
    image = image.clone().requires_grad_(True)
    adam = torch.optim.Adam([image], lr=rate)
    for step in range(1, steps + 1):
        total, losses = objective(image)
        adam.zero_grad()
        (image.grad,) = torch.autograd.grad(total, image)
        adam.step()
        with torch.no_grad():
            image.clamp_(-1, 1)
        if report(step, losses):
            break
    return image.detach()


def by_lbfgs(objective: Objective, image: Tensor, steps: int, report: Report) -> Tensor:
    """Minimise `objective` by L-BFGS-B from `image`, with pixels bounded by [-1, 1].

    A step may evaluate the objective several times.
    """
    shape, like = image.shape, image
    last: dict[str, float] = {}
    done = 0

    def value(pixels: np.ndarray) -> tuple[float, np.ndarray]:
        current = torch.from_numpy(pixels).to(like).reshape(shape).requires_grad_(True)
        total, losses = objective(current)
        last.update(losses)
        (gradient,) = torch.autograd.grad(total, current)
        return total.item(), gradient.double().cpu().numpy().ravel()

    def after(pixels: np.ndarray) -> None:
        nonlocal done
        done += 1
        if report(done, last):
            raise StopIteration

    first = image.double().cpu().numpy().ravel()
    options = {"maxiter": steps, "maxfun": 4 * steps, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
    result = minimize(
        value, first, jac=True, method="L-BFGS-B", bounds=Bounds(-1, 1), callback=after, options=options
    )
    return torch.from_numpy(result.x).to(like).reshape(shape)
