"""Gradient checkpointing: activations are computed again in the backward pass instead of being kept (Chen et al. 2016)."""

from __future__ import annotations

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
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.register_forward_pre_hook(_only_forward)


def _only_forward(module: nn.BatchNorm2d, _: Any) -> None:
    module.track_running_stats = torch._C._current_graph_task_id() == -1  # -1 says that no backward pass is under way
