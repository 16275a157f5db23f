"""Means of scalars over the steps between two reports, read from the device only when they are reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.train.device import Device


class Diverged(CycadaError):
    """A loss, a gradient, a weight or an answer is no longer a number that means something."""


LOST = 1e12
"""A mean loss beyond this, above or below 0, has diverged, though it still is a finite number: no training comes back from there."""
OUTWEIGHS = 1e6
"""How many times heavier than every other a term is that is blamed for what broke elsewhere."""


@dataclass
class _Group:
    """The values of the steps that had the same names. first_bad: the first step at which each was not finite. last: each

    as it was last, while it was finite.
    """

    total: Tensor
    first_bad: Tensor
    last: Tensor
    count: int


class Meter:
    """Add every step's scalars; `means` answers and starts anew. weights: of the terms, to say which one was too heavy."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = weights or {}
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        row = torch.stack([value.float() for value in values.values()])
        bad = torch.where(row.abs() < LOST, math.inf, float(step))
        group = self._groups.get(tuple(values))
        if group is None:
            self._groups[tuple(values)] = _Group(row, bad, row, 1)
        else:
            group.total, group.first_bad, group.count = (
                group.total + row,
                torch.minimum(group.first_bad, bad),
                group.count + 1,
            )
            group.last = torch.where(row.isfinite(), row, group.last)

    def state(self) -> list[Any]:
        """What was added since the last means, to go on from bit for bit."""
        return [
            [list(names), group.total, group.first_bad, group.last, group.count]
            for names, group in self._groups.items()
        ]

    def load_state(self, state: list[Any], device: Device) -> None:
        """Raises CycadaError where it is none."""
        try:
            place = device.torch_device
            self._groups = {
                tuple(names): _Group(total.to(place), bad.to(place), last.to(place), int(count))
                for names, total, bad, last, count in state
            }
            sound = all(
                len(g.total) == len(g.first_bad) == len(g.last) == len(n) and g.count > 0
                for n, g in self._groups.items()
            )
        except (AttributeError, TypeError, ValueError):
            sound = False
        if not sound:
            raise CycadaError("its running means are not what a stage keeps")

    def means(self, device: Device, keep: bool = False) -> dict[str, float]:
        """Over all steps and processes. keep: they count in the next means too.

        Raises Diverged that names the value that was the first to be no number, or no loss of a training that learns.
        """
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        worst: tuple[float, str, float] | None = None
        for names, group in self._groups.items():
            total, first_bad = device.average(group.total).tolist(), group.first_bad.tolist()
            for name, value, step in zip(names, total, first_bad, strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + group.count
                mean, most = value / group.count, LOST if name.startswith("loss/") else math.inf
                if not abs(mean) < most and (worst is None or step < worst[0]):  # NaN is below nothing
                    worst = (step, name, mean)
        heavy = self._heaviest() if worst else ""
        if not keep:
            self._groups = {}
        if worst:
            step, name, mean = worst
            heavy = heavy or "Lower the learning rate or that term's weight, or use precision: fp32."
            when = f"Step {int(step) + 1}" if math.isfinite(step) else "Another process"
            kind, _, term = name.partition("/")
            what = (
                f"has diverged: it came to {mean:.3g}"
                if math.isfinite(mean)
                else "is no longer a finite number"
            )
            raise Diverged(
                f"{when}: '{term}' ({kind}) {what}. Nothing after the last checkpoint was kept. {heavy}"
            )
        return {name: total / counts[name] for name, total in totals.items()}

    def _heaviest(self) -> str:
        """The term whose weight outweighed all others before a value broke: its gradient moved the weights there. '' where none did.

        A loss counts for 1 at most: it is large because something broke, and its weight is not to blame for that.
        """
        pulls: dict[str, float] = {}
        for names, group in self._groups.items():
            for name, value in zip(names, group.last.tolist(), strict=True):
                kind, _, term = name.partition("/")
                if kind == "loss" and term in self.weights and math.isfinite(value):
                    pulls[term] = self.weights[term] * min(abs(value), 1.0)
        term = max(pulls, key=pulls.__getitem__, default="")
        if not term or pulls[term] <= OUTWEIGHS * max(
            (pull for other, pull in pulls.items() if other != term), default=1.0
        ):
            return ""
        return f"The cause is '{term}': its weight of {self.weights[term]:g} is far above all others. Lower losses.{term}."
