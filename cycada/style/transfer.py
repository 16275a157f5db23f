"""A picture with the content of one and the style of another, found by gradient descent on its pixels (Gatys et al. 2016)."""

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
"""The paper's layers of VGG-19."""

Report = Callable[[int, Mapping[str, float]], bool | None]
"""After every step: (step, from 1; the losses, unweighted) -> whether to stop here."""


@dataclass(frozen=True)
class Weights:
    """content : style is the paper's alpha : beta (1e-3 in its figure 3); total_variation is not in it."""

    content: float = 1e-3
    style: float = 1.0
    total_variation: float = 0.0


class Objective:
    """The losses of an image against a content and a style picture, eq. 7 of the paper.

    The paper scales VGG so that every filter's mean activation is 1 (section 2). Here each layer's maps are divided by their mean
    magnitude over the two pictures, so that weights mean the same in every layer of every network.
    """

    def __init__(
        self,
        look: Activations,
        content: Tensor,
        style: Tensor,
        of_content: str,
        of_style: Mapping[str, float],
        w: Weights,
    ) -> None:
        self.look, self.of_content, self.of_style, self.weights = look, of_content, of_style, w
        with torch.no_grad():
            seen_c = {name: maps.clone() for name, maps in look(content).items()}
            seen_s = {name: maps.clone() for name, maps in look(style).items()}
        self.scale = {
            name: float(seen_c[name].abs().mean() + seen_s[name].abs().mean()) / 2 for name in seen_c
        }
        if dead := [name for name, scale in self.scale.items() if not scale > 0]:
            raise CycadaError(
                f"The layer '{dead[0]}' answers with nothing but zeros to both pictures. Leave it out."
            )
        self.content = seen_c[of_content] / self.scale[of_content] if of_content else None
        self.grams = {name: gram(seen_s[name] / self.scale[name]) for name in of_style}

    def parts(self, image: Tensor) -> dict[str, Tensor]:
        """The losses by name, unweighted; those whose weight is 0 are not there."""
        seen = {name: maps / self.scale[name] for name, maps in self.look(image).items()}
        found = {}
        if self.content is not None:
            found["content"] = content_loss(seen[self.of_content], self.content)
        if self.of_style:
            found["style"] = torch.stack(
                [w * style_loss(seen[name], self.grams[name]) for name, w in self.of_style.items()]
            ).sum()
        if self.weights.total_variation:
            found["total_variation"] = total_variation(image)
        return found

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, float]]:
        """-> the weighted sum, with its graph, and the losses."""
        parts = self.parts(image)
        total = torch.stack([getattr(self.weights, name) * value for name, value in parts.items()]).sum()
        return total, {name: value.item() for name, value in parts.items()}


def stylize(
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
    """The image (1, C, H, W) in [-1, 1], of the content's size, that minimises alpha L_content + beta L_style (Gatys et al., eq. 7).

    content (1, C, H, W), style (1, C, h, w): in [-1, 1], on the network's device. net: any network with layers of these names
    (see `Activations`); it is asked in eval mode and left as it was. style_layers: with their weights w_l, or equal ones that sum
    to 1 as in the paper. optimizer: lbfgs keeps pixels in [-1, 1] as bounds (L-BFGS-B of scipy, on the CPU); adam, with `rate`,
    projects them there. start: the paper draws noise; from the content, which its section 3 finds alike, it takes fewer steps.
    The same call gives the same image on the same machine. Raises CycadaError.
    """
    w = weights
    shares = (
        dict(style_layers)
        if isinstance(style_layers, Mapping)
        else {name: 1 / len(style_layers) for name in style_layers}
    )
    of_style, of_content = shares if w.style else {}, content_layer if w.content else ""
    if not of_style and not of_content:
        raise CycadaError("Neither content nor style has a weight and a layer: there is nothing to optimise.")
    was = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with Activations(net, [*([of_content] if of_content else []), *of_style]) as look:
            objective = Objective(look, content, style, of_content, of_style, w)
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
        for module, training in was.items():
            module.training = training


def by_adam(objective: Objective, image: Tensor, steps: int, rate: float, report: Report) -> Tensor:
    """Adam, each step followed by the way back into [-1, 1]."""
    image = image.clone().requires_grad_(True)
    moving = torch.optim.Adam([image], lr=rate)
    for step in range(1, steps + 1):
        total, losses = objective(image)
        moving.zero_grad()
        (image.grad,) = torch.autograd.grad(total, image)
        moving.step()
        with torch.no_grad():
            image.clamp_(-1, 1)
        if report(step, losses):
            break
    return image.detach()


def by_lbfgs(objective: Objective, image: Tensor, steps: int, report: Report) -> Tensor:
    """L-BFGS with pixels in [-1, 1]; a step may look at several images."""
    shape, like = image.shape, image
    last: dict[str, float] = {}
    done = 0

    def value(pixels: np.ndarray) -> tuple[float, np.ndarray]:
        now = torch.from_numpy(pixels).to(like).reshape(shape).requires_grad_(True)
        total, losses = objective(now)
        last.update(losses)
        (gradient,) = torch.autograd.grad(total, now)
        return total.item(), gradient.double().cpu().numpy().ravel()

    def after(pixels: np.ndarray) -> None:
        nonlocal done
        done += 1
        if report(done, last):
            raise StopIteration

    first = image.double().cpu().numpy().ravel()
    options = {"maxiter": steps, "maxfun": 4 * steps, "ftol": 0.0, "gtol": 0.0, "maxcor": 10}
    found = minimize(
        value, first, jac=True, method="L-BFGS-B", bounds=Bounds(-1, 1), callback=after, options=options
    )
    return torch.from_numpy(found.x).to(like).reshape(shape)
