"""Self-training: a teacher, the moving average of f_t, labels target images for f_t, which sees them augmented."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Share
from cycada.core.types import IGNORE
from cycada.losses.term import losses


@losses("self_training")
def self_training(
    f_t_logits_augmented_t: Tensor,
    teacher_logits_real_t: Tensor,
    *,
    threshold: Share = 0.9,
    target: Literal["label", "probabilities", "summed_probabilities"] = "label",
) -> Tensor:
    """Where the teacher is surer than `threshold`, the student says the same of the augmented image. (N, K) -> scalar

    label: cross-entropy with the teacher's argmax (Lee 2013; FixMatch, Sohn et al. 2020, eq. 4). probabilities: the squared
    difference of the probabilities, mean over classes (self-ensembling, French et al. 2018, section 3.2, as their code has it).
    summed_probabilities: the same summed over the K classes, K times as strong, which `probabilities` was before. The sum over
    the sure images is divided by ALL of the batch, as in both: few sure images weigh little.
    """
    teacher = teacher_logits_real_t.detach().softmax(1)
    certainty, label = teacher.max(1)
    if target == "label":
        loss = F.cross_entropy(f_t_logits_augmented_t, label, reduction="none")
    else:
        squared = (f_t_logits_augmented_t.softmax(1) - teacher).square()
        loss = squared.mean(1) if target == "probabilities" else squared.sum(1)
    return (loss * (certainty > threshold)).mean()


@losses("masked_consistency")
def masked_consistency(f_t_logits_masked_t: Tensor, teacher_logits_real_t: Tensor) -> Tensor:
    """The student says of an image with hidden patches what the teacher says of the whole. (N, K) -> scalar

    Cross-entropy with the teacher's argmax, each image weighted by the teacher's largest probability, mean over the batch
    (Hoyer et al. 2023, MIC, section 3.2, with its weight for classification).
    """
    certainty, label = teacher_logits_real_t.detach().softmax(1).max(1)
    return (certainty * F.cross_entropy(f_t_logits_masked_t, label, reduction="none")).mean()


def mixed_cross_entropy(
    logits: Tensor, label: Tensor, classmix_mask: Tensor, teacher_logits: Tensor, threshold: float
) -> Tensor:
    """Cross-entropy, mean over ALL pixels: what is pasted weighs 1, the rest of an image the share of its pixels of which the

    teacher is surer than `threshold` (Tranheden et al. 2021, section 3; their release takes the share over the batch).
    Logits (N, K, H, W), label (N, H, W) int64, pasted (N, H, W) bool -> scalar. What is IGNORE costs nothing.
    """
    n = len(label)
    sure = (
        (teacher_logits.detach().softmax(1).amax(1) > threshold).reshape(n, -1).float().mean(1, keepdim=True)
    )
    weight = torch.where(classmix_mask.reshape(n, -1), 1.0, sure)
    cost = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none").reshape(n, -1)
    return (weight * cost).mean()


@losses("class_mix_translated")
def class_mix_translated(
    f_t_logits_mixed_fake_t: Tensor,
    label_mixed: Tensor,
    classmix_mask: Tensor,
    teacher_logits_real_t: Tensor,
    *,
    threshold: Share = 0.968,
) -> Tensor:
    """f_t names half of the classes of a translated scene, pasted onto a target scene that the teacher labels (DACS)."""
    return mixed_cross_entropy(
        f_t_logits_mixed_fake_t, label_mixed, classmix_mask, teacher_logits_real_t, threshold
    )


@losses("class_mix_source")
def class_mix_source(
    f_t_logits_mixed_real_s: Tensor,
    label_mixed: Tensor,
    classmix_mask: Tensor,
    teacher_logits_real_t: Tensor,
    *,
    threshold: Share = 0.968,
) -> Tensor:
    """The same with real source scenes, as in DACS itself: no translation is needed."""
    return mixed_cross_entropy(
        f_t_logits_mixed_real_s, label_mixed, classmix_mask, teacher_logits_real_t, threshold
    )


@losses("class_balance")
def class_balance(
    f_t_logits_augmented_t: Tensor, label_s: Tensor, *, prior: Literal["uniform", "source"] = "uniform"
) -> Tensor:
    """Binary cross-entropy of the batch's mean probabilities with a prior, mean over classes (French et al. 2018, section 3.4),

    less what it is at the best: 0 where the batch is called every class as often as the prior says. Keeps a class from
    swallowing others. uniform: 1/K, the paper's, for classes that are about equally frequent. source: each class's share of the
    batch's labels, for scenes, a third of which is road; it takes both domains to show classes equally often. One batch's
    shares are noisy, but the loss is linear in the prior, so that its gradient is right on average. The paper's code sums over the K
    classes, multiplies by the share of sure images and weighs that by 0.005; weights from there are K times larger here, without the gate.
    """
    mean = (
        f_t_logits_augmented_t.softmax(1).movedim(1, -1).flatten(0, -2).mean(0)
    )  # over images, or over all their pixels
    if prior == "uniform":
        wanted = torch.full_like(mean, 1 / len(mean))
    else:
        count = torch.histc(label_s.float(), len(mean), 0, len(mean))  # what is IGNORE lies outside
        wanted = count / count.sum().clamp_min(1)
    return F.binary_cross_entropy(mean, wanted) - F.binary_cross_entropy(wanted, wanted)
