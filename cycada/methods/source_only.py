"""Source-only training, the baseline; and the same on labelled target data, the oracle."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.core.types import Output
from cycada.methods.base import Method, PhasePlan, methods
from cycada.methods.step_tensors import Views


class SourceViews(Views):
    @cached_property
    def output_real_s(self) -> Output:
        return self.nets.f_t(self.real_s)

    @cached_property
    def logits_real_s(self) -> Tensor:
        return self.output_real_s.logits


TASK = PhasePlan("task", ("f_t",), {"task_source": 1.0})

methods.add("source_only", Method(SourceViews, (TASK,), "source only", "f_t on labelled source images: the baseline (CyCADA eq. 1)"))
methods.add(
    "target_only",
    Method(SourceViews, (TASK,), "oracle", "ORACLE: f_t on target images WITH their labels, never a result", source_is="target"),
)
