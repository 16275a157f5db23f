"""MCD: two heads look for target images off the source, the encoder takes them back (Saito et al. 2018)."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.methods.alignment import AlignTensors
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.step_tensors import Options


class McdTensors(AlignTensors):
    """head_t is a second head on f_t's features, of the same shape and with first weights of its own."""

    @cached_property
    def second_logits_real_s(self) -> Tensor:
        return self.nets.head_t(self.output_real_s.features)

    @cached_property
    def second_logits_real_t(self) -> Tensor:
        return self.nets.head_t(self.output_real_t.features)


SOURCE = {"task_source": 1.0, "task_source_second": 1.0}
ADAM_MCD = {"name": "adam", "lr": 2e-4, "betas": (0.9, 0.999), "weight_decay": 5e-4}
"""The release's, for digits. One serves all steps: by averages of its own, Adam would blow step C's small gradient up until
the encoder gives all target images one class, on which any two heads agree."""

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
        "two heads and an encoder play over target images (Saito et al. 2018, steps A, B and C; C 4 times). "
        "Scored by f_t's own head",
        options=Options,
    ),
)
