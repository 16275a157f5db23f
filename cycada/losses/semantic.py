"""Semantic losses of CyCADA, which keep the class that the source classifier f_s predicts for an image.

The class before and after a translation has to be the same (Hoffman et al. 2018, eq. 4). Two options are
common to both directions:

- `anchor` says what the prediction after the translation is compared with. `classifier`: the class that f_s
  predicts for the original (the paper). `soft`: all of f_s's probabilities for the original, by the KL
  divergence. `label`: the ground truth (the released code; for source images only).
- `confidence`: images on whose original f_s's largest probability is below this are left out.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Share
from cycada.core.types import ignore_index
from cycada.losses.term import losses


def agreement(
    logits_after: Tensor, logits_before: Tensor, soft: bool, confidence: float, label: Tensor | None = None
) -> Tensor:
    """Return how far f_s's predictions after a translation are from its confident predictions before it.

    It is the cross-entropy with the label, if one is given; else the divergence KL(before || after), if
    `soft`; else the cross-entropy with the most probable class before.

    Args:
        logits_after: f_s's logits of the translated images, (N, K, ...).
        logits_before: f_s's logits of the originals, (N, K, ...). No gradient reaches them.
        soft: Compare with all probabilities, not with the most probable class.
        confidence: The least value of the largest probability before, in [0, 1].
        label: Ground truth, (N, ...).

    Returns:
        A scalar: the mean over the images (or pixels) that count; 0 where none does.
    """
    before = logits_before.detach().softmax(1)
    largest_probability, predicted = before.max(1)
    counts = largest_probability >= confidence
    if label is not None:
        ignored = ignore_index(logits_after.shape[1])
        loss = F.cross_entropy(logits_after, label, reduction="none", ignore_index=ignored)
        counts = counts & (label != ignored)
    elif soft:
        after = F.log_softmax(logits_after, 1)
        loss = (torch.special.xlogy(before, before) - before * after).sum(1)
    else:
        loss = F.cross_entropy(logits_after, predicted, reduction="none")
    weight = counts.to(loss.dtype)
    total: Tensor = (loss * weight).sum()
    return total / weight.sum().clamp_min(1)


@losses("semantic_t")
def semantic_t(
    f_s_logits_fake_t: Tensor,
    f_s_logits_real_s: Tensor,
    label_s: Tensor,
    semantic_gate: Tensor,
    *,
    anchor: Literal["classifier", "soft", "label"] = "classifier",
    confidence: Share = 0.0,
) -> Tensor:
    """Keep the class that f_s predicts for x_s in G_st(x_s).

    This is the first half of CyCADA eq. 4: a source image and its translation.

    Args:
        f_s_logits_fake_t: f_s's logits of G_st(x_s), (N, K, ...).
        f_s_logits_real_s: f_s's logits of x_s, (N, K, ...).
        label_s: Source labels, (N, ...); used with the anchor `label` alone.
        semantic_gate: 0 or 1, a scalar that multiplies the loss: 0 while f_s is too weak.
        anchor: What the prediction after the translation is compared with: `classifier`, the class that f_s
            predicts for x_s; `soft`, all of f_s's probabilities for x_s; `label`, the source label.
        confidence: Images on which f_s's largest probability for x_s is below this are left out.

    Returns:
        A scalar.
    """
    label = label_s if anchor == "label" else None
    return semantic_gate * agreement(
        f_s_logits_fake_t, f_s_logits_real_s, anchor == "soft", confidence, label
    )


@losses("semantic_s")
def semantic_s(
    f_s_logits_fake_s: Tensor,
    f_s_logits_real_t: Tensor,
    semantic_gate: Tensor,
    *,
    anchor: Literal["classifier", "soft"] = "classifier",
    confidence: Share = 0.0,
) -> Tensor:
    """Keep the class that f_s predicts for x_t in G_ts(x_t).

    This is the second half of CyCADA eq. 4: a target image and its translation. No target label is involved.

    Args:
        f_s_logits_fake_s: f_s's logits of G_ts(x_t), (N, K, ...).
        f_s_logits_real_t: f_s's logits of x_t, (N, K, ...).
        semantic_gate: 0 or 1, a scalar that multiplies the loss: 0 while f_s is too weak.
        anchor: What the prediction after the translation is compared with: `classifier`, the class that f_s
            predicts for x_t; `soft`, all of f_s's probabilities for x_t.
        confidence: Images on which f_s's largest probability for x_t is below this are left out.

    Returns:
        A scalar.
    """
    return semantic_gate * agreement(f_s_logits_fake_s, f_s_logits_real_t, anchor == "soft", confidence)
