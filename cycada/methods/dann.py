"""DANN (domain-adversarial neural network): feature alignment by gradient reversal (Ganin et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import torch
from torch import Tensor

from cycada.core.types import Output
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.label_propagation import SETTLING_IMAGES, expected_shares
from cycada.methods.roles import CLASS_SHARES, Networks
from cycada.methods.source_only import BothDomainsTensors
from cycada.methods.step_tensors import Options
from cycada.networks import reverse_gradient


@dataclass(frozen=True)
class DannOptions(Options):
    """Options of DANN.

    Attributes:
        critic_input: What D_feat sees of the task network: `features`, `scores` (logits), or `product`,
            CDAN's product of features and class probabilities.
    """

    critic_input: Literal["features", "scores", "product"] = "features"


class DannTensors(BothDomainsTensors[DannOptions]):
    """Tensors of DANN: f_t's outputs on both domains, and D_feat's logits behind the gradient reversal.

    The paper seeks a saddle point of E = L_y - lambda (L_d of the source + L_d of the target) (eq. 9): f_t
    minimises E and D_feat maximises it, that is, D_feat minimises L_d. In section 5.2.2 the weight of L_d for
    D_feat stays 1 while lambda rises from 0; the paper's code therefore puts lambda into the reversal. Here
    lambda is the weight of the whole term, so that under the ramp D_feat's own gradient starts at 0, too.
    Adam divides the size of a gradient out again, so that with Adam the difference is small.

    Batch norm normalises each domain's batch by itself, as in the paper's code, and keeps running statistics
    of both domains together, with which f_t is scored. A stage `adabn` after this one replaces them by the
    target's.
    """

    needs_image_labels = frozenset({"importance_weights"})

    def _discriminator_input(self, output: Output) -> Tensor:
        """Return what D_feat sees of f_t's output, (N, D) or (N, K) or (N, D K).

        For `product` it is the flattened outer product of features and class probabilities (CDAN, Long et al.
        2018, eq. 6); no gradient goes through the probabilities.
        """
        if self.options.critic_input == "product":
            return (output.features.unsqueeze(2) * output.logits.detach().softmax(1).unsqueeze(1)).flatten(1)
        return output.features if self.options.critic_input == "features" else output.logits

    def _reversed_domain_logits(self, output: Output) -> Tensor:
        return self.nets.d_feat(reverse_gradient(self._discriminator_input(output)))

    @cached_property
    def domain_logits_reversed_source(self) -> Tensor:
        """D_feat's logits of source images behind the gradient reversal, (N, 2); class 1 is the source."""
        return self._reversed_domain_logits(self.output_real_s)

    @cached_property
    def domain_logits_reversed_target(self) -> Tensor:
        """D_feat's logits of target images behind the gradient reversal, (N, 2); class 1 is the source."""
        return self._reversed_domain_logits(self.output_real_t)

    @cached_property
    def importance_weights(self) -> Tensor:
        """How many times as frequent each source image's class is expected to be in the target, (N,)."""
        return self.nets.pool_shares.importance_weights(self.label_s)

    @classmethod
    def before_first_step(
        cls, nets: Networks, options: DannOptions, tensors_of: Callable[[int], Self]
    ) -> None:
        """Settle how frequent the classes are in the target, if a loss weights the source's images by it.

        The classifier with which the stage begins decides.

        Args:
            nets: The networks of the stage.
            options: The stage's options.
            tensors_of: Function from a number to the tensors of that batch.
        """
        if CLASS_SHARES not in nets:
            return
        predictions: list[Tensor] = []
        nets.f_t.eval()
        while not predictions or sum(map(len, predictions)) < SETTLING_IMAGES:
            tensors = tensors_of(len(predictions))
            predictions.append(tensors.output_real_t.logits.softmax(1))
        nets.f_t.train()
        nets.pool_shares.target.copy_(tensors.average(expected_shares(torch.cat(predictions))))


TERMS = {
    "task_source": 1.0,
    "domain_adversarial": 1.0,
    "weighted_task_source": 0.0,
    "weighted_domain_adversarial": 0.0,
}
"""Losses of the one phase, with their default weights."""

methods.add(
    "dann",
    Method(
        DannTensors,
        (PhaseSpec("task", ("f_t", "d_feat"), TERMS),),
        "DANN",
        "align features by gradient reversal",
        details="Nothing is translated (Ganin et al. 2016, eq. 9).",
        options=DannOptions,
    ),
)
