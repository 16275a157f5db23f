"""An optimizer by the name and the settings that a phase has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cycada.core.errors import CycadaError


def optimizer(settings: Mapping[str, Any], moving: Sequence[nn.Module], phase: str) -> torch.optim.Optimizer:
    """`name` (adam, adamw, sgd), lr, betas, momentum, weight_decay as torch has them; what another kind takes is left out.

    head_lr: the rate of the part `head` of what moves. Every group keeps its rate as `initial_lr`. Raises CycadaError where
    head_lr is given and nothing has a head.
    """
    o = dict(settings)
    name, parameters = o.pop("name", "adam"), _groups(moving, o.pop("head_lr", None), phase)
    found: torch.optim.Optimizer
    if name == "sgd":
        o.pop("betas", None)
        found = torch.optim.SGD(parameters, **o)
    else:
        o.pop("momentum", None)
        kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
        found = kind(parameters, fused=True, capturable=False, **o)
    for group in found.param_groups:
        group["initial_lr"] = group["lr"]
    return found


def _groups(moving: Sequence[nn.Module], head_lr: float | None, phase: str) -> list[Any]:
    """The parameters, those of heads with a rate of their own where there is one."""
    parameters = [p for module in moving for p in module.parameters()]
    if head_lr is None:
        return parameters
    heads = [
        p
        for module in moving
        if isinstance(head := getattr(module, "head", None), nn.Module)
        for p in head.parameters()
    ]
    if not heads:
        raise CycadaError(
            f"optimizer.head_lr: no network of the phase '{phase}' has a head of its own. Take it out."
        )
    in_heads = {id(p) for p in heads}
    return [{"params": [p for p in parameters if id(p) not in in_heads]}, {"params": heads, "lr": head_lr}]
