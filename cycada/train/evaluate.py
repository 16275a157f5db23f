"""Test images through a classifier, counted into one (K, K) matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cycada.data import Examples, to_float
from cycada.methods import Classify
from cycada.metrics import confusion_matrix
from cycada.train.device import Device, Precision


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, every module is in eval mode and nothing records gradients; after it, modes are as before."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, training in modes.items():
            m.training = training


def probabilities(classify: Classify, images: Tensor, device: Device, precision: Precision = "fp32", batch: int = 500) -> Tensor:
    """(N, C, H, W) uint8 -> class probabilities (N, K), float32 on the CPU. To be called inside `evaluating`."""
    parts = []
    for part in images.split(batch):
        with device.autocast(precision):
            logits = classify(to_float(part.to(device.torch_device)))
        parts.append(logits.float().softmax(1).cpu())
    return torch.cat(parts)


def count_predictions(
    classify: Classify, examples: Examples, classes: int, device: Device, precision: Precision = "fp32", batch: int = 500
) -> Tensor:
    """(K, K) int64 on the CPU: rows are the truth, columns what was said. Every process does its share.

    To be called inside `evaluating`. The examples must have labels.
    """
    if examples.labels is None:
        raise ValueError("Examples without labels cannot be scored.")
    total = torch.zeros(classes, classes, dtype=torch.long, device=device.torch_device)
    for start in range(device.rank * batch, len(examples), batch * device.world):
        rows = slice(start, start + batch)
        with device.autocast(precision):
            predicted = classify(to_float(examples.images[rows].to(device.torch_device))).argmax(1)
        total += confusion_matrix(predicted, examples.labels[rows].to(device.torch_device), classes)
    if device.world > 1:
        torch.distributed.all_reduce(total)
    return total.cpu()
