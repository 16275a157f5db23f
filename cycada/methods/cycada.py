"""CyCADA (Hoffman et al. 2018): the pixel step, the task on translated images, the feature step, and all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cycada.core.bounds import NonNegative, Part, Share
from cycada.core.types import Output
from cycada.data import resize_images
from cycada.losses.task import labelled_cross_entropy
from cycada.methods.adda import FEATURE_DISCRIMINATOR, DomainDiscriminatorOptions, DomainDiscriminatorTensors
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.cyclegan import (
    DISCRIMINATORS,
    GRID,
    CycleGANTensors,
    CycleOptions,
    generators,
    translation_scored,
)
from cycada.methods.step_tensors import Options, kept_detached, option


@dataclass(frozen=True)
class PixelOptions(CycleOptions):
    """semantic_gate: the semantic losses count only while f_s's cross-entropy on the batch's source images is at most

    this (1.0 in the release, whose f_s starts untrained). null: always, as in the paper, whose f_s is trained before.
    """

    semantic_gate: NonNegative | None = None


@dataclass(frozen=True)
class TaskOptions(Options):
    """translate_at: the scale at which g_st translates the labelled images, which are then enlarged back to theirs; for a

    g_st that was trained on scenes smaller than this stage's, by that factor. Sides are rounded to what g_st takes. null: as
    they are. With the stage's `translate: once` it is the scenes that are translated so.
    """

    translate_at: Part | None = option(None, omit_default_from_id=True)


@dataclass(frozen=True)
class FeatureOptions(DomainDiscriminatorOptions, TaskOptions):
    """As for adda and cycada_task."""


@dataclass(frozen=True)
class JointOptions(PixelOptions):
    """All of the above in one stage."""

    critic_input: Literal["features", "scores"] = "scores"
    gate: Share | None = None


class PixelTensors(CycleGANTensors):
    """What f_s (`f_s_logits_*`) and f_t (`f_t_logits_*`) say of real and of translated images."""

    @kept_detached
    def fake_t(self) -> Tensor:
        if self.batch.fake_t is not None:
            return self.batch.fake_t
        return translation_of(self.options, self.nets.g_st)(self.real_s)

    @cached_property
    def f_s_output_real_s(self) -> Output:
        return self.nets.f_s(self.real_s)

    @cached_property
    def f_s_logits_real_s(self) -> Tensor:
        return self.f_s_output_real_s.logits

    @cached_property
    def f_s_logits_real_t(self) -> Tensor:
        return self.nets.f_s(self.real_t).logits

    @cached_property
    def f_s_output_fake_t(self) -> Output:
        return self.nets.f_s(self.fake_t)

    @cached_property
    def f_s_logits_fake_t(self) -> Tensor:
        return self.f_s_output_fake_t.logits

    @cached_property
    def f_s_logits_fake_s(self) -> Tensor:
        return self.nets.f_s(self.fake_s).logits

    @cached_property
    def semantic_gate(self) -> Tensor:
        """0. or 1., alike in every process."""
        if self.options.semantic_gate is None:
            return torch.ones((), device=self.real_s.device)
        with torch.no_grad():
            loss = labelled_cross_entropy(self.f_s_logits_real_s.float(), self.label_s)
            return (self.average(loss) <= self.options.semantic_gate).float()

    @cached_property
    def output_fake_t(self) -> Output:
        return self.nets.f_t(self.fake_t)

    @cached_property
    def f_t_logits_fake_t(self) -> Tensor:
        return self.output_fake_t.logits

    @cached_property
    def f_t_logits_real_s(self) -> Tensor:
        return self.nets.f_t(self.real_s).logits


def translation_of(options: Any, generator: nn.Module) -> Callable[[Tensor], Tensor]:
    """How a stage with these options translates source images, at their own size: fake_t of real_s."""
    scale: float | None = getattr(options, "translate_at", None)
    return (
        generator
        if scale is None
        else lambda images: enlarged(translated_at(scale, generator, images), images)
    )


def translated_at(scale: float, generator: nn.Module, images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, h, w): translated at `scale` of height and width, rounded to what the generator takes."""
    multiple = int(getattr(generator, "multiple_of", 1))
    size = [max(1, round(side * scale / multiple)) * multiple for side in images.shape[-2:]]
    result: Tensor = generator(resize_images(images, size))
    return result


