"""Gradient checkpointing: activations are computed again in the backward pass instead of being kept (Chen et al. 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run(module: nn.Module, x: Tensor, checkpointing: bool) -> Tensor:
    """module(x). For modules without randomness: they run twice, and no generator is wound back."""
    if checkpointing and torch.is_grad_enabled():
        result: Tensor = checkpoint(module, x, use_reentrant=False, preserve_rng_state=False)
        return result
    return module(x)


def count_batches_once(net: nn.Module) -> None:
    """Batch norm would move its running statistics a second time when it runs again in the backward pass. After this it

    does so in the forward pass alone, so that the weights are those of a training without checkpointing.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(partial(_only_forward, momentum=module.momentum))


def _only_forward(module: nn.BatchNorm2d, _: Any, momentum: float | None) -> None:
    again = torch._C._current_graph_task_id() != -1  # a backward pass is under way
    module.momentum = 0.0 if again else momentum
    if again and module.training and module.num_batches_tracked is not None:
        module.num_batches_tracked -= 1  # the forward pass adds it again
