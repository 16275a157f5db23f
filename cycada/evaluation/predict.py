"""Predictions of classifiers, in eval mode and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cycada.data import ImageSet, resize_logits, to_float
from cycada.methods import Classify
from cycada.metrics import confusion_matrix
from cycada.train.device import Device, Precision

BATCH = 125
"""The number of small images in a batch. Maps of 500 do not fit a CPU's caches, and take twice as long."""
AT_ONCE = 2**20
"""The number of pixels that go through a segmenter in one batch."""


def max_batch(size: Sequence[int], most: int = 8) -> int:
    """Return how many images of `size` make a batch, so that memory does not grow with their size.

    Args:
        size: Height and width, in pixels.
        most: The largest batch.
    """
    return max(1, min(most, AT_ONCE // (size[0] * size[1])))


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Switch a module to eval mode and gradients off; restore every submodule's mode afterwards."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, training in modes.items():
            m.training = training


def forward_at(precision: Precision, device: Device) -> Callable[[Any, Tensor], Tensor]:
    """Return a function (network, images) -> the network's output in float32.

    Args:
        precision: Precision of the forward passes.
        device: Where the network is.
    """

    def forward(net: Any, images: Tensor) -> Tensor:
        with device.autocast(precision):
            output: Tensor = net(images)
        return output.float()

    return forward


def probabilities(
    classify: Classify, images: Tensor, device: Device, precision: Precision = "fp32", batch: int = BATCH
) -> Tensor:
    """Return class probabilities of images. To be called inside `eval_mode`.

    Args:
        classify: Images (N, C, H, W) -> logits.
        images: (N, C, H, W) uint8.
        device: Where to compute.
        precision: Precision of the forward passes.
        batch: The number of images in a batch.

    Returns:
        (N, K), or (N, K, H, W) for segmentation, float32 on the CPU.
    """
    batches = []
    for some_images in images.split(batch):
        with device.autocast(precision):
            logits = classify(to_float(some_images.to(device.torch_device)))
        batches.append(logits.float().softmax(1).cpu())
    return torch.cat(batches)


def predictions(
    classify: Classify,
    images: ImageSet,
    device: Device,
    precision: Precision = "fp32",
    batch: int = BATCH,
    rows: Sequence[int] | None = None,
) -> Tensor:
    """Return the predicted class of each image. To be called inside `eval_mode`.

    Every process classifies its share of the images.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K).
        images: The images.
        device: Where to compute.
        precision: Precision of the forward passes.
        batch: The number of images in a batch.
        rows: Indices of the images to classify; None for all of them.

    Returns:
        (N,) int64 on the CPU.
    """
    rows = range(len(images)) if rows is None else rows
    predicted = torch.zeros(len(rows), dtype=torch.long, device=device.torch_device)
    for start in range(device.rank * batch, len(rows), batch * device.world):
        pixels = images.take(rows[start : start + batch])[0]
        with device.autocast(precision):
            logits = classify(to_float(pixels.to(device.torch_device)))
        predicted[start : start + batch] = logits.argmax(1)
    if device.world > 1:
        torch.distributed.all_reduce(predicted)
    return predicted.cpu()


def count_pixels(
    classify: Classify,
    dataset: ImageSet,
    classes: int,
    device: Device,
    precision: Precision = "fp32",
    batch: int | None = None,
    rows: Sequence[int] | None = None,
) -> Tensor:
    """Return the confusion matrix of each image, over all pixels of its mask.

    To be called inside `eval_mode`. Masks are compared at their own size. Batches are scored one after the
    other, and no logits are kept. Every process scores its share of the images.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K, H, W).
        dataset: Images with masks.
        classes: K, the number of classes.
        device: Where to compute.
        precision: Precision of the forward passes.
        batch: The number of images in a batch; `max_batch` where it is not given.
        rows: Indices of the images to score; None for all of them.

    Returns:
        (N, K, K) int32 on the CPU, true classes in rows, predicted ones in columns.
    """
    rows = range(len(dataset)) if rows is None else rows
    counts = torch.zeros(len(rows), classes, classes, dtype=torch.int32, device=device.torch_device)
    own_share, batch = range(device.rank, len(rows), device.world), batch or max_batch(dataset.size)
    for start in range(0, len(own_share), batch):
        places = own_share[start : start + batch]
        indices = [rows[place] for place in places]
        counts[list(places)] = _count_some(classify, dataset, indices, classes, device, precision)
    if device.world > 1:
        torch.distributed.all_reduce(counts)
    return counts.cpu()


def _count_some(
    classify: Classify,
    dataset: ImageSet,
    indices: Sequence[int],
    classes: int,
    device: Device,
    precision: Precision,
) -> Tensor:
    """Return the confusion matrices (n, K, K) of some images.

    It is a function of its own so that the logits of one batch are freed before the next one is computed.
    """
    images, masks = dataset.take(indices)
    assert masks is not None  # only labelled sets are scored
    with device.autocast(precision):
        batch_logits = classify(to_float(images.to(device.torch_device))).float()
    counts = []
    for logits, mask in zip(batch_logits, masks, strict=True):
        predicted = resize_logits(logits[None], mask.shape).argmax(1)[0]
        counts.append(confusion_matrix(predicted, mask.to(device.torch_device), classes))
    return torch.stack(counts).int()
