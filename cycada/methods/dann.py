"""DANN: domain-adversarial training through gradient reversal (Ganin et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.core.types import Output
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import Options
from cycada.networks import reverse_gradient


@dataclass(frozen=True)
class DannOptions(Options):
    """critic_input: what the domain discriminator sees of the task network; product is CDAN's features x probabilities."""

    critic_input: Literal["features", "scores", "product"] = "features"


class DannTensors(SourceTensors):
    """What f_t says of both domains, and what D_feat says of it behind the gradient reversal.

    The paper's saddle point (eq. 9) is of E = L_y - lambda (L_d of the source + L_d of the target): f_t
    minimises E, D_feat maximises it, that is, minimises L_d with a weight that section 5.2.2 leaves at 1
    while lambda rises from 0. The paper's code puts lambda into the reversal for that. Here lambda is the
    weight of the whole term, so that under the ramp D_feat's own gradient starts at 0, too. Adam takes the
    size of a gradient out again: with it the difference is small.

    Batch norm normalises each domain's batch by itself, as in the paper's code, and keeps running statistics
    of both together, by which f_t is scored. A stage `adabn` behind this one brings them to the target's.
    """

    @cached_property
    def output_real_t(self) -> Output:
        return self.nets.f_t(self.real_t)

    def _discriminator_input(self, output: Output) -> Tensor:
        """CDAN eq. 6 for product: the outer product of features and (constant) class probabilities, flattened."""
        if self.options.critic_input == "product":
            return (output.features.unsqueeze(2) * output.logits.detach().softmax(1).unsqueeze(1)).flatten(1)
        return output.features if self.options.critic_input == "features" else output.logits

    def _reversed_domain_logits(self, output: Output) -> Tensor:
        return self.nets.d_feat(reverse_gradient(self._discriminator_input(output)))

    @cached_property
    def domain_logits_reversed_source(self) -> Tensor:
        return self._reversed_domain_logits(self.output_real_s)

    @cached_property
    def domain_logits_reversed_target(self) -> Tensor:
        return self._reversed_domain_logits(self.output_real_t)


methods.add(
    "dann",
    Method(
        DannTensors,
        (PhaseSpec("task", ("f_t", "d_feat"), {"task_source": 1.0, "domain_adversarial": 1.0}),),
        "DANN",
        "feature alignment by gradient reversal, without translation (Ganin et al. 2016, eq. 9)",
        options=DannOptions,
    ),
)