def enlarged(images: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(images.float(), like.shape[-2:], mode="bilinear", align_corners=False)


class JointTensors(PixelTensors, DomainDiscriminatorTensors):
    """The source side of D_feat is f_s on translated images, the target side f_t on real ones (CyCADA eq. 5).

    The paper minimises eq. 5 over f_T and both generators and maximises it over the discriminators, so that G_st learns from
    L_task(f_T, G_st(X_S), Y_S) and L_GAN(f_T, D_feat, f_S(G_st(X_S)), X_T), too. Here every phase sees what an earlier one made as a
    constant: in the stage `cycada` G_st learns from the image, cycle and semantic terms alone, and f_t from the images that G_st made
    before it moved.
    """

    @cached_property
    def output_source(self) -> Output:  # type: ignore[override]
        return self.f_s_output_fake_t

    @cached_property
    def output_target(self) -> Output:  # type: ignore[override]
        return self.nets.f_t(self.real_t)


PIXEL = generators(cycle=1.0, semantic=1.0)
CLASSIFIER = PhaseSpec(
    "classifier", ("f_s",), {"task_classifier": 0.0}, {"name": "adam", "lr": 1e-3, "betas": (0.5, 0.999)}
)

methods.add(
    "cycada_pixel",
    Method(
        PixelTensors,
        (
            PIXEL,
            DISCRIMINATORS,
            CLASSIFIER,
            PhaseSpec("task", ("f_t",), {"task_translated": 0.0, "task_source": 0.0}),
        ),
        "translation, read by f_s",
        "CycleGAN kept honest by the semantic loss of a frozen f_s (CyCADA eq. 2 to 4); task_translated: 1 trains f_t along",
        options=PixelOptions,
        classifiers=translation_scored,
        preview=GRID,
    ),
)
methods.add(
    "cycada_task",
    Method(
        PixelTensors,
        (PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "task_source": 0.0}),),
        "pixel only",
        "f_t on images translated by a frozen g_st, with their source labels: CyCADA, pixel only",
        options=TaskOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
methods.add(
    "cycada_feature",
    Method(
        JointTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "feature_gan": 0.1, "task_source": 0.0}),
            FEATURE_DISCRIMINATOR,
        ),
        "pixel + feature",
        "f_t's target features against f_s's features of translated images, g_st and f_s frozen (CyCADA eq. 5)",
        options=FeatureOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)


class TiedTensors(JointTensors):
    """f_t on both sides of D_feat, as the release has it for segmentation (weights_shared)."""

    @cached_property
    def output_source(self) -> Output:  # type: ignore[override]
        return self.output_fake_t


methods.add(
    "cycada_feature_tied",
    Method(
        TiedTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "feature_gan": 0.1, "task_source": 0.0}),
            FEATURE_DISCRIMINATOR,
        ),
        "pixel + feature",
        "f_t's target features against its own of translated images: the release's feature step for segmentation",
        options=FeatureOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
methods.add(
    "cycada",
    Method(
        JointTensors,
        (
            PIXEL,
            DISCRIMINATORS,
            CLASSIFIER,
            PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "feature_gan": 0.1, "task_source": 0.0}),
            FEATURE_DISCRIMINATOR,
        ),
        "pixel + feature, joint",
        "all terms of CyCADA eq. 5 in one stage, with a frozen f_s; g_st learns from the image and semantic terms alone",
        options=JointOptions,
        preview=GRID,
    ),
)
