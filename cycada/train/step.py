"""The one training step of every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cycada.errors import CycadaError
from cycada.losses import Term
from cycada.methods import Networks, Views
from cycada.metrics import monitors
from cycada.registry import needs
from cycada.train.device import Device, Precision


@dataclass(frozen=True)
class Phase:
    """Some networks, the terms that move them, one optimizer. It runs in every `every`-th step."""

    name: str
    roles: tuple[str, ...]
    terms: tuple[Term, ...]
    optimizer: torch.optim.Optimizer
    every: int = 1


@contextmanager
def only(roles: Sequence[str], nets: Networks) -> Iterator[list[nn.Parameter]]:
    """Inside, the parameters of these roles learn (they are yielded) and all others are constants."""
    for role, net in nets.named_children():
        if role in roles or any(p.requires_grad for p in net.parameters()):
            net.requires_grad_(role in roles)
    yield [p for role in roles for p in nets.get_submodule(role).parameters()]


def train_step(
    phases: Sequence[Phase],
    views: Views,
    device: Device,
    step: int,
    total: int,
    precision: Precision = "fp32",
    gradients: bool = False,
) -> dict[str, Tensor]:
    """Step `step` of `total`: every phase in turn, on the same images. -> detached scalars by name.

    `loss/TERM` (unweighted), `weight/TERM` where it changes, `monitor/NAME`, and with `gradients` also
    `gradient/TERM`, the norm of the term's weighted gradient over the phase's parameters.
    Raises CycadaError where a term reaches none of the parameters that it should move.
    """
    values: dict[str, Tensor] = {}
    for phase in phases:
        if step % phase.every:
            continue
        with only(phase.roles, views.nets) as parameters:
            with device.autocast(precision):
                terms = [(term, term(views)) for term in phase.terms]
            weighted = []
            for term, value in terms:
                if not value.requires_grad:
                    raise CycadaError(f"The loss '{term.name}' reaches no parameter of phase '{phase.name}' ({', '.join(phase.roles)}).")
                weighted.append(term.weight_at(step, total) * value)
                values[f"loss/{term.name}"] = value.detach()
                if gradients:
                    values[f"gradient/{term.name}"] = gradient_norm(weighted[-1], parameters)
            phase.optimizer.zero_grad(set_to_none=True)
            torch.stack(weighted).sum().backward()
            device.average_gradients(parameters)
            phase.optimizer.step()
        for name, monitor in monitors.items():
            if f"monitor/{name}" not in values and all(views.computed(n) for n in needs(monitor)):
                values[f"monitor/{name}"] = monitor(*(getattr(views, n) for n in needs(monitor))).detach()
        views = views.detached()
    return values


def gradient_norm(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """L2 norm of d value / d parameters; the graph stays."""
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.stack([g.norm() for g in found if g is not None]).norm()
