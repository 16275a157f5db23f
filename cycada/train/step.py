"""The one training step of every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.core.registry import needs
from cycada.losses import Term
from cycada.methods import Networks, StepTensors, roles_in
from cycada.metrics import monitors
from cycada.train.device import Device, Precision
from cycada.train.schedule import Schedule


@dataclass(frozen=True)
class Phase:
    """Some networks (or parts of them: `f_t.head`), the terms that move them, one optimizer and how its rate changes.

    It runs in every `every`-th step, and there `repeat` times.
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
        return roles_in(self.trains)


def submodule(net: nn.Module, name: str, role: str) -> nn.Module:
    """net.NAME; '' is the network itself. Raises CycadaError where it has no such part."""
    try:
        return net.get_submodule(name)
    except AttributeError:
        raise CycadaError(
            f"networks.{role}: the method needs its part '{name}', which a {type(net).__name__} does not have. Take a network "
            f"that keeps its encoder and its head apart, such as lenet, dtn or convnet."
        ) from None


def submodules(trains: Sequence[str], nets: Networks) -> list[nn.Module]:
    """The networks, or parts of networks, that a phase moves. Raises CycadaError."""
    split = [path.partition(".") for path in trains]
    return [submodule(nets.get_submodule(role), name, role) for role, _, name in split]


@contextmanager
def trainable_only(trains: Sequence[str], nets: Networks) -> Iterator[list[nn.Parameter]]:
    """Inside, the parameters of these networks or parts learn (they are yielded) and all others are constants."""
    moving = submodules(trains, nets)
    nets.requires_grad_(False)
    for module in moving:
        module.requires_grad_(True)
    yield [p for module in moving for p in module.parameters()]


def train_step(
    phases: Sequence[Phase],
    tensors: StepTensors,
    device: Device,
    step: int,
    total: int,
    precision: Precision = "fp32",
    gradients: bool = False,
) -> dict[str, Tensor]:
    """Step `step` of `total`: every phase in turn, on the same images. -> detached scalars by name.

    `loss/TERM` (unweighted), `weight/TERM` where it changes, `monitor/NAME`, and with `gradients` also
    `gradient/TERM`, the norm of the term's weighted gradient over the phase's parameters; the last of a term's values where
    phases repeat or share it.
    Raises CycadaError where a term reaches none of the parameters that it should move.
    """
    values: dict[str, Tensor] = {}
    for phase, turn in ((p, turn) for p in phases for turn in range(p.repeat) if step % p.every == 0):
        before = set(vars(tensors))
        with trainable_only(phase.trains, tensors.nets) as parameters:
            with device.autocast(precision):
                terms = [(term, term(tensors)) for term in phase.terms]
            weighted = []
            for term, value in terms:
                if not value.requires_grad:
                    raise CycadaError(
                        f"The loss '{term.name}' reaches no parameter of phase '{phase.name}' ({', '.join(phase.trains)})."
                    )
                weighted.append(term.weight_at(step, total) * value)
                values[f"loss/{term.name}"] = value.detach()
                if gradients:
                    values[f"gradient/{term.name}"] = gradient_norm(weighted[-1], parameters)
            phase.optimizer.zero_grad(set_to_none=True)
            torch.stack(weighted).sum().backward()
            device.average_gradients(parameters)
            phase.optimizer.step()
        for name, monitor in monitors.items():
            if f"monitor/{name}" not in values and all(tensors.is_cached(n) for n in needs(monitor)):
                values[f"monitor/{name}"] = monitor(*(getattr(tensors, n) for n in needs(monitor))).detach()
        again = turn + 1 < phase.repeat  # a phase that comes again makes anew what its own networks made
        tensors = tensors.detached(but=tensors.invalidated_by(phase.roles, before) if again else ())
    return values


def gradient_norm(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """L2 norm of d value / d parameters; the graph stays."""
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.stack([g.norm() for g in found if g is not None]).norm()
