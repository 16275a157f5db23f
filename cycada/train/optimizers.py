"""Construction of a phase's optimizer from its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn

from cycada.core.errors import CycadaError


def build_optimizer(
    settings: Mapping[str, Any], modules: Sequence[nn.Module], phase: str
) -> torch.optim.Optimizer:
    """Return the optimizer of a phase, whose parameter groups keep their learning rate as `initial_lr`.

    Args:
        settings: `name` (adam, adamw or sgd), and lr, betas, momentum and weight_decay as in torch.optim, of
            which those for another kind of optimizer are ignored; `head_lr` is the learning rate of
            submodules `head`.
        modules: What the phase trains.
        phase: Name of the phase, for messages.

    Raises:
        CycadaError: `head_lr` is set, and no module has a submodule `head`.
    """
    kind, parameters, options = _arguments(settings, modules, phase)
    result = kind(parameters, **options)
    for group in result.param_groups:
        group["initial_lr"] = group["lr"]
    return result


def check_optimizer(settings: Mapping[str, Any], modules: Sequence[nn.Module], phase: str) -> None:
    """Check that `build_optimizer` can make one, without making it; see there for the arguments.

    Raises:
        CycadaError: `head_lr` is set, and no module has a submodule `head`.
        ValueError: A setting is outside its range, or there are no parameters.
        TypeError: There is no such setting.
    """
    kind, parameters, options = _arguments(settings, modules, phase)
    try:
        kind([], **options)  # it looks at the settings first, and then finds nothing to optimize
    except ValueError as error:
        if not parameters or "empty parameter list" not in str(error):
            raise


def _arguments(
    settings: Mapping[str, Any], modules: Sequence[nn.Module], phase: str
) -> tuple[Callable[..., torch.optim.Optimizer], list[Any], dict[str, Any]]:
    """Return an optimizer's class, its parameters or parameter groups, and its options."""
    options = dict(settings)
    name, parameters = options.pop("name", "adam"), _groups(modules, options.pop("head_lr", None), phase)
    if name == "sgd":
        options.pop("betas", None)
        return _uncompiled(torch.optim.SGD), parameters, options
    options.pop("momentum", None)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return _uncompiled(kind), parameters, options | {"fused": True, "capturable": False}


@cache
def _uncompiled(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """Return an optimizer's class whose methods are not wrapped for `torch.compile`.

    The wrappers import PyTorch's compiler on their first call, which takes longer than a small stage. An
    optimizer's steps are not compiled here and need no wrapper. What they compute is the same.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step, "__doc__": kind.__doc__})


def _groups(modules: Sequence[nn.Module], head_lr: float | None, phase: str) -> list[Any]:
    """Return the parameters; with `head_lr`, as two groups, the second of which is of heads."""
    parameters = [p for module in modules for p in module.parameters()]
    if head_lr is None:
        return parameters
    heads = [
        p
        for module in modules
        if isinstance(head := getattr(module, "head", None), nn.Module)
        for p in head.parameters()
    ]
    if not heads:
        raise CycadaError(
            f"optimizer.head_lr: no network of the phase '{phase}' has a head of its own. Take it out."
        )
    in_heads = {id(p) for p in heads}
    return [{"params": [p for p in parameters if id(p) not in in_heads]}, {"params": heads, "lr": head_lr}]
