"""Losses of self-training: a teacher labels target images, and the student f_t learns from its labels.

The teacher's weights are the exponential moving average (EMA) of f_t's. It sees target images as they are;
the student sees them augmented, masked or mixed with source images.
"""

from __future__ import annotations

from math import log
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
    certainty: bool = False,
) -> Tensor:
    """Train f_t on a teacher's confident target predictions.

    It shall predict on an augmented target image what the teacher predicts on the original.

    Args:
        f_t_logits_augmented_t: The student's logits of augmented target images, (N, K, ...).
        teacher_logits_real_t: The teacher's logits of the same images as they are, (N, K, ...).
        threshold: Only images (or pixels) count on which the teacher's largest probability is above this.
        target: What the student learns. `label`: the teacher's most probable class, by cross-entropy (Lee
            2013; FixMatch, Sohn et al. 2020, eq. 4). `probabilities`: the teacher's probabilities, by their
            squared difference, mean over the classes (self-ensembling, French et al. 2018, section 3.2, as in
            their code). `summed_probabilities`: the same summed over the K classes, K times as strong; this
            is what `probabilities` meant in earlier versions.
        certainty: Weight every image by 1 - H / log K, with H the entropy of the teacher's K probabilities
            (Iscen et al. 2019, eq. 11): 1 where it is sure, 0 where all classes are equally probable. With
            `threshold: 0` this is for a teacher that is seldom sure, such as one with propagated labels.

    Returns:
        A scalar. The sum over the confident images is divided by the size of the WHOLE batch, as in both
        papers, so that few confident images weigh little.
    """
    teacher = teacher_logits_real_t.detach().softmax(1)
    confidence, label = teacher.max(1)
    if target == "label":
        loss = F.cross_entropy(f_t_logits_augmented_t, label, reduction="none")
    else:
        squared = (f_t_logits_augmented_t.softmax(1) - teacher).square()
        loss = squared.mean(1) if target == "probabilities" else squared.sum(1)
    weight = (confidence > threshold).to(loss.dtype)
    if certainty:
        entropy = -torch.special.xlogy(teacher, teacher).sum(1)
        weight = weight * (1 - entropy / log(max(2, teacher.shape[1])))
    return (loss * weight).mean()


@losses("masked_consistency")
def masked_consistency(f_t_logits_masked_t: Tensor, teacher_logits_real_t: Tensor) -> Tensor:
    """Train f_t on target images with hidden patches (MIC).

    It shall predict there what the teacher predicts on the whole image. This is the loss of MIC (masked image
    consistency, Hoyer et al. 2023, section 3.2, with its weighting for classification): the cross-entropy
    with the teacher's most probable class, each image weighted by the teacher's largest probability.

    Args:
        f_t_logits_masked_t: The student's logits of masked target images, (N, K, ...).
        teacher_logits_real_t: The teacher's logits of the whole images, (N, K, ...).

    Returns:
        A scalar, the mean over the batch.
    """
    confidence, label = teacher_logits_real_t.detach().softmax(1).max(1)
    return (confidence * F.cross_entropy(f_t_logits_masked_t, label, reduction="none")).mean()


def mixed_cross_entropy(
    logits: Tensor, label: Tensor, classmix_mask: Tensor, teacher_logits: Tensor, threshold: float
) -> Tensor:
    """Return the weighted cross-entropy of images that are mixed from source and target images (ClassMix).

    Pasted source pixels have the weight 1. The other pixels of an image have as their weight the fraction of
    its pixels on which the teacher's confidence is above `threshold` (Tranheden et al. 2021, section 3; their
    code takes the fraction over the batch).

    Args:
        logits: Logits of the mixed images, (N, K, H, W).
        label: Labels of the mixed images, (N, H, W) int64. Pixels with `IGNORE` contribute 0.
        classmix_mask: Where a mixed image shows the source, (N, H, W) bool.
        teacher_logits: The teacher's logits of the target images, (N, K, H, W).
        threshold: The confidence, in [0, 1].

    Returns:
        A scalar, the mean over ALL pixels.
    """
    n = len(label)
    confident_fraction = (
        (teacher_logits.detach().softmax(1).amax(1) > threshold).reshape(n, -1).float().mean(1, keepdim=True)
    )
    weight = torch.where(classmix_mask.reshape(n, -1), 1.0, confident_fraction)
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
    """Train f_t on target images mixed with translated images.

    Half of the classes of a translated source image are pasted into each target image (DACS). DACS stands for
    domain adaptation via cross-domain mixed sampling (Tranheden et al. 2021, section 3). Pasted pixels have
    the source label, the others the teacher's. See `mixed_cross_entropy` for the weights.
    """
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
    """Train f_t on target images mixed with source images.

    Half of the classes of a real source image are pasted into each target image. This is DACS itself
    (Tranheden et al. 2021, section 3), which needs no translation. See `mixed_cross_entropy` for the weights.
    """
    return mixed_cross_entropy(
        f_t_logits_mixed_real_s, label_mixed, classmix_mask, teacher_logits_real_t, threshold
    )


@losses("class_balance")
def class_balance(
    f_t_logits_augmented_t: Tensor, label_s: Tensor, *, prior: Literal["uniform", "source"] = "uniform"
) -> Tensor:
    """Keep a batch's mean prediction near a prior of classes.

    So no class absorbs the others. This is the class balance loss of self-ensembling (French et al. 2018,
    section 3.4): the binary cross-entropy of the batch's mean probabilities with the prior, mean over the
    classes, less its smallest possible value. It is 0 where every class is predicted as often as the prior
    says. The paper's code sums over the K classes, multiplies the sum by the fraction of confident images and
    gives it the weight 0.005; a weight from there has to be K times as large here, and there is no such
    factor.

    Args:
        f_t_logits_augmented_t: The student's logits of augmented target images, (N, K, ...).
        label_s: Source labels, (N, ...); used for the prior `source` alone.
        prior: `uniform`, as in the paper: 1/K, for classes that are about equally frequent. `source`: each
            class's share of the batch's source labels, for segmentation, where a third of all pixels may be
            road; it assumes that both domains show the classes equally often. The shares of one batch are
            noisy, but the loss is linear in the prior, so that its gradient is right on average.

    Returns:
        A scalar.
    """
    # the mean over the images, or over all their pixels
    mean_probability = f_t_logits_augmented_t.softmax(1).movedim(1, -1).flatten(0, -2).mean(0)
    if prior == "uniform":
        class_prior = torch.full_like(mean_probability, 1 / len(mean_probability))
    else:
        classes = len(mean_probability)
        count = torch.histc(label_s.float(), classes, 0, classes)  # the value IGNORE lies outside
        class_prior = count / count.sum().clamp_min(1)
    entropy = F.binary_cross_entropy(class_prior, class_prior)
    return F.binary_cross_entropy(mean_probability, class_prior) - entropy
