"""Learning rates over a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class Schedule:
    """The factor on the learning rate at step k of N (k from 0). `after` is the share of the stage that stays constant.

    constant: 1. linear: 1, then in equal steps towards 0, which would be reached at step N; `after: 0.5` is CycleGAN's
    100 + 100 epochs. cosine: 1, then half a cosine to 0. poly: as linear, to the power of 0.9 (Chen et al. 2018, DeepLab,
    section 4.1; with `after: 0`). warmup: first so many steps rise linearly.
    """

    name: Literal["constant", "linear", "cosine", "poly"] = "linear"
    after: float = 0.5
    warmup: int = 0

    def __call__(self, step: int, total: int) -> float:
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
    """Every group's rate becomes its `initial_lr` times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
