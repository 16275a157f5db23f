"""Images through a classifier, in eval mode and without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cycada.data import ResizedDataset, resize_logits, to_float
from cycada.methods import Classify
from cycada.metrics import confusion_matrix
from cycada.train.device import Device, Precision

AT_ONCE = 2**20
"""Pixels of scenes that go through a network together."""


def max_batch(size: Sequence[int], most: int = 8) -> int:
    """How many scenes of `size` = (height, width): memory stays the same from small scenes to those of 1024 x 2048."""
    return max(1, min(most, AT_ONCE // (size[0] * size[1])))


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Inside, every module is in eval mode and nothing records gradients; after it, modes are as before."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, training in modes.items():
            m.training = training


def probabilities(
    classify: Classify, images: Tensor, device: Device, precision: Precision = "fp32", batch: int = 500
) -> Tensor:
    """(N, C, H, W) uint8 -> class probabilities (N, K), or (N, K, H, W) of scenes, float32 on the CPU. To be called inside
    `eval_mode`."""
    parts = []
    for part in images.split(batch):
        with device.autocast(precision):
            logits = classify(to_float(part.to(device.torch_device)))
        parts.append(logits.float().softmax(1).cpu())
    return torch.cat(parts)


def predictions(
    classify: Classify, images: Tensor, device: Device, precision: Precision = "fp32", batch: int = 500
) -> Tensor:
    """(N, C, H, W) uint8 -> the class that each image is called, (N,) int64 on the CPU. Every process does its share.

    To be called inside `eval_mode`.
    """
    found = torch.zeros(len(images), dtype=torch.long, device=device.torch_device)
    for start in range(device.rank * batch, len(images), batch * device.world):
        with device.autocast(precision):
            logits = classify(to_float(images[start : start + batch].to(device.torch_device)))
        found[start : start + batch] = logits.argmax(1)
    if device.world > 1:
        torch.distributed.all_reduce(found)
    return found.cpu()


def count_pixels(
    classify: Classify,
    scenes: ResizedDataset,
    classes: int,
    device: Device,
    precision: Precision = "fp32",
    batch: int | None = None,
) -> Tensor:
    """(N, K, K) int32 on the CPU: of every scene, the count over all pixels of its mask at its own size. One scene after the

    other: no answer is kept. Every process does its share. To be called inside `eval_mode`.
    """
    found = torch.zeros(len(scenes), classes, classes, dtype=torch.int32, device=device.torch_device)
    rows, batch = range(device.rank, len(scenes), device.world), batch or max_batch(scenes.size)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        found[list(part)] = _count_some(classify, scenes, part, classes, device, precision)
    if device.world > 1:
        torch.distributed.all_reduce(found)
    return found.cpu()


def _count_some(
    classify: Classify,
    scenes: ResizedDataset,
    rows: Sequence[int],
    classes: int,
    device: Device,
    precision: Precision,
) -> Tensor:
    """(n, K, K) of some scenes. A function of its own, so that their scores are gone when the next ones' are computed."""
    images, masks = zip(*(scenes.read(i) for i in rows), strict=True)
    with device.autocast(precision):
        logits = classify(to_float(torch.stack(images).to(device.torch_device))).float()
    counts = []
    for answer, mask in zip(logits, masks, strict=True):
        said = resize_logits(answer[None], mask.shape).argmax(1)[0]
        counts.append(confusion_matrix(said, mask.to(device.torch_device), classes))
    return torch.stack(counts).int()
