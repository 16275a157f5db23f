"""The training step of all methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.core.profile import span
from cycada.core.registry import needs
from cycada.losses import Term
from cycada.methods import Networks, StepTensors, roles_in
from cycada.metrics import monitors
from cycada.train.device import Device, Precision
from cycada.train.schedule import Schedule


@dataclass(frozen=True)
class Phase:
    """Part of a training step: the losses that train some networks with one optimizer.

    Attributes:
        name: Name of the phase.
        trains: Roles of the networks that it trains, or paths of their submodules (`f_t.head`).
        terms: The losses.
        optimizer: The optimizer, which may be shared with another phase.
        every: The number n of a phase that runs in every n-th step only.
        repeat: How many times the phase runs within a step.
        schedule: Schedule of the learning rate.
    """

    name: str
    trains: tuple[str, ...]
    terms: tuple[Term, ...]
    optimizer: torch.optim.Optimizer
    every: int = 1
    repeat: int = 1
    schedule: Schedule = Schedule()

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the networks that the phase trains, wholly or in part."""
        return roles_in(self.trains)


def submodule(net: nn.Module, name: str, role: str) -> nn.Module:
    """Return a submodule of a network.

    Args:
        net: The network.
        name: Path of the submodule; '' is the network itself.
        role: The network's role, for messages.

    Raises:
        CycadaError: The network has no such submodule.
    """
    try:
        return net.get_submodule(name)
    except AttributeError:
        raise CycadaError(
            f"networks.{role}: the method needs its part '{name}', which a {type(net).__name__} does not "
            f"have. Take a network that keeps its encoder and its head apart, such as lenet, dtn or convnet."
        ) from None


def submodules(trains: Sequence[str], nets: Networks) -> list[nn.Module]:
    """Return the networks, or submodules of networks, that a phase trains.

    Args:
        trains: Roles, or paths such as `f_t.head`.
        nets: The networks.

    Raises:
        CycadaError: A network has no such submodule.
    """
    split = [path.partition(".") for path in trains]
    return [submodule(nets.get_submodule(role), name, role) for role, _, name in split]


@contextmanager
def trainable_only(trains: Sequence[str], nets: Networks) -> Iterator[list[nn.Parameter]]:
    """Make only the parameters of some networks or submodules trainable in a `with` block, and yield them.

    All other parameters are constants there.
    """
    trained = submodules(trains, nets)
    nets.requires_grad_(False)
    for module in trained:
        module.requires_grad_(True)
    yield [p for module in trained for p in module.parameters()]


def require_gradient(value: Tensor, loss: str, phase: str, trains: Iterable[str]) -> Tensor:
    """Return the value of a loss, which has to depend on a parameter that its phase trains.

    Args:
        value: The value, a scalar.
        loss: The name of the loss.
        phase: The name of the phase.
        trains: The networks that the phase trains.

    Raises:
        CycadaError: It depends on none.
    """
    if not value.requires_grad:
        raise CycadaError(f"The loss '{loss}' reaches no parameter of phase '{phase}' ({', '.join(trains)}).")
    return value


def train_step(
    phases: Sequence[Phase],
    tensors: StepTensors[Any],
    device: Device,
    step: int,
    total: int,
    precision: Precision = "fp32",
    gradients: bool = False,
) -> dict[str, Tensor]:
    """Train all phases in turn on the same images, and return detached scalars.

    Args:
        phases: The phases, in order.
        tensors: The step's tensors, which are computed when a loss needs them.
        device: Where to train, and with which processes.
        step: Number of the step, from 0.
        total: Number of steps of the stage.
        precision: Precision of the forward passes.
        gradients: Whether to compute gradient norms, each by a backward pass of its own.

    Returns:
        `loss/TERM` (unweighted), `monitor/NAME`, and with `gradients` also `gradient/TERM`, the L2 norm of
        the term's weighted gradient over the phase's parameters. Where a phase repeats, or phases share a
        term, the last value counts.

    Raises:
        CycadaError: A loss depends on none of the parameters that its phase trains.
    """
    values: dict[str, Tensor] = {}
    for phase, turn in ((p, turn) for p in phases for turn in range(p.repeat) if step % p.every == 0):
        before = set(vars(tensors))
        with trainable_only(phase.trains, tensors.nets) as parameters:
            with span(f"{phase.name}: forward"), device.autocast(precision):
                terms = [(term, term(tensors)) for term in phase.terms]
            weighted = []
            for term, value in terms:
                require_gradient(value, term.name, phase.name, phase.trains)
                weighted.append(term.weight_at(step, total) * value)
                values[f"loss/{term.name}"] = value.detach()
                if gradients:
                    with span("gradient norms"):
                        values[f"gradient/{term.name}"] = gradient_norm(weighted[-1], parameters)
            phase.optimizer.zero_grad(set_to_none=True)
            with span(f"{phase.name}: backward"):
                torch.stack(weighted).sum().backward()
                device.average_gradients(parameters)
            with span("optimizer steps"):
                phase.optimizer.step()
        for name, monitor in monitors.items():
            if f"monitor/{name}" not in values and all(tensors.is_cached(n) for n in needs(monitor)):
                values[f"monitor/{name}"] = monitor(*(getattr(tensors, n) for n in needs(monitor))).detach()
        again = turn + 1 < phase.repeat  # a repeated phase recomputes the tensors that its networks made
        tensors = tensors.detached(but=tensors.invalidated_by(phase.roles, before) if again else ())
    return values


def gradient_norm(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the L2 norm of the gradient of a scalar over all parameters; the graph stays usable.

    Args:
        value: A scalar that depends on at least one parameter.
        parameters: The parameters.
    """
    gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    norm: Tensor = torch.stack([g.norm() for g in gradients if g is not None]).norm()
    return norm
