"""Gradient checkpointing: recompute activations in the backward pass to save memory (Chen et al. 2016)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run(module: nn.Module, x: Tensor, checkpointing: bool) -> Tensor:
    """Return `module(x)`, with its activations recomputed in the backward pass where `checkpointing` is set.

    The module must not draw random numbers: the backward pass runs it a second time, and the state of the
    random number generators is not restored for it.

    Args:
        module: The part of a network to run.
        x: Its input.
        checkpointing: Recompute the activations. It has no effect where gradients are disabled.
    """
    recomputed = checkpointing and torch.is_grad_enabled()
    result: Tensor = (
        checkpoint(module, x, use_reentrant=False, preserve_rng_state=False) if recomputed else module(x)
    )
    return result


def count_batches_once(net: nn.Module) -> None:
    """Make every batch normalisation of `net` update its running statistics in the forward pass only.

    With checkpointing the backward pass runs the layers again, which would update the statistics a second
    time. After this call, training with and without checkpointing gives the same weights.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(partial(_only_forward, momentum=module.momentum))


def _only_forward(module: nn.BatchNorm2d, _: Any, momentum: float | None) -> None:
    """Switch the update of `module`'s statistics off while a backward pass runs."""
    in_backward = torch._C._current_graph_task_id() != -1
    module.momentum = 0.0 if in_backward else momentum
    if in_backward and module.training and module.num_batches_tracked is not None:
        module.num_batches_tracked -= 1  # the forward pass of the module adds 1 again
