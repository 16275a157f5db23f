"""Types that all packages share: a batch, a network's output, and the label to ignore."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

IGNORE = 255
"""Label that neither losses nor scores count.

Masks have at most 254 classes. With more than 255 classes, which only image-level labels can have, 255 is an
ordinary class: see `ignore_index`."""


def ignore_index(classes: int) -> int:
    """Return the label to ignore with this number of classes: `IGNORE`, or -100 where that is a class."""
    return IGNORE if classes <= IGNORE else -100


@dataclass(frozen=True)
class Batch:
    """Data of one training step, on the training device, without target labels, so that these cannot leak.

    Attributes:
        real_s: (N, C, H, W) float in [-1, 1], images of the source domain.
        label_s: (N,) int64 for classification, (N, H, W) for segmentation; `IGNORE` is not counted.
        real_t: (N, C, H, W) float in [-1, 1], images of the target domain.
        fake_t: (N, C, H, W) float in [-1, 1], G_st(real_s) if it was computed before training, else None.
        pair_t: (N, C, H, W) float in [-1, 1], the true translation of real_s, if the data are paired and a
            term needs it, else None.
    """

    real_s: Tensor
    label_s: Tensor
    real_t: Tensor
    fake_t: Tensor | None = None
    pair_t: Tensor | None = None


class Output(NamedTuple):
    """Output of every classifier and segmenter.

    Attributes:
        features: (N, D), the input of a feature discriminator; (N, D, h, w) for segmentation, at the
            network's own stride.
        logits: (N, K), unnormalised class scores; (N, K, H, W) for segmentation, at the size of the images.
    """

    features: Tensor
    logits: Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast on the tensor's device; for a meta tensor, one that does nothing."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)
