"""Construction of a phase's optimizer from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    options = dict(settings)
    name, parameters = options.pop("name", "adam"), _groups(modules, options.pop("head_lr", None), phase)
    result: torch.optim.Optimizer
    if name == "sgd":
        options.pop("betas", None)
        result = torch.optim.SGD(parameters, **options)
    else:
        options.pop("momentum", None)
        kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
        result = kind(parameters, fused=True, capturable=False, **options)
    for group in result.param_groups:
        group["initial_lr"] = group["lr"]
    return result


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
