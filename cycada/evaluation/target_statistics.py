"""Batch-norm statistics of the target for scoring: estimated on unlabelled target training images.

A method whose task network sees both domains ends with running statistics of both, by which target images are
normalised when they are scored. With `evaluation.batch_norm: target` a copy of the networks is scored whose
statistics are the target's, as in AdaBN (Li et al. 2018). The trained networks stay as they are.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.data import ImageSet, to_float
from cycada.evaluation.tasks import EVALUATIONS
from cycada.methods import Classify, Networks
from cycada.methods.batch_statistics import batch_norms
from cycada.planning.plan import StagePlan
from cycada.train.device import Device, Precision


def copy_with_statistics(nets: Networks) -> Networks:
    """Return a copy of the networks in eval mode, whose statistics `estimate_statistics` may replace."""
    return copy.deepcopy(nets).eval()


def estimate_statistics(
    nets: Networks, classify: Classify, images: ImageSet, device: Device, precision: Precision = "fp32"
) -> None:
    """Replace the batch-norm statistics of networks by those of images.

    The images go through the networks once, in batches of nearly equal size, and every layer normalises a
    batch by the batch's own statistics. A layer's new mean and variance are those of all values that it got;
    as in PyTorch, the running variance is the unbiased one. Layers that get no values keep theirs.

    Args:
        nets: The networks, in eval mode. They are changed.
        classify: Images (N, C, H, W) -> logits, by these networks.
        images: The images, whose labels are not looked at. A sample that stands for them is used.
        device: Where the networks are.
        precision: Precision of the forward passes.

    Raises:
        CycadaError: There is only one image, which has no variance.
    """
    evaluation = EVALUATIONS[images.task]
    rows = images.sample_rows(evaluation.statistics_images)
    if len(rows) < 2:
        raise CycadaError(
            f"evaluation.batch_norm: found {len(rows)} target training image, expected at least 2, to have "
            "statistics of them. Set it to stored."
        )
    sums = {layer: _Sums() for layer in batch_norms(nets)}
    momenta = {layer: layer.momentum for layer in sums}
    hooks = [layer.register_forward_pre_hook(_adds_to(counted)) for layer, counted in sums.items()]
    try:
        for layer in sums:
            layer.training, layer.momentum = True, 0.0  # normalises by the batch, and moves no statistic
        parts = min(ceil(len(rows) / evaluation.batch_size(images, 250)), len(rows) // 2)
        bounds = [round(i * len(rows) / parts) for i in range(parts + 1)]
        with torch.no_grad(), device.autocast(precision):
            for start, end in pairwise(bounds):
                classify(to_float(images.take(rows[start:end])[0].to(device.torch_device)))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, momentum in momenta.items():
            layer.training, layer.momentum = False, momentum
    for layer, counted in sums.items():
        if counted.count and layer.running_mean is not None and layer.running_var is not None:
            layer.running_mean.copy_(counted.mean())
            layer.running_var.copy_(counted.variance())


def refuse_target_statistics(plan: StagePlan, remedy: str = "") -> None:
    """Raise CycadaError if a stage is scored by target statistics, which are estimated and never stored.

    Args:
        plan: The stage, which is to be used without the target's training images.
        remedy: What to do; by default to take the run that is scored by stored statistics.
    """
    if plan.evaluation.batch_norm == "target":
        raise CycadaError(
            "evaluation.batch_norm: found target, expected stored: target statistics are estimated on the "
            "target's training images, which are not there. "
            + (remedy or "Name the run of the same stage that was scored without this setting.")
        )


class _Sums:
    """Sums over the values that a layer got, by channel, in float64 on the CPU.

    Attributes:
        count: The number of values of each channel.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._squares = torch.zeros(1, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Add values (N, C, ...)."""
        by_channel = values.detach().transpose(0, 1).flatten(1).cpu().double()
        self.count += by_channel.shape[1]
        self._sum = self._sum + by_channel.sum(1)
        self._squares = self._squares + by_channel.square().sum(1)

    def mean(self) -> Tensor:
        """Return the mean (C,)."""
        return self._sum / self.count

    def variance(self) -> Tensor:
        """Return the unbiased variance (C,)."""
        return (self._squares - self.count * self.mean().square()).clamp_min(0) / (self.count - 1)


def _adds_to(sums: _Sums):  # type: ignore[no-untyped-def] # torch's hooks have no simple type
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sums.add(inputs[0])

    return hook
