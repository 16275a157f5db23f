"""Self-training on top of any stage: the exponential moving average (EMA) of f_t teaches f_t.

The losses come from self-ensembling (French et al. 2018), FixMatch (Sohn et al. 2020), DACS (domain
adaptation via cross-domain mixed sampling, Tranheden et al. 2021) and MIC (masked image consistency, Hoyer et
al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from cycada.core.bounds import (
    Angle,
    Below1,
    Neighbours,
    NonNegative,
    QueueSize,
    Ratio,
    Share,
    Shear,
    Side,
    Views,
)
from cycada.core.types import Output
from cycada.data import Augment, classmix_mask, mask_patches
from cycada.methods.adda import FEATURE_DISCRIMINATOR
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.batch_statistics import batch_statistics
from cycada.methods.cycada import FeatureOptions, FeatureTensors
from cycada.methods.label_propagation import SETTLING_IMAGES, balanced, expected_shares, propagated_labels
from cycada.methods.roles import FEATURE_QUEUE, Networks
from cycada.methods.step_tensors import option


@dataclass(frozen=True)
class SelfTrainingOptions(FeatureOptions):
    """Options for the random changes of target images that the student sees, and for the teacher's labels.

    Those of the feature step matter where its loss is kept on (`feature_gan`).

    The stage must have `ema: {f_t: ...}`: that average is the teacher.

    Attributes:
        rotate: Largest rotation of the affine augmentation, in degrees. None of the affine options is allowed
            for segmentation, where pixels would no longer match the teacher's labels.
        scale: Largest change of size, as a fraction.
        shear: Largest shear, in degrees.
        shift: Largest shift, as a fraction of the image's side.
        random_convolution: Probability that an image is mixed with a random convolution of itself, in [0, 1]
            (see `convolve_randomly`).
        mask_patch: For masked_consistency: the side in pixels of the squares that are hidden from the
            student.
        mask_share: For masked_consistency: the fraction of the squares that is hidden; 0.7 is MIC's.
        jitter: Largest relative change of brightness, contrast, saturation and hue. For segmentation the
            defaults of this and `blur` are those of DACS's code. Both and `random_convolution` change the
            mixed and the masked images, too.
        blur: Largest standard deviation of the blur, in pixels.
        teacher_batch_norm: Statistics by which the teacher's batch norm normalises target images: `stored`,
            the running statistics (see `batch_norm`), or `batch`, those of the batch itself, as in the
            code of DACS and of self-ensembling, whose teachers stay in train mode. Dropout is off either way.
        teacher_views: The number of views of a target image over which the teacher's predictions and
            features are averaged: the image itself, and affine transformations of it as large as the
            student's. MixMatch makes its labels in the same way (Berthelot et al. 2019, eq. 6).
        propagation: How much of the teacher's labels comes from label propagation, in [0, 1]: its predictions
            are propagated over a graph of the batch's and earlier target images, so that images with similar
            features get the same label (Iscen et al. 2019).
        propagation_neighbours: The number of nearest neighbours of each image in that graph.
        propagation_queue: How many earlier target images are in the graph; fewer for a small training set,
            because copies of an image would be its nearest neighbours. Every epoch has a new order, so that
            the queue may still hold a copy from the epoch before: rarely in a large set, but for almost half
            of the images if the queue is as large as the set.
        propagation_class_ratio: r >= 1: before propagation, predictions are balanced so that the share of
            each class is between 1/r and r times the expected one (see `balanced`). The expected shares are
            estimated before the first step (see `expected_shares`). A large r such as 1000 switches balancing
            off.
    """

    critic_input: Literal["features", "scores"] = option("scores", omit_default_from_id=True)
    gate: Share | None = option(None, omit_default_from_id=True)
    rotate: Angle = option(15.0, segmentation_default=0.0, image_labels_only=True)
    scale: Below1 = option(0.15, segmentation_default=0.0, image_labels_only=True)
    shear: Shear = option(10.0, segmentation_default=0.0, image_labels_only=True)
    shift: Below1 = option(0.1, segmentation_default=0.0, image_labels_only=True)
    random_convolution: Share = option(0.0, omit_default_from_id=True)
    mask_patch: Side = 4
    mask_share: Share = 0.7
    jitter: Share = option(0.0, segmentation_default=0.25, omit_default_from_id=True)
    blur: Annotated[NonNegative, Field(le=100)] = option(
        0.0, segmentation_default=1.15, omit_default_from_id=True
    )
    teacher_batch_norm: Literal["stored", "batch"] = option("stored", omit_default_from_id=True)
    teacher_views: Views = option(1, image_labels_only=True, omit_default_from_id=True)
    propagation: Share = option(0.0, image_labels_only=True, omit_default_from_id=True)
    propagation_neighbours: Neighbours = option(5, image_labels_only=True, omit_default_from_id=True)
    propagation_queue: QueueSize = option(1024, image_labels_only=True, omit_default_from_id=True)
    propagation_class_ratio: Ratio = option(1.1, image_labels_only=True, omit_default_from_id=True)

    def without_effect(self) -> dict[str, str]:
        """Return the options of label propagation and of views where there are none, each with the reason."""
        idle: dict[str, str] = {}
        if not self.propagation:
            names = [f.name for f in fields(self) if f.name.startswith("propagation_")]
            idle |= dict.fromkeys(names, "options.propagation is 0")
        if not any((self.rotate, self.scale, self.shear, self.shift)):
            idle["teacher_views"] = "rotate, scale, shear and shift are 0, so that all views are alike"
        return super().without_effect() | idle

    def unused_roles(self) -> frozenset[str]:
        """Return the queue of earlier features where no label is propagated."""
        return frozenset() if self.propagation else frozenset({FEATURE_QUEUE})

    def identity(self) -> dict[str, Any]:
        """Return the options that enter a stage's id; with propagation, how the classes are balanced, too.

        Stages that propagated labels before balanced the classes in other ways.
        """
        if not self.propagation:
            return super().identity()
        ratio = {"propagation_class_ratio": self.propagation_class_ratio}
        return super().identity() | ratio | {"expected_shares": "James-Stein"}


def log_of(probabilities: Tensor) -> Tensor:
    """Return the logarithms of probabilities, which are finite: logits whose softmax they are."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


