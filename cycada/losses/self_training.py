"""Self-training: a teacher, the moving average of f_t, labels target images for f_t, which sees them augmented."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import Share, losses


@losses("self_training")
def self_training(
    logits_augmented_t: Tensor,
    teacher_logits_real_t: Tensor,
    *,
    threshold: Share = 0.9,
    target: Literal["label", "probabilities"] = "label",
) -> Tensor:
    """Where the teacher is surer than `threshold`, the student says the same of the augmented image. (N, K) -> scalar

    label: cross-entropy with the teacher's argmax (Lee 2013; FixMatch, Sohn et al. 2020, eq. 4). probabilities: the squared
    difference of the probabilities, summed over classes (self-ensembling, French et al. 2018, section 3.2). The sum over
    the sure images is divided by ALL of the batch, as in both: few sure images weigh little.
    """
    teacher = teacher_logits_real_t.detach().softmax(1)
    certainty, label = teacher.max(1)
    if target == "label":
        loss = F.cross_entropy(logits_augmented_t, label, reduction="none")
    else:
        loss = (logits_augmented_t.softmax(1) - teacher).square().sum(1)
    return (loss * (certainty > threshold)).mean()


@losses("masked_consistency")
def masked_consistency(logits_masked_t: Tensor, teacher_logits_real_t: Tensor) -> Tensor:
    """The student says of an image with hidden patches what the teacher says of the whole. (N, K) -> scalar

    Cross-entropy with the teacher's argmax, each image weighted by the teacher's largest probability, mean over the batch
    (Hoyer et al. 2023, MIC, section 3.2, with its weight for classification).
    """
    certainty, label = teacher_logits_real_t.detach().softmax(1).max(1)
    return (certainty * F.cross_entropy(logits_masked_t, label, reduction="none")).mean()


@losses("class_balance")
def class_balance(logits_augmented_t: Tensor) -> Tensor:
    """Binary cross-entropy of the batch's mean probabilities with 1/K, mean over classes (French et al. 2018, section 3.4),

    less what it is at the best: 0 where the batch is called every class alike. Keeps a class from swallowing others.
    """
    mean = logits_augmented_t.softmax(1).movedim(1, -1).flatten(0, -2).mean(0)  # over images, or over all their pixels
    uniform = torch.full_like(mean, 1 / len(mean))
    return F.binary_cross_entropy(mean, uniform) - F.binary_cross_entropy(uniform, uniform)
