"""ADDA (adversarial discriminative domain adaptation): a target network against a frozen source network.

f_t learns features of target images that a domain discriminator cannot tell from the frozen f_s's features of
source images (Tzeng et al. 2017, eq. 7 and 9).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import TypeVar

from cycada.core.bounds import Share
from cycada.core.types import Output
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class DomainDiscriminatorOptions(Options):
    """Options of methods with a domain discriminator.

    Attributes:
        critic_input: What the discriminator sees; subclasses say what there is to choose from.
        gate: f_t's adversarial loss counts only in steps in which the discriminator's accuracy on the batch
            is above this; None: always. It is 0.6 in the authors' code, where training ends after an epoch
            below it; here the loss only pauses.
    """

    critic_input: str
    gate: Share | None = None


DiscriminatorOptionsT = TypeVar("DiscriminatorOptionsT", bound=DomainDiscriminatorOptions)


@dataclass(frozen=True)
class AddaOptions(DomainDiscriminatorOptions):
    """Options of ADDA.

    Attributes:
        critic_input: What the discriminator sees: the features or, as in the authors' code, the class scores
            (logits).
    """

    critic_input: Literal["features", "scores"] = "scores"


class DomainDiscriminatorTensors(StepTensors[DiscriminatorOptionsT]):
    """Tensors of the game between f_t and D_feat; subclasses say which images f_s and f_t see.

    D_feat minimises -E log D(f_s(x_s)) - E log(1 - D(f_t(x_t))), and f_t minimises -E log D(f_t(x_t)) (Tzeng
    et al. 2017, eq. 7 and 9). f_s is frozen and in eval mode, while f_t trains with its dropout. So part of
    what D_feat tells apart is dropout. In the authors' code f_s is in train mode with dropout, too.
    """

    @cached_property
    @abstractmethod
    def output_source(self) -> Output:
        """Output of a task network on the source side; subclasses say which."""

    @cached_property
    @abstractmethod
    def output_target(self) -> Output:
        """Output of f_t on target images."""

    def _discriminator_input(self, output: Output) -> Tensor:
        return output.features if self.options.critic_input == "features" else output.logits

    @kept_detached
    def discriminator_input_source(self) -> Tensor:
        """What D_feat sees of the source side: features (N, D, ...) or logits (N, K, ...)."""
        return self._discriminator_input(self.output_source)

    @kept_detached
    def discriminator_input_target(self) -> Tensor:
        """What D_feat sees of target images: features (N, D, ...) or logits (N, K, ...)."""
        return self._discriminator_input(self.output_target)

    @cached_property
    def domain_logits_source(self) -> Tensor:
        """D_feat's logits of the source side, (N, 2, ...); class 1 is the source."""
        return self.nets.d_feat(self.discriminator_input_source)

    @cached_property
    def domain_logits_target(self) -> Tensor:
        """D_feat's logits of target images, (N, 2, ...); class 1 is the source."""
        return self.nets.d_feat(self.discriminator_input_target)

    @cached_property
    def feature_gate(self) -> Tensor:
        """1. while D_feat is accurate enough for `options.gate`, else 0.; the same in every process."""
        if self.options.gate is None:
            return torch.ones((), device=self.real_s.device)
        with torch.no_grad():
            accuracy_s = (self.domain_logits_source.argmax(1) == 1).float().mean()
            accuracy_t = (self.domain_logits_target.argmax(1) == 0).float().mean()
            return (self.average(0.5 * (accuracy_s + accuracy_t)) > self.options.gate).float()


class AddaTensors(SourceTensors[AddaOptions], DomainDiscriminatorTensors[AddaOptions]):
    """Tensors of ADDA: the frozen f_s on source images against f_t on target images."""

    @cached_property
    def output_source(self) -> Output:
        """f_s's output on source images."""
        return self.nets.f_s(self.real_s)

    @cached_property
    def output_target(self) -> Output:
        """f_t's output on target images."""
        return self.nets.f_t(self.real_t)


FEATURE_DISCRIMINATOR = PhaseSpec("feature_discriminator", ("d_feat",), {"discriminate_feature": 1.0})
"""Phase that trains D_feat."""

methods.add(
    "adda",
    Method(
        AddaTensors,
        (PhaseSpec("task", ("f_t",), {"feature_gan": 1.0, "task_source": 0.0}), FEATURE_DISCRIMINATOR),
        "ADDA",
        "align f_t's target features with a frozen f_s's features",
        details=(
            "The features of f_s are those of source images; nothing is translated (Tzeng et al. "
            "2017, eq. 7 and 9)."
        ),
        options=AddaOptions,
    ),
)
