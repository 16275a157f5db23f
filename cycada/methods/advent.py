"""ADVENT: a discriminator cannot tell how unsure f_t is on target images from how unsure it is on source ones (Vu et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.core.bounds import Share
from cycada.losses.entropy import self_information
from cycada.methods.adda import FEATURE_DISCRIMINATOR, DomainDiscriminatorTensors
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import Options, kept_detached


@dataclass(frozen=True)
class AdventOptions(Options):
    """critic_input: -p log p / log K of every class, ADVENT's weighted self-information, or its probability p, with which this

    is AdaptSegNet on one level (Tsai et al. 2018, eq. 1 to 4). The paper divides by no log K; its release does, and so the
    classes sum to an entropy in [0, 1]. gate: as for adda; null in both papers.
    """

    critic_input: Literal["self_information", "probabilities"] = "self_information"
    gate: Share | None = None


class AdventTensors(SourceTensors, DomainDiscriminatorTensors):
    """f_t answers once for each domain: what it is judged on is what the discriminator learns from."""

    @kept_detached
    def f_t_logits_real_s(self) -> Tensor:
        return self.output_real_s.logits

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        return self.nets.f_t(self.real_t).logits

    def _certainty(self, logits: Tensor) -> Tensor:
        """(N, K, ...) -> the same, in float32 whatever the precision of f_t."""
        logits = logits.float()
        if self.options.critic_input == "probabilities":
            return logits.softmax(1)
        return self_information(logits) / math.log(logits.shape[1])

    @kept_detached
    def discriminator_input_source(self) -> Tensor:
        return self._certainty(self.f_t_logits_real_s)

    @kept_detached
    def discriminator_input_target(self) -> Tensor:
        return self._certainty(self.f_t_logits_real_t)


ADAM_CRITIC = {"name": "adam", "lr": 1e-4, "betas": (0.9, 0.99)}
"""The release's, for discriminators."""

methods.add(
    "advent",
    Method(
        AdventTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_source": 1.0, "feature_gan": 0.001}),
            replace(FEATURE_DISCRIMINATOR, optimizer=ADAM_CRITIC),
        ),
        "ADVENT",
        "adversarial entropy minimisation, by its map of every class, without translation (Vu et al. 2019, section 3.2)",
        options=AdventOptions,
    ),
)
