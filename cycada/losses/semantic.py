"""The semantic loss, CyCADA eq. 4: the source classifier f_s gives a translated image the label it gave before.

`anchor` says what "the label before" is: `classifier` (argmax f_s of the original, the paper), `soft`
(KL divergence from f_s's full distribution), `label` (ground truth; source side only, the released code).
`confidence`: images on which f_s gave its label less than this probability count nothing.
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
    """CE(argmax before, after), or CE(label, after), or KL(before || after), over the images that f_s is sure of.

    Logits (N, K, ...), label (N, ...) -> scalar: the mean over the images (or pixels) that count; 0 where none does.
    No gradient reaches `logits_before`.
    """
    before = logits_before.detach().softmax(1)
    certainty, said = before.max(1)
    counts = certainty >= confidence
    if label is not None:
        ignored = ignore_index(logits_after.shape[1])
        loss = F.cross_entropy(logits_after, label, reduction="none", ignore_index=ignored)
        counts = counts & (label != ignored)
    elif soft:
        after = F.log_softmax(logits_after, 1)
        loss = (torch.special.xlogy(before, before) - before * after).sum(1)
    else:
        loss = F.cross_entropy(logits_after, said, reduction="none")
    sure = counts.to(loss.dtype)
    total: Tensor = (loss * sure).sum()
    return total / sure.sum().clamp_min(1)


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
    """f_s sees the same class in G_st(x_s) as in x_s. Logits (N, K, ...), labels (N, ...) -> scalar."""
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
    """f_s sees the same class in G_ts(x_t) as in x_t. No target label is involved."""
    return semantic_gate * agreement(f_s_logits_fake_s, f_s_logits_real_t, anchor == "soft", confidence)
