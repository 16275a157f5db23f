"""Term of an objective: a registered loss with its weight over time and its options."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.core.registry import Registry, check_options, needs, option_defaults
from cycada.core.types import full_precision

Loss = Callable[..., Tensor]
losses: Registry[Loss] = Registry("loss")
"""The losses by name. A loss is a pure function of tensors and never sees a network."""


@dataclass(frozen=True)
class Ramp:
    """Factor of a term's weight that changes over the steps of a stage.

    Attributes:
        name: The form of the ramp. `constant`: 1. `linear`: step / steps up to the step `steps`, then 1.
            `fall`: 1 - step / steps up to the step `steps`, then 0; the loss is still computed and logged.
            `dann`: 2 / (1 + exp(-gamma p)) - 1, where p in [0, 1] is the stage's progress (Ganin et al. 2016,
            section 5.2.2).
        steps: The step at which `linear` and `fall` end.
        gamma: The steepness of `dann`.
    """

    name: Literal["constant", "linear", "fall", "dann"] = "constant"
    steps: int = 0
    gamma: float = 10.0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at a step of a stage that has `total` steps."""
        if self.name == "linear":
            return min(1.0, step / max(1, self.steps))
        if self.name == "fall":
            return max(0.0, 1.0 - step / max(1, self.steps))
        if self.name == "dann":
            return 2.0 / (1.0 + math.exp(-self.gamma * step / max(1, total))) - 1.0
        return 1.0


@dataclass(frozen=True)
class Term:
    """One summand of a phase's objective: a loss, its weight, the weight's ramp and the loss's options.

    Attributes:
        name: The name of a registered loss.
        weight: The factor of the loss.
        ramp: A factor of the weight that changes over the stage.
        options: Values of the loss's keyword-only parameters.
        where: The path in the config, for error messages.

    Raises:
        CycadaError: When a term is made: the loss or an option is unknown, or an option has a wrong type.
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
        """The registered loss."""
        return losses[self.name]

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The names of the tensors that the loss is a function of."""
        return needs(self.loss)

    def accepts(self, option: str) -> bool:
        """Tell whether the loss has an option of this name."""
        return option in option_defaults(self.loss)

    def weight_at(self, step: int, total: int) -> float:
        """Return the weight at a step of a stage that has `total` steps."""
        return self.weight * self.ramp(step, total)

    def __call__(self, tensors: object) -> Tensor:
        """Return the unweighted loss, computed in float32 whatever the precision of the networks.

        Args:
            tensors: An object whose attributes are the tensors of the step (StepTensors).

        Returns:
            A scalar.

        Raises:
            CycadaError: The loss returned something else, since the sum of several values would hide a
                factor; or it changed a tensor, which other losses see, too.
        """
        arguments = [getattr(tensors, name) for name in self.needs]
        versions = [t._version for t in arguments]
        with full_precision(arguments[0]):
            value = self.loss(*(t.float() if t.is_floating_point() else t for t in arguments), **self.options)
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            found = f"{value.dtype} of shape {[*value.shape]}" if isinstance(value, Tensor) else repr(value)
            raise CycadaError(
                f"{self.where}.{self.name}: the loss returned {found}, expected one floating-point number, a "
                "tensor without dimensions, such as a mean."
            )
        if changed := [n for n, t, v in zip(self.needs, arguments, versions, strict=True) if t._version != v]:
            raise CycadaError(
                f"{self.where}.{self.name}: the loss changed {', '.join(changed)} in place, which other "
                "losses see, too. Expected one that changes nothing: write x * 2 in place of x.mul_(2)."
            )
        return value
