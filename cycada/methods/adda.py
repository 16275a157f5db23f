"""ADDA: the target network learns features that a discriminator cannot tell from the frozen source network's
(Tzeng et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from cycada.core.bounds import Share
from cycada.core.types import Output
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class DomainDiscriminatorOptions(Options):
    """critic_input: the discriminator sees the features or, as in the release, the class scores.

    gate: f_t's adversarial loss counts only where the discriminator's accuracy on the batch is above this share (.6
    in the release, where training stops for good after an epoch below; here it only waits). null: always.
    """

    critic_input: Literal["features", "scores"] = "scores"
    gate: Share | None = None


class DomainDiscriminatorTensors(StepTensors):
    """The game between f_t and D_feat. Subclasses say what f_s and f_t look at.

    min over D of -E log D(f_s(x_s)) - E log(1 - D(f_t(x_t))), min over f_t of -E log D(f_t(x_t)) (Tzeng et al. 2017, eq. 7 and 9).
    f_s is frozen in eval mode, f_t trains with its dropout: part of what D tells apart is dropout, which is on f_t's side alone. In the
    release f_s is in train mode with dropout, too.
    """

    output_source: cached_property[Output]
    output_target: cached_property[Output]

    def _discriminator_input(self, output: Output) -> Tensor:
        return output.features if self.options.critic_input == "features" else output.logits

    @kept_detached
    def discriminator_input_source(self) -> Tensor:
        return self._discriminator_input(self.output_source)

    @kept_detached
    def discriminator_input_target(self) -> Tensor:
        return self._discriminator_input(self.output_target)

    @cached_property
    def domain_logits_source(self) -> Tensor:
        return self.nets.d_feat(self.discriminator_input_source)

    @cached_property
    def domain_logits_target(self) -> Tensor:
        return self.nets.d_feat(self.discriminator_input_target)

    @cached_property
    def feature_gate(self) -> Tensor:
        """0. or 1., alike in every process."""
        if self.options.gate is None:
            return torch.ones((), device=self.real_s.device)
        with torch.no_grad():
            right_s = (self.domain_logits_source.argmax(1) == 1).float().mean()
            right_t = (self.domain_logits_target.argmax(1) == 0).float().mean()
            return (self.average(0.5 * (right_s + right_t)) > self.options.gate).float()


class AddaTensors(SourceTensors, DomainDiscriminatorTensors):
    @cached_property
    def output_source(self) -> Output:  # type: ignore[override]
        return self.nets.f_s(self.real_s)

    @cached_property
    def output_target(self) -> Output:  # type: ignore[override]
        return self.nets.f_t(self.real_t)


FEATURE_DISCRIMINATOR = PhaseSpec("feature_discriminator", ("d_feat",), {"discriminate_feature": 1.0})

methods.add(
    "adda",
    Method(
        AddaTensors,
        (PhaseSpec("task", ("f_t",), {"feature_gan": 1.0, "task_source": 0.0}), FEATURE_DISCRIMINATOR),
        "ADDA",
        "f_t's target features against the frozen f_s's source features, without translation (Tzeng et al. 2017, eq. 7 and 9)",
        options=DomainDiscriminatorOptions,
    ),
)
