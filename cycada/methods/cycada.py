"""CyCADA (cycle-consistent adversarial domain adaptation): its steps, and all of them in one stage.

See Hoffman et al. 2018. The pixel step translates (eq. 2 to 4), the task step trains f_t on translated
images, the feature step aligns f_t's features (eq. 5).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import TypeVar

from cycada.core.bounds import NonNegative, Part
from cycada.core.types import Output
from cycada.data import resize_images
from cycada.losses.task import labelled_cross_entropy
from cycada.methods.adda import FEATURE_DISCRIMINATOR, AddaOptions, DomainDiscriminatorTensors
from cycada.methods.base import Method, PhaseSpec, Translate, methods
from cycada.methods.batch_statistics import batch_statistics
from cycada.methods.cyclegan import (
    DISCRIMINATORS,
    GRID,
    CycleGANTensors,
    CycleOptions,
    generators,
    translation_classifiers,
)
from cycada.methods.step_tensors import Options, OptionsT, kept_detached, option


@dataclass(frozen=True)
class PixelOptions(CycleOptions):
    """Options of the pixel step.

    Attributes:
        semantic_gate: The semantic losses count only while f_s's cross-entropy on the batch's source images
            is at most this; None: always, as in the paper, where f_s is trained before. It is 1.0 in the
            released code, where f_s starts untrained.
    """

    semantic_gate: NonNegative | None = None


@dataclass(frozen=True)
class TaskOptions(Options):
    """Options of the task step.

    Attributes:
        translate_at: The scale at which g_st translates the labelled images, which are then enlarged to their
            own size again; None: at their own size. It is for a g_st that was trained on images smaller than
            this stage's by that factor. Sides are rounded to what g_st takes. With the stage's `translate:
            once` the stored translations are made in this way.
    """

    translate_at: Part | None = option(None, omit_default_from_id=True)


@dataclass(frozen=True)
class StatisticsOptions(Options):
    """Option of stages in which f_t sees images of both domains.

    Attributes:
        batch_norm: The images whose statistics f_t's batch norm stores, which normalise test images: `all`
            that f_t sees, or only those of the `target`. With `target`, labelled images are normalised by
            their own batch and do not change the stored statistics, as in the code of self-ensembling
            (French et al. 2018, section 3.1). It changes nothing for a network without batch norm.
    """

    batch_norm: Literal["all", "target"] = option("all", omit_default_from_id=True)


@dataclass(frozen=True)
class FeatureOptions(StatisticsOptions, AddaOptions, TaskOptions):
    """Options of the feature step: those of adda and of cycada_task, and batch_norm."""


@dataclass(frozen=True)
class JointOptions(AddaOptions, PixelOptions):
    """Options of all steps in one stage: those of adda and of cycada_pixel."""


class TranslatedTensors(CycleGANTensors[OptionsT]):
    """Tensors of CycleGAN, with the logits of f_s (`f_s_logits_*`) and f_t (`f_t_logits_*`) on its images."""

    @kept_detached
    def fake_t(self) -> Tensor:
        """Translated source images, (N, C, H, W) in [-1, 1]: stored ones or G_st(x_s)."""
        if self.batch.fake_t is not None:
            return self.batch.fake_t
        return _translation_at(getattr(self.options, "translate_at", None), self.nets.g_st)(self.real_s)

    @cached_property
    def f_s_output_real_s(self) -> Output:
        """f_s's output on source images."""
        return self.nets.f_s(self.real_s)

    @cached_property
    def f_s_logits_real_s(self) -> Tensor:
        """f_s's logits of source images, (N, K, ...)."""
        return self.f_s_output_real_s.logits

    @cached_property
    def f_s_logits_real_t(self) -> Tensor:
        """f_s's logits of target images, (N, K, ...)."""
        return self.nets.f_s(self.real_t).logits

    @cached_property
    def f_s_output_fake_t(self) -> Output:
        """f_s's output on translated source images."""
        return self.nets.f_s(self.fake_t)

    @cached_property
    def f_s_logits_fake_t(self) -> Tensor:
        """f_s's logits of translated source images, (N, K, ...)."""
        return self.f_s_output_fake_t.logits

    @cached_property
    def f_s_logits_fake_s(self) -> Tensor:
        """f_s's logits of translated target images, (N, K, ...)."""
        return self.nets.f_s(self.fake_s).logits

    @cached_property
    def output_fake_t(self) -> Output:
        """f_t's output on translated source images."""
        return self.f_t_output_of_labelled(self.fake_t)

    @cached_property
    def f_t_logits_fake_t(self) -> Tensor:
        """f_t's logits of translated source images, (N, K, ...)."""
        return self.output_fake_t.logits

    @cached_property
    def f_t_logits_real_s(self) -> Tensor:
        """f_t's logits of source images, (N, K, ...)."""
        return self.f_t_output_of_labelled(self.real_s).logits

    def f_t_output_of_labelled(self, images: Tensor) -> Output:
        """Return f_t's output on labelled images; see `StatisticsOptions.batch_norm`.

        Args:
            images: (N, C, H, W) in [-1, 1].
        """
        target_only = getattr(self.options, "batch_norm", "all") == "target"
        with batch_statistics(self.nets.f_t) if target_only else nullcontext():
            return self.nets.f_t(images)


PixelOptionsT = TypeVar("PixelOptionsT", bound=PixelOptions, default=PixelOptions)


