"""A term: a registered loss, its weight over time and its options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

from cycada.core.registry import Registry, check_options, needs, option_defaults
from cycada.core.types import full_precision

Loss = Callable[..., Tensor]
losses: Registry[Loss] = Registry("loss")
"""name -> pure function of tensors. It never sees a network."""


@dataclass(frozen=True)
class Ramp:
    """How a weight changes over a stage.

    constant: 1. linear: step / steps up to `steps`, then 1. fall: 1 - step / steps up to `steps`, then 0 (the loss is still computed
    and logged). dann: 2 / (1 + exp(-gamma p)) - 1 with the progress p in [0, 1] of the stage (Ganin et al. 2016, section 5.2.2).
    """

    name: Literal["constant", "linear", "fall", "dann"] = "constant"
    steps: int = 0
    gamma: float = 10.0

    def __call__(self, step: int, total: int) -> float:
        if self.name == "linear":
            return min(1.0, step / max(1, self.steps))
        if self.name == "fall":
            return max(0.0, 1.0 - step / max(1, self.steps))
        if self.name == "dann":
            return 2.0 / (1.0 + math.exp(-self.gamma * step / max(1, total))) - 1.0
        return 1.0


@dataclass(frozen=True)
class Term:
    """One summand of a phase's objective. `where` is the path in the config, for messages.

    Raises CycadaError when built: unknown loss, unknown option, option of a wrong type.
    """

    name: str
    weight: float = 1.0
    ramp: Ramp = Ramp()
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = "losses"

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "options", check_options(self.loss, self.options, f"{self.where}.{self.name}")
        )

    @cached_property
    def loss(self) -> Loss:
        return losses[self.name]

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The names of the tensors that the loss asks the views for."""
        return needs(self.loss)

    def accepts(self, option: str) -> bool:
        return option in option_defaults(self.loss)

    def weight_at(self, step: int, total: int) -> float:
        return self.weight * self.ramp(step, total)

    def __call__(self, views: object) -> Tensor:
        """The loss, unweighted: a scalar in float32 whatever the precision of the networks."""
        tensors = [getattr(views, name) for name in self.needs]
        with full_precision(tensors[0]):
            return self.loss(*(t.float() if t.is_floating_point() else t for t in tensors), **self.options)
