"""Means of scalars over the steps between two reports, read from the device only for a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.train.device import Device


class Diverged(CycadaError):  # noqa: N818 (it says what has happened)
    """A loss, a gradient, a weight or a prediction is no longer a meaningful number."""


LOST = 1e12
"""A mean loss of this absolute value has diverged, though it is finite: no training recovers from there."""
OUTWEIGHS = 1e6
"""How many times heavier than any other a term must be to be blamed for a failure elsewhere."""


@dataclass
class _Group:
    """Values of all steps that reported the same names.

    Attributes:
        total: (n,) sums over the steps.
        first_bad: (n,) first step at which each value was not finite; infinity for none.
        last: (n,) last finite values.
        count: Number of steps.
    """

    total: Tensor
    first_bad: Tensor
    last: Tensor
    count: int


class Meter:
    """Running means of the scalars that training steps report.

    Args:
        weights: Weights of the losses, to name one that was too heavy.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = weights or {}
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add the scalars of a step by their names, without waiting for the device."""
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
        """Return what was added since the last means, so that resuming is exact to the last bit."""
        return [
            [list(names), group.total, group.first_bad, group.last, group.count]
            for names, group in self._groups.items()
        ]

    def load_state(self, state: list[Any], device: Device) -> None:
        """Resume from what `state` returned.

        Raises:
            CycadaError: It is of another form.
        """
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
        """Return the mean of each value over the steps since the last call, and over all processes.

        Args:
            device: Which processes there are.
            keep: Whether the same steps count in the next means too.

        Raises:
            Diverged: A value is not finite, or a loss beyond `LOST`; the message names the first such value.
        """
        totals: dict[str, float] = {}
        counts: dict[str, int] = {}
        worst: tuple[float, str, float] | None = None
        for names, group in self._groups.items():
            total, first_bad = device.average(group.total).tolist(), group.first_bad.tolist()
            for name, value, step in zip(names, total, first_bad, strict=True):
                totals[name] = totals.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + group.count
                mean, limit = value / group.count, LOST if name.startswith("loss/") else math.inf
                # `not <` also holds for NaN.
                if not abs(mean) < limit and (worst is None or step < worst[0]):
                    worst = (step, name, mean)
        heavy = self._heaviest() if worst else ""
        if not keep:
            self._groups = {}
        if worst:
            step, name, mean = worst
            heavy = heavy or "Lower the learning rate or that term's weight, or use precision: fp32."
            when = f"Step {int(step) + 1}" if math.isfinite(step) else "Another process"
            kind, _, term = name.partition("/")
            problem = (
                f"has diverged: it came to {mean:.3g}"
                if math.isfinite(mean)
                else "is no longer a finite number"
            )
            raise Diverged(
                f"{when}: '{term}' ({kind}) {problem}. Nothing after the last checkpoint was kept. {heavy}"
            )
        return {name: total / counts[name] for name, total in totals.items()}

    def _heaviest(self) -> str:
        """Return a sentence that blames the loss whose weight far outweighed all others, or '' for none.

        Its gradient drove the weights to where a value broke. Each loss counts with its weight times its
        absolute value, which counts as 1 at most: a larger value is a consequence of the failure, not its
            cause.
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
        return (
            f"The cause is '{term}': its weight of {self.weights[term]:g} is far above all others. "
            f"Lower losses.{term}."
        )
