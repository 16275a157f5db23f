"""Batch norm that normalises by its batch and leaves the stored statistics alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[None]:
    """Let batch norm use the statistics of its batch in a `with` block; the stored ones stay as they are.

    Layers that are in eval mode while the network trains stay so: their statistics are fixed on purpose, as
    by a segmenter's `frozen_norm`.

    Args:
        net: A network, in either mode. Its layers are in their earlier mode again after the block.
    """
    batch_norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    layers = [layer for layer in batch_norms if layer.training or not net.training]
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
