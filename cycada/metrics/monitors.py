"""Monitors: scalars that a training step reports beside its losses.

The names of a monitor's parameters are step tensors. A monitor is computed if the losses of the step have
computed all of them, so that it costs no forward pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cycada.core.registry import Registry
from cycada.core.types import ignore_index

Monitor = Callable[..., Tensor]
monitors: Registry[Monitor] = Registry("monitor")


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the fraction of labelled images (or pixels) that are classified correctly.

    Args:
        logits: (N, K), or (N, K, H, W).
        label: (N,) int64, or (N, H, W).

    Returns:
        A scalar in [0, 1]; 0 if nothing is labelled.
    """
    labelled = label != ignore_index(logits.shape[1])
    return ((logits.argmax(1) == label) & labelled).sum() / labelled.sum().clamp_min(1)


@monitors("task_accuracy_source")
def task_accuracy_source(f_t_logits_real_s: Tensor, label_s: Tensor) -> Tensor:
    """Return f_t's accuracy on source images, in [0, 1].

    It is over the batch's images (or pixels).
    """
    return accuracy(f_t_logits_real_s, label_s)


@monitors("task_accuracy_translated")
def task_accuracy_translated(f_t_logits_fake_t: Tensor, label_s: Tensor) -> Tensor:
    """Return f_t's accuracy on translated images.

    It is over the batch's translated source images (or pixels), in [0, 1].
    """
    return accuracy(f_t_logits_fake_t, label_s)


@monitors("agreement_t")
def agreement_t(f_s_logits_real_s: Tensor, f_s_logits_fake_t: Tensor) -> Tensor:
    """Return the fraction of x_s whose class g_st keeps.

    It is the fraction of source images that f_s classifies alike before and after g_st. The others are label
    flips.
    """
    return (f_s_logits_real_s.argmax(1) == f_s_logits_fake_t.argmax(1)).float().mean()


@monitors("agreement_s")
def agreement_s(f_s_logits_real_t: Tensor, f_s_logits_fake_s: Tensor) -> Tensor:
    """Return the fraction of x_t whose class g_ts keeps.

    It is the fraction of target images that f_s classifies alike before and after g_ts.
    """
    return (f_s_logits_real_t.argmax(1) == f_s_logits_fake_s.argmax(1)).float().mean()


@monitors("semantic_gate")
def semantic_gate_rate(semantic_gate: Tensor) -> Tensor:
    """Return 1 if the semantic losses count now, else 0.

    It is 0 in steps in which their gate is closed.
    """
    return semantic_gate


@monitors("feature_gate")
def feature_gate_rate(feature_gate: Tensor) -> Tensor:
    """Return 1 if f_t was trained in this step, else 0.

    It is 0 where the discriminator was too weak.
    """
    return feature_gate


@monitors("propagation_shift")
def propagation_shift(queued_probabilities: Tensor, balanced_probabilities: Tensor) -> Tensor:
    """Return the share of predictions that balancing moves.

    The teacher's predictions are balanced before they are propagated. It is the total variation distance
    between the shares of the classes before and after, in [0, 1], and 0 where all are near the expected ones.

    Args:
        queued_probabilities: (N, K), the predictions.
        balanced_probabilities: (N, K), the same after balancing.
    """
    return (balanced_probabilities.mean(0) - queued_probabilities.mean(0)).abs().sum() / 2


@monitors("critic_accuracy")
def critic_accuracy(domain_logits_source: Tensor, domain_logits_target: Tensor) -> Tensor:
    """Return the feature discriminator's accuracy.

    It is the mean of both domains' accuracies of d_feat.

    Args:
        domain_logits_source: (N, 2), or (N, 2, h, w) for each position of a feature map.
        domain_logits_target: Same for the target images.

    Returns:
        A scalar in [0, 1]; chance is 0.5.
    """
    right_s = (domain_logits_source.argmax(1) == 1).float().mean()
    right_t = (domain_logits_target.argmax(1) == 0).float().mean()
    return 0.5 * (right_s + right_t)


@monitors("reversed_critic_accuracy")
def reversed_critic_accuracy(
    domain_logits_reversed_source: Tensor, domain_logits_reversed_target: Tensor
) -> Tensor:
    """Return the reversed discriminator's accuracy.

    It is that of the feature discriminator behind a gradient reversal (DANN). See `critic_accuracy`.
    """
    return critic_accuracy(domain_logits_reversed_source, domain_logits_reversed_target)
