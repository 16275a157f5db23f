"""Supervised terms: cross-entropy with SOURCE labels. Logits (N, K, ...), labels (N, ...) int64 -> scalar."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Share
from cycada.core.types import ignore_index
from cycada.losses.term import losses


def labelled_cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the images (or pixels) that have a label. Logits (N, K, ...), label (N, ...) -> scalar.

    0, with a gradient of 0, where none has one: torch's own mean would be no number, and would stay in the weights.
    """
    ignored = ignore_index(logits.shape[1])
    total = F.cross_entropy(logits, label, ignore_index=ignored, label_smoothing=smoothing, reduction="sum")
    return total / (label != ignored).sum().clamp_min(1)


@losses("task_source")
def task_source(f_t_logits_real_s: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """f_t names real source images, CyCADA eq. 1."""
    return labelled_cross_entropy(f_t_logits_real_s, label_s, smoothing)


@losses("task_translated")
def task_translated(f_t_logits_fake_t: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """f_t names translated source images by their source labels, CyCADA eq. 5, first term."""
    return labelled_cross_entropy(f_t_logits_fake_t, label_s, smoothing)


@losses("task_classifier")
def task_classifier(f_s_logits_real_s: Tensor, label_s: Tensor) -> Tensor:
    """f_s itself learns next to the generators, as in the released code (the paper freezes it)."""
    return labelled_cross_entropy(f_s_logits_real_s, label_s)
