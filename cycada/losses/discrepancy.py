"""Losses of MCD, maximum classifier discrepancy: two heads on one encoder (Saito et al. 2018).

Where the two heads disagree on a target image, its features are unlike those of source images.
"""

from __future__ import annotations

from torch import Tensor

from cycada.core.bounds import Share
from cycada.losses.task import labelled_cross_entropy
from cycada.losses.term import losses


@losses("task_source_second")
def task_source_second(second_logits_real_s: Tensor, label_s: Tensor, *, smoothing: Share = 0.0) -> Tensor:
    """Train the second head on labelled source images.

    This is its part of MCD's step A (Saito et al. 2018).

    Args:
        second_logits_real_s: The second head's logits of source images, (N, K).
        label_s: Source labels, (N,).
        smoothing: Label smoothing in [0, 1].

    Returns:
        A scalar.
    """
    return labelled_cross_entropy(second_logits_real_s, label_s, smoothing)


def discrepancy(logits: Tensor, second_logits: Tensor) -> Tensor:
    """Return the discrepancy of two heads: the mean over images and classes of |p1_k - p2_k|.

    See Saito et al. 2018, section 3.3.

    Args:
        logits: The first head's logits, (N, K).
        second_logits: The second head's logits of the same images, (N, K).

    Returns:
        A scalar in [0, 2 / K].
    """
    return (logits.softmax(1) - second_logits.softmax(1)).abs().mean()


@losses("heads_disagree")
def heads_disagree(f_t_logits_real_t: Tensor, second_logits_real_t: Tensor) -> Tensor:
    """Maximise the two heads' discrepancy on target images.

    This is MCD's step B (Saito et al. 2018). The loss is minus the discrepancy. The heads find the target
    images whose features are unlike those of source images.
    """
    return -discrepancy(f_t_logits_real_t, second_logits_real_t)


@losses("heads_agree")
def heads_agree(f_t_logits_real_t: Tensor, second_logits_real_t: Tensor) -> Tensor:
    """Minimise the two heads' discrepancy on target images.

    This is MCD's step C (Saito et al. 2018). The encoder moves the features of target images to where the
    heads agree.
    """
    return discrepancy(f_t_logits_real_t, second_logits_real_t)
