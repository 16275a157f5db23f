"""The exponential moving average of a network's weights."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class MovingAverage:
    """An exponential moving average of everything in a network's `state_dict`, with a warm-up of its decay.

    It equals timm's `ModelEmaV3` with `use_warmup=True`, whose import takes longer than a small stage. Step t
    keeps `min(decay, 1 - t ** (-2 / 3))` of the old average, so that early weights are soon forgotten: after
    the first step it is a copy of the network. What is no floating-point number, such as the number of
    batches that batch norm has seen, is copied.

    Attributes:
        module: The averaged network, in evaluation mode.
        decay: The largest share of the old average that a step keeps, between 0 and 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start with a copy of a network.

        Args:
            network: Whose weights are averaged.
            decay: The largest share of the old average that a step keeps, between 0 and 1.
        """
        self.module = deepcopy(network).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards a network's present weights.

        Args:
            network: The network whose weights are averaged.
            step: Number of steps that have been trained, from 1.
        """
        new = 1 - min(self.decay, 1 - max(step, 1) ** (-2 / 3))
        averages, values = self.module.state_dict(), network.state_dict()
        for name, average in averages.items():
            if average.is_floating_point():
                average.lerp_(values[name], new)
            else:
                average.copy_(values[name])
