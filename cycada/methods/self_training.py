"""Self-training on top of any stage: the moving average of f_t teaches it on target images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Angle, Below1, NonNegative, Share, Shear, Side
from cycada.data import Augment, classmix_mask, mask_patches, photometric
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.cycada import PixelTensors, TaskOptions
from cycada.methods.step_tensors import option


@dataclass(frozen=True)
class SelfTrainingOptions(TaskOptions):
    """What is done by chance to the target image that the student sees, while the teacher sees it as it is.

    rotate, scale, shear, shift: a random affine map, in degrees and shares; not on scenes, whose pixels it
    would take away from the teacher's. jitter: +- share of brightness, contrast, saturation and of a turn of
    the colours; blur: the largest standard deviation in pixels. Both as in DACS's release on scenes and 0
    otherwise; they meet the mixed and the masked images, too. mask_patch, mask_share: for masked_consistency,
    the side in pixels of the squares that the student does not see, and how many of them; 0.7 is MIC's. The
    stage must have `ema: {f_t: ...}`: that average is the teacher.
    """

    rotate: Angle = option(15.0, segmentation_default=0.0, image_labels_only=True)
    scale: Below1 = option(0.15, segmentation_default=0.0, image_labels_only=True)
    shear: Shear = option(10.0, segmentation_default=0.0, image_labels_only=True)
    shift: Below1 = option(0.1, segmentation_default=0.0, image_labels_only=True)
    mask_patch: Side = 4
    mask_share: Share = 0.7
    jitter: Share = option(0.0, segmentation_default=0.25, omit_default_from_id=True)
    blur: Annotated[NonNegative, Field(le=100)] = option(
        0.0, segmentation_default=1.15, omit_default_from_id=True
    )


class SelfTrainingTensors(PixelTensors):
    """The labelled side is translated (task_translated) or real (task_source) source images.

    mixed_fake_t, mixed_real_s: half of the classes of a translated (or real) source image on top of a target
    image (DACS, Tranheden et al. 2021, section 3), with the source's labels there and the teacher's
    elsewhere. The teacher is in eval mode and normalises by averaged running statistics of both domains;
    DACS's and self-ensembling's code leaves it in train mode, where batch norm takes the target batch's own.
    """

    needs_pixel_labels = frozenset({"classmix_mask"})

    def _as_the_student_sees(self, images: Tensor) -> Tensor:
        return photometric(images, self.options.jitter, self.options.blur)

    @cached_property
    def augmented_t(self) -> Tensor:
        o = self.options
        moved = Augment(rotate=o.rotate, scale=o.scale, shear=o.shear, shift=o.shift)(self.real_t)
        return self._as_the_student_sees(moved)

    @cached_property
    def f_t_logits_augmented_t(self) -> Tensor:
        return self.nets.f_t(self.augmented_t).logits

    @cached_property
    def masked_t(self) -> Tensor:
        return mask_patches(
            self._as_the_student_sees(self.real_t), self.options.mask_patch, self.options.mask_share
        )

    @cached_property
    def f_t_logits_masked_t(self) -> Tensor:
        return self.nets.f_t(self.masked_t).logits

    @cached_property
    def teacher_logits_real_t(self) -> Tensor:
        with torch.no_grad():
            return self.nets.f_teacher(self.real_t).logits

    @cached_property
    def classmix_mask(self) -> Tensor:
        """(N, H, W) bool: where the mixed images show the source."""
        return classmix_mask(self.label_s, self.teacher_logits_real_t.shape[1])

    @cached_property
    def label_mixed(self) -> Tensor:
        return torch.where(self.classmix_mask, self.label_s, self.teacher_logits_real_t.argmax(1))

    def _mixed(self, source: Tensor) -> Tensor:
        return self._as_the_student_sees(torch.where(self.classmix_mask.unsqueeze(1), source, self.real_t))

    @cached_property
    def mixed_fake_t(self) -> Tensor:
        return self._mixed(self.fake_t)

    @cached_property
    def f_t_logits_mixed_fake_t(self) -> Tensor:
        return self.nets.f_t(self.mixed_fake_t).logits

    @cached_property
    def mixed_real_s(self) -> Tensor:
        return self._mixed(self.real_s)

    @cached_property
    def f_t_logits_mixed_real_s(self) -> Tensor:
        return self.nets.f_t(self.mixed_real_s).logits


TERMS = {
    "task_translated": 1.0,
    "task_source": 0.0,
    "self_training": 1.0,
    "class_balance": 0.0,
    "masked_consistency": 0.0,
    "class_mix_translated": 0.0,
    "class_mix_source": 0.0,
}

methods.add(
    "self_training",
    Method(
        SelfTrainingTensors,
        (PhaseSpec("task", ("f_t",), TERMS),),
        "+ self-training",
        "f_t learns from its moving average's sure answers on target images, beside translated (or real) "
        "source images",
        options=SelfTrainingOptions,
        preview=("real_s", "fake_t", "real_t", "augmented_t"),
    ),
)
