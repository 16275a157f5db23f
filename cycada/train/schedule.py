"""Learning-rate schedules over a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Schedule:
    """Factor in [0, 1] on the learning rate at each step of a stage.

    `constant` is 1. `linear` is 1, then falls in equal steps towards 0, which would be reached after the last
    step; with `after: 0.5` this is CycleGAN's schedule of 100 + 100 epochs. `cosine` is 1, then half a cosine
    to 0. `poly` is `linear` to the power of 0.9 (Chen et al. 2018, DeepLab, section 4.1; there with `after:
    0`).

    Attributes:
        name: The shape.
        after: Fraction of the stage in [0, 1] before the factor begins to fall.
        warmup: Number of first steps over which the factor also rises linearly.
    """

    name: Literal["constant", "linear", "cosine", "poly"] = "linear"
    after: float = 0.5
    warmup: int = 0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at step `step`, from 0, of `total`."""
        start = self.after * total
        share = min(1.0, max(0.0, (step - start) / max(1.0, total - start)))
        factor = 1.0
        if self.name == "linear":
            factor = 1 - share
        elif self.name == "poly":
            factor = (1 - share) ** 0.9
        elif self.name == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * share))
        return factor * min(1.0, (step + 1) / self.warmup) if self.warmup else factor


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of each parameter group to its `initial_lr` times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
