"""Batch norm that normalises by its batch and leaves the stored statistics alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


def batch_norms(net: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch-norm layers of a network that store statistics."""
    layers = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [layer for layer in layers if layer.track_running_stats]


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[None]:
    """Let batch norm use the statistics of its batch in a `with` block; the stored ones stay as they are.

    Layers that are in eval mode while the network trains stay so: their statistics are fixed on purpose, as
    by a segmenter's `frozen_norm`.

    Args:
        net: A network, in either mode. Its layers are in their earlier mode again after the block.
    """
    layers = [layer for layer in batch_norms(net) if layer.training or not net.training]
    states = [(layer, layer.training, layer.momentum) for layer in layers]
    counts = [None if n is None else n.clone() for n in (layer.num_batches_tracked for layer in layers)]
    for layer in layers:
        layer.training, layer.momentum = True, 0.0
    try:
        yield
    finally:
        for (layer, training, momentum), count in zip(states, counts, strict=True):
            layer.training, layer.momentum = training, momentum
            if count is not None and layer.num_batches_tracked is not None:
                layer.num_batches_tracked.copy_(count)