class PixelTensors(TranslatedTensors[PixelOptionsT]):
    """Tensors of the pixel step."""

    @cached_property
    def semantic_gate(self) -> Tensor:
        """1. while f_s is accurate enough for `options.semantic_gate`, else 0.; the same in every process."""
        if self.options.semantic_gate is None:
            return torch.ones((), device=self.real_s.device)
        with torch.no_grad():
            loss = labelled_cross_entropy(self.f_s_logits_real_s.float(), self.label_s)
            return (self.average(loss) <= self.options.semantic_gate).float()


def translation_of(options: Options, generator: Translate) -> Translate:
    """Return the function with which a stage translates source images at their own size: fake_t from real_s.

    Args:
        options: The stage's options; only `translate_at` matters, and only where the method has it.
        generator: G_st.
    """
    return _translation_at(getattr(options, "translate_at", None), generator)


def _translation_at(scale: float | None, generator: Translate) -> Translate:
    """Return the generator, or its translations at another scale, enlarged to the size of their images."""
    return (
        generator
        if scale is None
        else lambda images: enlarged(translated_at(scale, generator, images), images)
    )


def translated_at(scale: float, generator: Translate, images: Tensor) -> Tensor:
    """Return the translations of resized images: (N, C, H, W) -> (N, C, h, w).

    Args:
        scale: Factor of height and width, which are then rounded to what the generator takes.
        generator: G_st.
        images: (N, C, H, W) in [-1, 1].
    """
    multiple = int(getattr(generator, "multiple_of", 1))
    size = [max(1, round(side * scale / multiple)) * multiple for side in images.shape[-2:]]
    return generator(resize_images(images, size))


def enlarged(images: Tensor, like: Tensor) -> Tensor:
    """Resize images bilinearly to the height and width of others.

    Args:
        images: (N, C, h, w).
        like: Images of the wanted size, (..., H, W).

    Returns:
        (N, C, H, W) in float32.
    """
    return F.interpolate(images.float(), like.shape[-2:], mode="bilinear", align_corners=False)


FeatureOptionsT = TypeVar("FeatureOptionsT", bound=AddaOptions, default=FeatureOptions)


class FeatureTensors(TranslatedTensors[FeatureOptionsT], DomainDiscriminatorTensors[FeatureOptionsT]):
    """Tensors of the feature step: D_feat compares f_s on translated images with f_t on target images."""

    @cached_property
    def output_source(self) -> Output:
        """f_s's output on translated source images."""
        return self.f_s_output_fake_t

    @cached_property
    def output_target(self) -> Output:
        """f_t's output on target images."""
        return self.nets.f_t(self.real_t)


class JointTensors(PixelTensors[JointOptions], FeatureTensors[JointOptions]):
    """Tensors of CyCADA with all its steps in one stage (eq. 5).

    The paper minimises eq. 5 over f_T and both generators and maximises it over the discriminators. So there
    G_st learns from L_task(f_T, G_st(X_S), Y_S) and L_GAN(f_T, D_feat, f_S(G_st(X_S)), X_T), too. Here every
    phase sees as constants what an earlier phase computed: in the stage `cycada` G_st learns from the image,
    cycle and semantic terms alone, and f_t learns from the images that G_st made before its update.
    """


PIXEL = generators(cycle=1.0, semantic=1.0)
"""Phase that trains both generators with the semantic losses."""
CLASSIFIER = PhaseSpec(
    "classifier", ("f_s",), {"task_classifier": 0.0}, {"name": "adam", "lr": 1e-3, "betas": (0.5, 0.999)}
)
"""Phase that trains f_s beside the generators, as in the released code; switched off by default."""

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
        "translated images, classified by f_s",
        "train CycleGAN with the semantic loss of a frozen f_s",
        details="This is CyCADA eq. 2 to 4; with `task_translated: 1` it trains f_t, too.",
        options=PixelOptions,
        classifiers=translation_classifiers,
        preview=GRID,
    ),
)
methods.add(
    "cycada_task",
    Method(
        TranslatedTensors,
        (PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "task_source": 0.0}),),
        "pixel only",
        "train f_t on translated source images with their labels",
        details="g_st is frozen: this is CyCADA, pixel only.",
        options=TaskOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
methods.add(
    "cycada_feature",
    Method(
        FeatureTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "feature_gan": 0.1, "task_source": 0.0}),
            FEATURE_DISCRIMINATOR,
        ),
        "pixel + feature",
        "align f_t's features of target and f_s's of translations",
        details="f_s sees translated source images; g_st and f_s are frozen (CyCADA eq. 5).",
        options=FeatureOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)


class TiedTensors(FeatureTensors):
    """Tensors of CyCADA with f_t on both sides of D_feat.

    The released code does so for segmentation (weights_shared).
    """

    @cached_property
    def output_source(self) -> Output:
        """f_t's output on translated source images."""
        return self.output_fake_t

    @kept_detached
    def discriminator_input_target(self) -> Tensor:
        """What D_feat sees of target images: features (N, D, ...) or logits (N, K, ...).

        With it comes what D_feat sees of translated images: otherwise that would be computed after f_t's
        step, and D_feat would compare two networks.
        """
        _ = self.discriminator_input_source
        return self._discriminator_input(self.output_target)


methods.add(
    "cycada_feature_tied",
    Method(
        TiedTensors,
        (
            PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "feature_gan": 0.1, "task_source": 0.0}),
            FEATURE_DISCRIMINATOR,
        ),
        "pixel + feature",
        "align f_t's features of target and translated images",
        details="This is the release's feature step for segmentation, in which f_t takes the place of f_s.",
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
        "train all terms of CyCADA eq. 5 in one stage",
        details="f_s is frozen; g_st learns from the image and semantic terms alone.",
        options=JointOptions,
        preview=GRID,
    ),
)
