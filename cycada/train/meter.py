"""Means of scalars over the steps between two reports, read from the device only when they are reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cycada.errors import CycadaError
from cycada.train.device import Device


class Diverged(CycadaError):
    """A loss is no longer a finite number."""

    exit_code = 3


@dataclass
class _Group:
    """The values of the steps that had the same names. first_bad: the first step at which each was not finite."""

    total: Tensor
    first_bad: Tensor
    count: int


class Meter:
    """Add every step's scalars; `means` answers and starts anew."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        row = torch.stack([value.float() for value in values.values()])
        bad = torch.where(row.isfinite(), math.inf, float(step))
        group = self._groups.get(tuple(values))
        if group is None:
            self._groups[tuple(values)] = _Group(row, bad, 1)
        else:
            group.total, group.first_bad, group.count = group.total + row, torch.minimum(group.first_bad, bad), group.count + 1

    def means(self, device: Device) -> dict[str, float]:
        """Over all steps and processes. Raises Diverged that names the value that was the first to be no number."""
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        worst: tuple[float, str] | None = None
        for names, group in self._groups.items():
            total, first_bad = device.average(group.total).tolist(), group.first_bad.tolist()
            for name, value, step in zip(names, total, first_bad, strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + group.count
                if not math.isfinite(value) and (worst is None or step < worst[0]):
                    worst = (step, name)
        self._groups = {}
        if worst:
            step, name = worst
            when = f"Step {int(step) + 1}" if math.isfinite(step) else "Another process"
            raise Diverged(
                f"{when}: '{name.split('/', 1)[1]}' ({name.split('/', 1)[0]}) is no longer a finite number. Nothing after the last "
                f"checkpoint was kept. Lower the learning rate or that term's weight, or use precision: fp32."
            )
        return {name: total / counts[name] for name, total in totals.items()}
