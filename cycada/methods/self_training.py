"""Self-training on top of any stage: the moving average of f_t teaches it on target images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cycada.data import Augment, mask_patches
from cycada.methods.cycada import PixelViews, TaskOptions
from cycada.methods.recipe import Method, PhasePlan, methods


@dataclass(frozen=True)
class SelfTrainingOptions(TaskOptions):
    """The random affine map between what the teacher and what the student sees of a target image: degrees and shares.

    mask_patch, mask_share: for masked_consistency, the side in pixels of the squares that the student does not see, and
    how many of them; 0.7 is MIC's. The stage must have `ema: {f_t: ...}`: that average is the teacher.
    """

    rotate: float = 15.0
    scale: float = 0.15
    shear: float = 10.0
    shift: float = 0.1
    mask_patch: Annotated[int, Field(ge=1)] = 4
    mask_share: Annotated[float, Field(ge=0, le=1)] = 0.7


class SelfTrainingViews(PixelViews):
    """The labelled side is translated (task_translated) or real (task_source) source images."""

    @cached_property
    def augmented_t(self) -> Tensor:
        o = self.options
        return Augment(rotate=o.rotate, scale=o.scale, shear=o.shear, shift=o.shift)(self.real_t)

    @cached_property
    def logits_augmented_t(self) -> Tensor:
        return self.nets.f_t(self.augmented_t).logits

    @cached_property
    def masked_t(self) -> Tensor:
        return mask_patches(self.real_t, self.options.mask_patch, self.options.mask_share)

    @cached_property
    def logits_masked_t(self) -> Tensor:
        return self.nets.f_t(self.masked_t).logits

    @cached_property
    def teacher_logits_real_t(self) -> Tensor:
        with torch.no_grad():
            return self.nets.f_teacher(self.real_t).logits


TERMS = {"task_translated": 1.0, "task_source": 0.0, "self_training": 1.0, "class_balance": 0.0, "masked_consistency": 0.0}

methods.add(
    "self_training",
    Method(
        SelfTrainingViews,
        (PhasePlan("task", ("f_t",), TERMS),),
        "+ self-training",
        "f_t learns from its moving average's sure answers on target images, beside translated (or real) source images",
        options=SelfTrainingOptions,
        grid=("real_s", "fake_t", "real_t", "augmented_t"),
    ),
)
