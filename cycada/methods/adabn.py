"""AdaBN (adaptive batch normalisation): a trained network gets the target's batch-norm statistics.

Li et al. 2016; Li et al. 2018, algorithm 1. No weight changes: the running mean and variance of every
batch-norm layer of f_t are estimated again on target images.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.batch_statistics import batch_norms
from cycada.methods.step_tensors import StepTensors


class AdaBnTensors(StepTensors):
    """Tensors of AdaBN: f_t in training mode on target images."""

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        """Logits of target images, (N, K, ...); computing them updates the statistics.

        Raises:
            CycadaError: The network has no batch norm with running statistics, or keeps them fixed.
        """
        layers = batch_norms(self.nets.f_t)
        if not layers:
            raise CycadaError(
                "networks.f: adabn estimates batch-norm statistics again, and this network has none. "
                "Choose one with batch norm, such as convnet or dtn."
            )
        if not any(layer.training for layer in layers):
            raise CycadaError(
                "networks.f.frozen_norm: adabn estimates batch-norm statistics again, and this network keeps "
                "them fixed. Expected frozen_norm: false in the stage of adabn."
            )
        return self.nets.f_t(self.real_t).logits


methods.add(
    "adabn",
    Method(
        AdaBnTensors,
        # The learning rate is 0, so that no weight changes; the entropy is logged. With batch norm's momentum
        # of 0.1 the source's statistics have a weight of 3e-5 after 100 steps.
        (PhaseSpec("statistics", ("f_t",), {"entropy": 1.0}, {"name": "sgd", "lr": 0.0}),),
        "AdaBN",
        "estimate f_t's batch-norm statistics on target images",
        details="No weight changes (Li et al. 2018, algorithm 1).",
    ),
)
