"""What the rooms of the toolkit agree on: a batch, an output, the label to ignore."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

IGNORE = 255
"""A label with this value counts nowhere: not in a loss, not in a score. Masks have at most 254 classes; where there are more than
255, labels belong to whole images and 255 is a class like the others: see `ignore_index`."""


def ignore_index(classes: int) -> int:
    """Give the label that counts nowhere among so many classes: `IGNORE`, or -100 where `IGNORE` is itself a class."""
    return IGNORE if classes <= IGNORE else -100


@dataclass(frozen=True)
class Batch:
    """One step's data on the training device. It has no target labels: what is not there cannot leak.

    real_s: (N, C, H, W) float in [-1, 1], images of the source domain.
    label_s: (N,) int64 for classification, (N, H, W) for segmentation; `IGNORE` counts nowhere.
    real_t: (N, C, H, W) float in [-1, 1], images of the target domain.
    fake_t: (N, C, H, W) float in [-1, 1], G_st(real_s) where it was translated beforehand.
    pair_t: (N, C, H, W) float in [-1, 1], what real_s truly looks like in the target domain, where the data are paired and a term
    asks for it.
    """

    real_s: Tensor
    label_s: Tensor
    real_t: Tensor
    fake_t: Tensor | None = None
    pair_t: Tensor | None = None


class Output(NamedTuple):
    """What every task network returns.

    features: (N, D), what a feature discriminator may look at; (N, D, h, w) for segmentation, at the network's own stride.
    logits: (N, K), unnormalised class scores; (N, K, H, W) for segmentation, at the size of the images.
    """

    features: Tensor
    logits: Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[Any]:
    """No autocast on the tensor's device. A tensor without memory, of a rehearsal, knows none."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)
