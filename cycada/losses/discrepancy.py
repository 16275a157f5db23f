"""Two heads on one encoder: where they disagree on a target image, the source does not support it (Saito et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from cycada.core.bounds import Share
from cycada.losses.task import labelled_cross_entropy
from cycada.losses.term import losses


@losses("task_source_second")
def task_source_second(second_logits_real_s: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """The second head names real source images: its half of MCD's step A (Saito et al. 2018). (N, K), (N,) -> scalar."""
    return labelled_cross_entropy(second_logits_real_s, label_s, smoothing)


def discrepancy(logits: Tensor, second_logits: Tensor) -> Tensor:
    """mean_k |p1_k - p2_k|, mean over images (Saito et al. 2018, section 3.3). Both (N, K) -> scalar in [0, 2 / K]."""
    return (logits.softmax(1) - second_logits.softmax(1)).abs().mean()


@losses("heads_disagree")
def heads_disagree(f_t_logits_real_t: Tensor, second_logits_real_t: Tensor) -> Tensor:
    """Minus the heads' discrepancy on target images: the heads look for what lies off the source, MCD's step B."""
    return -discrepancy(f_t_logits_real_t, second_logits_real_t)


@losses("heads_agree")
def heads_agree(f_t_logits_real_t: Tensor, second_logits_real_t: Tensor) -> Tensor:
    """The heads' discrepancy on target images: the encoder moves them to where the heads agree, MCD's step C."""
    return discrepancy(f_t_logits_real_t, second_logits_real_t)
