"""Source-only training, the baseline, and the same on labelled target data, the oracle."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.core.types import Output
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.step_tensors import OptionsT, StepTensors


class SourceTensors(StepTensors[OptionsT]):
    """Tensors of supervised training: f_t on source images."""

    @cached_property
    def output_real_s(self) -> Output:
        """f_t's output on source images."""
        return self.nets.f_t(self.real_s)

    @cached_property
    def f_t_logits_real_s(self) -> Tensor:
        """f_t's logits of source images, (N, K, ...)."""
        return self.output_real_s.logits


class BothDomainsTensors(SourceTensors[OptionsT]):
    """Tensors of supervised training, with f_t on target images."""

    @cached_property
    def output_real_t(self) -> Output:
        """f_t's output on target images."""
        return self.nets.f_t(self.real_t)


TASK = PhaseSpec("task", ("f_t",), {"task_source": 1.0})
"""Phase that trains f_t on labelled source images."""

methods.add(
    "source_only",
    Method(
        SourceTensors,
        (TASK,),
        "source only",
        "train f_t on labelled source images: the baseline",
        details="This is CyCADA eq. 1.",
    ),
)
methods.add(
    "target_only",
    Method(
        SourceTensors,
        (TASK,),
        "oracle",
        "ORACLE: train f_t on target images WITH their labels",
        details="It shows what target labels would give, and is not a result of adaptation.",
        supervision="target",
    ),
)
