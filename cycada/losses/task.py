"""Supervised losses: the cross-entropy with SOURCE labels.

Logits have the shape (N, K, ...), labels the shape (N, ...) and the type int64. The option `smoothing` is
label smoothing in [0, 1].
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Share
from cycada.core.types import ignore_index
from cycada.losses.term import losses


def labelled_cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy, mean over the images (or pixels) that have a label.

    Where none has one, the loss and its gradient are 0. PyTorch's own mean would be NaN there and would spoil
    the weights for good.

    Args:
        logits: (N, K, ...).
        label: (N, ...) int64.
        smoothing: Label smoothing in [0, 1].

    Returns:
        A scalar.
    """
    ignored = ignore_index(logits.shape[1])
    total = F.cross_entropy(logits, label, ignore_index=ignored, label_smoothing=smoothing, reduction="sum")
    return total / (label != ignored).sum().clamp_min(1)


@losses("task_source")
def task_source(f_t_logits_real_s: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """Train f_t on labelled source images (CyCADA eq. 1)."""
    return labelled_cross_entropy(f_t_logits_real_s, label_s, smoothing)


@losses("weighted_task_source")
def weighted_task_source(
    f_t_logits_real_s: Tensor, label_s: Tensor, importance_weights: Tensor, *, smoothing: Share = 0.0
) -> Tensor:
    """Train f_t on labelled source images, weighted by class.

    An image counts as many times as its class is expected to be more frequent in the target.

    This is the classification loss of IWDAN (importance-weighted DANN, Tachet des Combes et al. 2020, section
    3): f_t learns the class frequencies of the target in place of the source's.

    Args:
        f_t_logits_real_s: f_t's logits of source images, (N, K).
        label_s: Their classes, (N,).
        importance_weights: The weight of each of them, (N,).
        smoothing: Label smoothing.

    Returns:
        A scalar, the sum over the images that have a label, divided by their number.
    """
    ignored = ignore_index(f_t_logits_real_s.shape[1])
    each = F.cross_entropy(
        f_t_logits_real_s, label_s, ignore_index=ignored, label_smoothing=smoothing, reduction="none"
    )
    return (importance_weights * each).sum() / (label_s != ignored).sum().clamp_min(1)


@losses("task_translated")
def task_translated(f_t_logits_fake_t: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """Train f_t on translated source images with their labels.

    This is the first term of CyCADA eq. 5.
    """
    return labelled_cross_entropy(f_t_logits_fake_t, label_s, smoothing)


@losses("task_classifier")
def task_classifier(f_s_logits_real_s: Tensor, label_s: Tensor) -> Tensor:
    """Train f_s on labelled source images beside generators.

    CyCADA's released code does so. In the paper f_s is trained before and frozen.
    """
    return labelled_cross_entropy(f_s_logits_real_s, label_s)