SelfTrainingOptionsT = TypeVar("SelfTrainingOptionsT", bound=SelfTrainingOptions, default=SelfTrainingOptions)


class SelfTrainingTensors(FeatureTensors[SelfTrainingOptionsT]):
    """Tensors of self-training; the labelled images are translated (task_translated) or real (task_source).

    mixed_fake_t and mixed_real_s show half of the classes of a translated (or real) source image on top of a
    target image (DACS, Tranheden et al. 2021, section 3), with the source's labels there and the teacher's
    elsewhere.
    """

    needs_pixel_labels = frozenset({"classmix_mask"})

    @property
    def _recolour(self) -> Augment:
        """Random changes of colours and sharpness, which leave every pixel at its place."""
        o = self.options
        return Augment(random_convolution=o.random_convolution, jitter=o.jitter, blur=o.blur)

    def _moved(self, colours: Augment) -> Tensor:
        """Return target images after random affine changes and those of their colours."""
        o = self.options
        return replace(colours, rotate=o.rotate, scale=o.scale, shear=o.shear, shift=o.shift)(self.real_t)

    @cached_property
    def augmented_t(self) -> Tensor:
        """Augmented target images, (N, C, H, W)."""
        return self._moved(self._recolour)

    @cached_property
    def f_t_logits_augmented_t(self) -> Tensor:
        """The student's logits of augmented target images, (N, K, ...)."""
        return self.nets.f_t(self.augmented_t).logits

    @cached_property
    def masked_t(self) -> Tensor:
        """Target images with hidden patches, (N, C, H, W)."""
        return mask_patches(self._recolour(self.real_t), self.options.mask_patch, self.options.mask_share)

    @cached_property
    def f_t_logits_masked_t(self) -> Tensor:
        """The student's logits of masked target images, (N, K, ...)."""
        return self.nets.f_t(self.masked_t).logits

    @cached_property
    def teacher_output_real_t(self) -> Output:
        """The mean output of f_t's moving average on views of target images, without a graph."""
        teacher, more = self.nets.f_teacher, self.options.teacher_views - 1
        by_batch = self.options.teacher_batch_norm == "batch"
        with torch.no_grad(), batch_statistics(teacher) if by_batch else nullcontext():
            outputs = [teacher(self.real_t), *(teacher(self._moved(Augment())) for _ in range(more))]
        if not more:
            return outputs[0]
        features = torch.stack([o.features.float() for o in outputs]).mean(0)
        mean = torch.stack([o.logits.float().softmax(1) for o in outputs]).mean(0)
        return Output(features, log_of(mean))

    @cached_property
    def teacher_prediction_real_t(self) -> Tensor:
        """The teacher's logits of target images before label propagation, (N, K, ...), without a graph."""
        return self.teacher_output_real_t.logits

    @cached_property
    def teacher_logits_real_t(self) -> Tensor:
        """The teacher's logits of target images, (N, K, ...), without a graph."""
        share = self.options.propagation
        if share == 0:
            return self.teacher_prediction_real_t
        features, own = self.queued_features, self.queued_probabilities[: len(self.real_t)]
        labels = propagated_labels(features, self.balanced_probabilities, self.options.propagation_neighbours)
        return log_of(torch.lerp(own, labels[: len(own)], share))

    @cached_property
    def queued_outputs(self) -> Tensor:
        """The teacher's features and probabilities of these and earlier target images, (N + M, D + K)."""
        features = self.teacher_output_real_t.features.float()
        probabilities = self.teacher_prediction_real_t.float().softmax(1)
        rows: Tensor = self.nets.pool_features(torch.cat([features, probabilities], 1))
        return rows

    @property
    def queued_features(self) -> Tensor:
        """The features among `queued_outputs`, (N + M, D)."""
        return self.queued_outputs[:, : self.teacher_output_real_t.features.shape[1]]

    @cached_property
    def queued_probabilities(self) -> Tensor:
        """The probabilities among `queued_outputs`, (N + M, K)."""
        return self.queued_outputs[:, self.teacher_output_real_t.features.shape[1] :]

    @cached_property
    def balanced_probabilities(self) -> Tensor:
        """The same, with the share of every class near the expected one, (N + M, K)."""
        ratio = self.options.propagation_class_ratio
        return balanced(self.queued_probabilities, self.nets.pool_features.shares, ratio)

    @classmethod
    def before_first_step(
        cls, nets: Networks, options: SelfTrainingOptionsT, tensors_of: Callable[[int], Self]
    ) -> None:
        """Settle the expected shares of the classes and fill the queue of features, if labels are propagated.

        The networks with which the stage begins decide, since what the teacher learns from its own labels
        must not decide about them: a class that gets lost on the way would be taken for a rare one.

        Args:
            nets: The networks of the stage.
            options: The stage's options.
            tensors_of: Function from a number to the tensors of that batch.
        """
        if not options.propagation:
            return
        seen: list[Tensor] = []
        while not seen or sum(map(len, seen)) < max(SETTLING_IMAGES, options.propagation_queue):
            tensors = tensors_of(len(seen))
            _ = tensors.queued_outputs
            seen.append(tensors.queued_probabilities[: len(tensors.real_t)])
        shares = tensors.average(expected_shares(torch.cat(seen)))
        nets.pool_features.shares.copy_(shares)

    @cached_property
    def classmix_mask(self) -> Tensor:
        """Where the mixed images show the source, (N, H, W) bool."""
        return classmix_mask(self.label_s, self.teacher_logits_real_t.shape[1])

    @cached_property
    def label_mixed(self) -> Tensor:
        """Labels of the mixed images, (N, H, W) int64: the source's where pasted, else the teacher's."""
        return torch.where(self.classmix_mask, self.label_s, self.teacher_logits_real_t.argmax(1))

    def _mixed(self, source: Tensor) -> Tensor:
        return self._recolour(torch.where(self.classmix_mask.unsqueeze(1), source, self.real_t))

    @cached_property
    def mixed_fake_t(self) -> Tensor:
        """Target images with classes of translated source images pasted in, (N, C, H, W)."""
        return self._mixed(self.fake_t)

    @cached_property
    def f_t_logits_mixed_fake_t(self) -> Tensor:
        """The student's logits of mixed_fake_t, (N, K, H, W)."""
        return self.nets.f_t(self.mixed_fake_t).logits

    @cached_property
    def mixed_real_s(self) -> Tensor:
        """Target images with classes of real source images pasted in, (N, C, H, W)."""
        return self._mixed(self.real_s)

    @cached_property
    def f_t_logits_mixed_real_s(self) -> Tensor:
        """The student's logits of mixed_real_s, (N, K, H, W)."""
        return self.nets.f_t(self.mixed_real_s).logits


TERMS = {
    "task_translated": 1.0,
    "task_source": 0.0,
    "feature_gan": 0.0,
    "self_training": 1.0,
    "class_balance": 0.0,
    "masked_consistency": 0.0,
    "class_mix_translated": 0.0,
    "class_mix_source": 0.0,
}
"""Losses of f_t, with their default weights."""

methods.add(
    "self_training",
    Method(
        SelfTrainingTensors,
        (PhaseSpec("task", ("f_t",), TERMS), FEATURE_DISCRIMINATOR),
        "+ self-training",
        "train f_t on confident predictions of its own EMA",
        details="The EMA labels target images; f_t also learns from translated (or real) source images. "
        "With `feature_gan` it keeps the loss of the feature step.",
        options=SelfTrainingOptions,
        preview=("real_s", "fake_t", "real_t", "augmented_t"),
    ),
)
