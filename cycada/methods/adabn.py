"""AdaBN: a trained network with the target's batch-norm statistics (Li et al. 2016; 2018, algorithm 1)."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.step_tensors import StepTensors


class AdaBnTensors(StepTensors):
    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        """Looking at target images is what adapts f_t: in training mode its running statistics follow them."""
        norms = [m for m in self.nets.f_t.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not any(m.track_running_stats for m in norms):
            raise CycadaError(
                "networks.f: adabn re-estimates batch-norm statistics, and this network has none. Take one with batch norm, such as "
                "convnet or dtn."
            )
        return self.nets.f_t(self.real_t).logits


methods.add(
    "adabn",
    Method(
        AdaBnTensors,
        # the rate is 0: no weight moves, the entropy is watched. At batch norm's momentum of 0.1 the source's statistics weigh
        # 3e-5 after 100 steps
        (PhaseSpec("statistics", ("f_t",), {"entropy": 1.0}, {"name": "sgd", "lr": 0.0}),),
        "AdaBN",
        "batch-norm statistics of a trained f_t re-estimated on target images, weights untouched (Li et al. 2018, algorithm 1)",
    ),
)
