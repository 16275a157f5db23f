"""What a step shows beside its losses. A monitor's parameter names are the views it reads; it is computed where the

losses of the step have computed them all, and so costs no forward pass of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cycada.core.registry import Registry
from cycada.core.types import ignore_index

Monitor = Callable[..., Tensor]
monitors: Registry[Monitor] = Registry("monitor")


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Share of the labelled images (or pixels) that are named rightly; 0 where none is. (N, K, ...), (N, ...) -> scalar."""
    labelled = label != ignore_index(logits.shape[1])
    return ((logits.argmax(1) == label) & labelled).sum() / labelled.sum().clamp_min(1)


@monitors("task_accuracy_source")
def task_accuracy_source(f_t_logits_real_s: Tensor, label_s: Tensor) -> Tensor:
    """Share of the batch's source images (or pixels) that f_t names rightly."""
    return accuracy(f_t_logits_real_s, label_s)


@monitors("task_accuracy_translated")
def task_accuracy_translated(f_t_logits_fake_t: Tensor, label_s: Tensor) -> Tensor:
    """Share of the batch's translated source images (or pixels) that f_t names by their source label."""
    return accuracy(f_t_logits_fake_t, label_s)


@monitors("agreement_t")
def agreement_t(f_s_logits_real_s: Tensor, f_s_logits_fake_t: Tensor) -> Tensor:
    """Share of source images whose class, as f_s sees it, survives G_st. 1 - this is the flip rate."""
    return (f_s_logits_real_s.argmax(1) == f_s_logits_fake_t.argmax(1)).float().mean()


@monitors("agreement_s")
def agreement_s(f_s_logits_real_t: Tensor, f_s_logits_fake_s: Tensor) -> Tensor:
    """Share of target images whose class, as f_s sees it, survives G_ts."""
    return (f_s_logits_real_t.argmax(1) == f_s_logits_fake_s.argmax(1)).float().mean()


@monitors("semantic_gate")
def semantic_gate_rate(semantic_gate: Tensor) -> Tensor:
    """1 where the semantic losses count, 0 where the gate holds them back."""
    return semantic_gate


@monitors("feature_gate")
def feature_gate_rate(feature_gate: Tensor) -> Tensor:
    """1 where the target network was allowed to move, 0 where the feature discriminator was too weak."""
    return feature_gate


@monitors("critic_accuracy")
def critic_accuracy(domain_logits_source: Tensor, domain_logits_target: Tensor) -> Tensor:
    """Share of both halves of the batch that D_feat puts into the right domain; 0.5 is chance. Maps of places count as their mean."""
    right_s = (domain_logits_source.argmax(1) == 1).float().mean()
    right_t = (domain_logits_target.argmax(1) == 0).float().mean()
    return 0.5 * (right_s + right_t)


@monitors("reversed_critic_accuracy")
def reversed_critic_accuracy(
    domain_logits_reversed_source: Tensor, domain_logits_reversed_target: Tensor
) -> Tensor:
    """The same behind a gradient reversal (DANN)."""
    return critic_accuracy(domain_logits_reversed_source, domain_logits_reversed_target)
