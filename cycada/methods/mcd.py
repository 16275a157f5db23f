"""MCD (maximum classifier discrepancy): two heads and an encoder play over target images (Saito et al. 2018).

Step A trains all on the labelled source. In step B the heads maximise their discrepancy on target images and
so find those off the source. In step C the encoder minimises it (section 3.3).
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.methods.alignment import AlignTensors
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.step_tensors import Options


class McdTensors(AlignTensors[Options]):
    """Tensors of MCD.

    head_t is a second head on f_t's features, of the same shape as f_t's own head, with its own first
    weights.
    """

    @cached_property
    def second_logits_real_s(self) -> Tensor:
        """The second head's logits of source images, (N, K)."""
        return self.nets.head_t(self.output_real_s.features)

    @cached_property
    def second_logits_real_t(self) -> Tensor:
        """The second head's logits of target images, (N, K)."""
        return self.nets.head_t(self.output_real_t.features)


SOURCE = {"task_source": 1.0, "task_source_second": 1.0}
"""Losses of both heads on the labelled source."""
ADAM_MCD = {"name": "adam", "lr": 2e-4, "betas": (0.9, 0.999), "weight_decay": 5e-4}
"""Optimizer of the authors' code for digits.

One optimizer serves all three steps. With running averages of its own, Adam would enlarge the small gradient
of step C until the encoder gives all target images one class, on which any two heads agree.
"""

methods.add(
    "mcd",
    Method(
        McdTensors,
        (
            PhaseSpec("source", ("f_t", "head_t"), SOURCE, ADAM_MCD),
            PhaseSpec(
                "heads",
                ("f_t.head", "head_t"),
                SOURCE | {"heads_disagree": 1.0},
                shares_optimizer_of="source",
            ),
            PhaseSpec(
                "encoder", ("f_t.encoder",), {"heads_agree": 1.0}, repeat=4, shares_optimizer_of="source"
            ),
        ),
        "MCD",
        "play two classifier heads against their encoder",
        details=(
            "They play over target images (Saito et al. 2018, steps A, B and C; C 4 times). The score is "
            "that of f_t's own head."
        ),
        options=Options,
    ),
)
