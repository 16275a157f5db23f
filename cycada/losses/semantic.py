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

from cycada.losses.term import losses
from cycada.types import IGNORE


def agreement(logits_after: Tensor, logits_before: Tensor, soft: bool, confidence: float) -> Tensor:
    """CE(argmax before, after), or KL(before || after), over the images that f_s is sure of. (N, K, ...) -> scalar.

    The mean is over the images that count; 0 where none does. No gradient reaches `logits_before`.
    """
    before = logits_before.detach().softmax(1)
    certainty, label = before.max(1)
    if soft:
        after = F.log_softmax(logits_after, 1)
        loss = (torch.special.xlogy(before, before) - before * after).sum(1)
    else:
        loss = F.cross_entropy(logits_after, label, reduction="none")
    sure = (certainty >= confidence).to(loss.dtype)
    total: Tensor = (loss * sure).sum()
    return total / sure.sum().clamp_min(1)


@losses("semantic_t")
def semantic_t(
    source_logits_fake_t: Tensor,
    source_logits_real_s: Tensor,
    label_s: Tensor,
    semantic_gate: Tensor,
    *,
    anchor: Literal["classifier", "soft", "label"] = "classifier",
    confidence: float = 0.0,
) -> Tensor:
    """f_s sees the same class in G_st(x_s) as in x_s. Logits (N, K, ...), labels (N, ...) -> scalar."""
    if anchor == "label":
        return semantic_gate * F.cross_entropy(source_logits_fake_t, label_s, ignore_index=IGNORE)
    return semantic_gate * agreement(source_logits_fake_t, source_logits_real_s, anchor == "soft", confidence)


@losses("semantic_s")
def semantic_s(
    source_logits_fake_s: Tensor,
    source_logits_real_t: Tensor,
    semantic_gate: Tensor,
    *,
    anchor: Literal["classifier", "soft"] = "classifier",
    confidence: float = 0.0,
) -> Tensor:
    """f_s sees the same class in G_ts(x_t) as in x_t. No target label is involved."""
    return semantic_gate * agreement(source_logits_fake_s, source_logits_real_t, anchor == "soft", confidence)
