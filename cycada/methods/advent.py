"""ADVENT (adversarial entropy minimisation): the entropy maps of both domains become alike (Vu et al. 2019).

A discriminator sees the self-information of every class at every pixel. f_t learns predictions on target
images whose maps it cannot tell from those on source images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.core.bounds import Share
from cycada.losses.entropy import self_information
from cycada.methods.adda import FEATURE_DISCRIMINATOR, DomainDiscriminatorOptions, DomainDiscriminatorTensors
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import kept_detached


@dataclass(frozen=True)
class AdventOptions(DomainDiscriminatorOptions):
    """Options of ADVENT.

    Attributes:
        critic_input: What the discriminator sees of every class. `self_information`: -p log p / log K,
            ADVENT's weighted self-information; the division by log K, which makes the classes sum to an
            entropy in [0, 1], is in the authors' code and not in the paper. `probabilities`: p, which makes
            the method AdaptSegNet on one level (Tsai et al. 2018, eq. 1 to 4).
        gate: As for adda; None in both papers.
    """

    critic_input: Literal["self_information", "probabilities"] = "self_information"
    gate: Share | None = None


class AdventTensors(SourceTensors[AdventOptions], DomainDiscriminatorTensors[AdventOptions]):
    """Tensors of ADVENT; f_t runs once on each domain.

    D_feat learns from the very predictions on which f_t was trained against it.
    """

    @kept_detached
    def f_t_logits_real_s(self) -> Tensor:
        """f_t's logits of source images, (N, K, ...)."""
        return self.output_real_s.logits

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        """f_t's logits of target images, (N, K, ...)."""
        return self.nets.f_t(self.real_t).logits

    def _discriminator_map(self, logits: Tensor) -> Tensor:
        """Return what D_feat sees of logits (N, K, ...): the same shape, always in float32."""
        logits = logits.float()
        if self.options.critic_input == "probabilities":
            return logits.softmax(1)
        return self_information(logits) / math.log(logits.shape[1])

    @kept_detached
    def discriminator_input_source(self) -> Tensor:
        """Self-information or probabilities of source images, (N, K, ...)."""
        return self._discriminator_map(self.f_t_logits_real_s)

    @kept_detached
    def discriminator_input_target(self) -> Tensor:
        """Self-information or probabilities of target images, (N, K, ...)."""
        return self._discriminator_map(self.f_t_logits_real_t)


ADAM_CRITIC = {"name": "adam", "lr": 1e-4, "betas": (0.9, 0.99)}
"""Optimizer of the discriminators in the authors' code."""

methods.add(
    "advent",
    Method(
        AdventTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_source": 1.0, "feature_gan": 0.001}),
            replace(FEATURE_DISCRIMINATOR, optimizer=ADAM_CRITIC),
        ),
        "ADVENT",
        "align the entropy maps of both domains by a discriminator",
        details="There is a map for every class; nothing is translated (Vu et al. 2019, section 3.2).",
        options=AdventOptions,
    ),
)
