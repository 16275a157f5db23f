"""Check that a training can be resumed from a stored state.

A checkpoint's hash only shows that its bytes are undamaged, not that they belong to this training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cycada.core.errors import CycadaError


def check_state(state: Mapping[str, Any], own: Mapping[str, Any], steps: int, processes: int) -> None:
    """Check that a stored state has the networks, optimizers and step of a training.

    Args:
        state: The stored state.
        own: The training's own state before it is resumed.
        steps: Number of steps of the whole stage.
        processes: Number of processes.

    Raises:
        CycadaError: Something is missing, has another shape, or is not a finite number.
    """
    step, seconds = state.get("step"), state.get("seconds", 0.0)
    if type(step) is not int or not 0 < step <= steps:
        raise CycadaError(f"its step is {step!r}, expected one from 1 to {steps}")
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise CycadaError(f"it says that it took {seconds!r} seconds")
    for name in ("nets", "ema"):
        _check_tensors(state.get(name), own[name], name)
    pools = state.get("pools")
    if not isinstance(pools, list) or len(pools) != processes:
        raise CycadaError(f"its pools are not those of {processes} processes")
    for pool in pools:
        _check_tensors(pool, own["pools"][0] if own["pools"] else pool, "pools")
    optimizers: Any = state.get("optimizers")
    _check_keys(optimizers, own["optimizers"], "optimizers")
    for phase, expected in own["optimizers"].items():
        _check_optimizer(optimizers[phase], expected, f"optimizers.{phase}")
    meter = state.get("meter", [])
    if not isinstance(meter, list):
        raise CycadaError("its running means are no list")


def _check_keys(stored: Any, expected: Mapping[Any, Any], where: str) -> None:
    """Check that a stored mapping has the expected keys."""
    if not isinstance(stored, Mapping):
        raise CycadaError(
            f"it has no {where}" if stored is None else f"its {where} are a {type(stored).__name__}"
        )
    if set(stored) != set(expected):
        missing, more = (
            sorted(map(str, set(expected) - set(stored))),
            sorted(map(str, set(stored) - set(expected))),
        )
        words = [f"lacks {', '.join(missing[:3])}"] * bool(missing) + [f"has {', '.join(more[:3])}"] * bool(
            more
        )
        raise CycadaError(f"{where}: it {' and '.join(words)}, unlike this stage")


def _check_tensors(stored: Any, expected: Any, where: str) -> None:
    """Check that stored tensors have the expected names, shapes and types, and are finite."""
    if isinstance(expected, Mapping):
        _check_keys(stored, expected, where)
        for key, value in expected.items():
            _check_tensors(stored[key], value, f"{where}.{key}")
    elif isinstance(expected, Tensor):
        if not isinstance(stored, Tensor) or stored.shape != expected.shape or stored.dtype != expected.dtype:
            kind = (
                f"{tuple(stored.shape)} {stored.dtype}"
                if isinstance(stored, Tensor)
                else f"a {type(stored).__name__}"
            )
            raise CycadaError(f"{where}: it is {kind}, expected {tuple(expected.shape)} {expected.dtype}")
        _check_finite(stored, where)


def _check_finite(value: Tensor, where: str) -> None:
    """Check that a tensor is finite."""
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise CycadaError(f"{where}: it holds values that are no numbers")


def _check_optimizer(stored: Any, expected: Mapping[str, Any], where: str) -> None:
    """Check that a stored optimizer has the expected settings and number of parameters, and finite values.

    The learning rate may differ, since it changes. `expected` is the state of a new optimizer, which holds
    nothing about its parameters yet.
    """
    _check_keys(stored, dict.fromkeys(("state", "param_groups")), where)
    groups, state = stored["param_groups"], stored["state"]
    if (
        not isinstance(groups, list)
        or len(groups) != len(expected["param_groups"])
        or not isinstance(state, Mapping)
    ):
        raise CycadaError(f"{where}: it has other groups of parameters than this stage")
    for group, own in zip(groups, expected["param_groups"], strict=True):
        _check_keys(group, own, f"{where}.param_groups")
        if changed := [
            key
            for key in own
            if key != "lr" and group[key] != own[key] and _as_tuple(group[key]) != _as_tuple(own[key])
        ]:
            key = changed[0]
            raise CycadaError(f"{where}.{key}: it is {str(group[key])[:60]}, expected {str(own[key])[:60]}")
    count = sum(len(group["params"]) for group in expected["param_groups"])
    for index, values in state.items():
        if type(index) is not int or not 0 <= index < count or not isinstance(values, Mapping):
            raise CycadaError(f"{where}: it knows a parameter that this stage has not")
        for name, value in values.items():
            if isinstance(value, Tensor):
                _check_finite(value, f"{where}.{index}.{name}")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """Return a list or tuple as a tuple, and any other value as a tuple of it alone."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
