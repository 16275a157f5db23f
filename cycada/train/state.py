"""Whether a stored state is one that a training can go on from: a digest says that bytes are whole, not that they are the right ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cycada.core.errors import CycadaError


def check_state(state: Mapping[str, Any], own: Mapping[str, Any], steps: int, processes: int) -> None:
    """state: what was stored. own: what the training says of itself before it takes it. steps: of the whole stage.

    Raises CycadaError that says what is missing, of another shape, or no number.
    """
    step, seconds = state.get("step"), state.get("seconds", 0.0)
    if type(step) is not int or not 0 < step <= steps:
        raise CycadaError(f"its step is {step!r}, expected one from 1 to {steps}")
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise CycadaError(f"it says that it took {seconds!r} seconds")
    for name in ("nets", "ema"):
        _alike(state.get(name), own[name], name)
    pools = state.get("pools")
    if not isinstance(pools, list) or len(pools) != processes:
        raise CycadaError(f"its pools are not those of {processes} processes")
    for pool in pools:
        _alike(pool, own["pools"][0] if own["pools"] else pool, "pools")
    optimizers = state.get("optimizers")
    _same_keys(optimizers, own["optimizers"], "optimizers")
    for phase, stored in optimizers.items():  # type: ignore[union-attr]
        _of_optimizer(stored, own["optimizers"][phase], f"optimizers.{phase}")
    meter = state.get("meter", [])
    if not isinstance(meter, list):
        raise CycadaError("its running means are no list")


def _same_keys(found: Any, expected: Mapping[Any, Any], where: str) -> None:
    if not isinstance(found, Mapping):
        raise CycadaError(
            f"it has no {where}" if found is None else f"its {where} are a {type(found).__name__}"
        )
    if set(found) != set(expected):
        missing, more = (
            sorted(map(str, set(expected) - set(found))),
            sorted(map(str, set(found) - set(expected))),
        )
        words = [f"lacks {', '.join(missing[:3])}"] * bool(missing) + [f"has {', '.join(more[:3])}"] * bool(
            more
        )
        raise CycadaError(f"{where}: it {' and '.join(words)}, unlike this stage")


def _alike(found: Any, expected: Any, where: str) -> None:
    """The same names, shapes and types of tensors, all of them numbers."""
    if isinstance(expected, Mapping):
        _same_keys(found, expected, where)
        for key, value in expected.items():
            _alike(found[key], value, f"{where}.{key}")
    elif isinstance(expected, Tensor):
        if not isinstance(found, Tensor) or found.shape != expected.shape or found.dtype != expected.dtype:
            said = (
                f"{tuple(found.shape)} {found.dtype}"
                if isinstance(found, Tensor)
                else f"a {type(found).__name__}"
            )
            raise CycadaError(f"{where}: it is {said}, expected {tuple(expected.shape)} {expected.dtype}")
        _numbers(found, where)


def _numbers(value: Tensor, where: str) -> None:
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise CycadaError(f"{where}: it holds values that are no numbers")


def _of_optimizer(found: Any, expected: Mapping[str, Any], where: str) -> None:
    """Groups with the same settings but for the rate, which changes, over as many parameters; and of these, numbers of their shape.

    `expected` is of a fresh one, which has nothing to say of its parameters yet.
    """
    _same_keys(found, dict.fromkeys(("state", "param_groups")), where)
    groups, state = found["param_groups"], found["state"]
    if (
        not isinstance(groups, list)
        or len(groups) != len(expected["param_groups"])
        or not isinstance(state, Mapping)
    ):
        raise CycadaError(f"{where}: it has other groups of parameters than this stage")
    for group, own in zip(groups, expected["param_groups"], strict=True):
        _same_keys(group, own, f"{where}.param_groups")
        if other := [
            key
            for key in own
            if key != "lr" and group[key] != own[key] and list(_plain(group[key])) != list(_plain(own[key]))
        ]:
            raise CycadaError(
                f"{where}.{other[0]}: it is {str(group[other[0]])[:60]}, expected {str(own[other[0]])[:60]}"
            )
    count = sum(len(group["params"]) for group in expected["param_groups"])
    for index, values in state.items():
        if type(index) is not int or not 0 <= index < count or not isinstance(values, Mapping):
            raise CycadaError(f"{where}: it knows a parameter that this stage has not")
        for name, value in values.items():
            if isinstance(value, Tensor):
                _numbers(value, f"{where}.{index}.{name}")


def _plain(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
