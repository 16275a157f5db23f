"""CycleGAN: unpaired translation by two generators, two discriminators and cycle consistency.

The objective is L_GAN(G_st, D_t) + L_GAN(G_ts, D_s) + lambda L_cyc(G_st, G_ts) (Zhu et al. 2017, eq. 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.core.bounds import Pool
from cycada.methods.base import ADAM_GAN, Classify, Method, PhaseSpec, classify_by, methods
from cycada.methods.roles import Networks
from cycada.methods.step_tensors import Options, OptionsT, StepTensors, discriminator_gradient, kept_detached


@dataclass(frozen=True)
class CycleOptions(Options):
    """Options of CycleGAN.

    Attributes:
        pool: How many earlier translations are kept for each discriminator.
        gan: The form of every adversarial loss.
    """

    pool: Pool = 50
    gan: Literal["lsgan", "vanilla", "hinge", "wgan-gp"] = "lsgan"


class CycleGANTensors(StepTensors[OptionsT]):
    """Tensors of CycleGAN.

    The prefix says where an image comes from: real_ from the data, fake_ from a translation, rec_ from a
    translation there and back, idt_ from the generator whose output domain it already belongs to. The suffix
    _s or _t is the domain that it LOOKS like.
    """

    @kept_detached
    def fake_t(self) -> Tensor:
        """Translated source images G_st(x_s), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_st(self.real_s) if self.batch.fake_t is None else self.batch.fake_t

    @kept_detached
    def fake_s(self) -> Tensor:
        """Translated target images G_ts(x_t), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_ts(self.real_t)

    @cached_property
    def rec_s(self) -> Tensor:
        """Reconstructed source images G_ts(G_st(x_s)), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_ts(self.fake_t)

    @cached_property
    def rec_t(self) -> Tensor:
        """Reconstructed target images G_st(G_ts(x_t)), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_st(self.fake_s)

    @cached_property
    def idt_t(self) -> Tensor:
        """Target images through G_st, (N, C, H, W) in [-1, 1]."""
        return self.nets.g_st(self.real_t)

    @cached_property
    def idt_s(self) -> Tensor:
        """Source images through G_ts, (N, C, H, W) in [-1, 1]."""
        return self.nets.g_ts(self.real_s)

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        """D_t's logits of G_st(x_s), (N, 1, h, w)."""
        return self.nets.d_t(self.fake_t)

    @cached_property
    def d_s_logits_fake(self) -> Tensor:
        """D_s's logits of G_ts(x_t), (N, 1, h, w)."""
        return self.nets.d_s(self.fake_s)

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        """D_t's logits of target images, (N, 1, h, w)."""
        return self.nets.d_t(self.real_t)

    @cached_property
    def d_s_logits_real(self) -> Tensor:
        """D_s's logits of source images, (N, 1, h, w)."""
        return self.nets.d_s(self.real_s)

    @kept_detached
    def pooled_t(self) -> Tensor:
        """Translated source images, some replaced by earlier ones from the image pool."""
        return self.nets.pool_t(self.fake_t)

    @kept_detached
    def pooled_s(self) -> Tensor:
        """Translated target images, some replaced by earlier ones from the image pool."""
        return self.nets.pool_s(self.fake_s)

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        """D_t's logits of pooled_t, (N, 1, h, w)."""
        return self.nets.d_t(self.pooled_t)

    @cached_property
    def d_s_logits_pooled(self) -> Tensor:
        """D_s's logits of pooled_s, (N, 1, h, w)."""
        return self.nets.d_s(self.pooled_s)

    @cached_property
    def d_t_gradient(self) -> Tensor:
        """D_t's gradient between real_t and pooled_t, for the gradient penalty, (N, C, H, W)."""
        return discriminator_gradient(self.nets.d_t, self.real_t, self.pooled_t)

    @cached_property
    def d_s_gradient(self) -> Tensor:
        """D_s's gradient between real_s and pooled_s, for the gradient penalty, (N, C, H, W)."""
        return discriminator_gradient(self.nets.d_s, self.real_s, self.pooled_s)


GRID = ("real_s", "fake_t", "rec_s", "real_t", "fake_s", "rec_t")
"""Tensors in the image grid of a method with two generators."""


def generators(cycle: float, semantic: float = 0.0) -> PhaseSpec:
    """Return the phase that trains both generators.

    Args:
        cycle: Weight of the cycle consistency losses.
        semantic: Weight of the semantic losses; 0 leaves them out.
    """
    weights = {
        "gan_t": 1.0,
        "gan_s": 1.0,
        "cycle_s": cycle,
        "cycle_t": cycle,
        "identity_s": 0.0,
        "identity_t": 0.0,
    }
    if semantic:
        weights |= {"semantic_t": semantic, "semantic_s": semantic}
    return PhaseSpec("generators", ("g_st", "g_ts"), weights, ADAM_GAN)


DISCRIMINATORS = PhaseSpec(
    "discriminators",
    ("d_s", "d_t"),
    {"discriminate_t": 1.0, "discriminate_s": 1.0, "gradient_penalty_t": 0.0, "gradient_penalty_s": 0.0},
    ADAM_GAN,
)
"""Phase that trains both image discriminators."""


def translation_classifiers(nets: Networks) -> dict[str, Classify]:
    """Return f_t as the classifier of test images or, where the stage has no f_t, f_s on translated images.

    Without f_t a target image is classified as f_s(G_ts(x_t)), as if it were a source image, and a source
    image as f_s(G_st(x_s)), which shows how many labels the translation preserves.

    Args:
        nets: The networks of the stage.

    Returns:
        Domain (`source` or `target`) -> classifier.
    """
    if "f_t" in nets:
        return {"source": classify_by(nets.f_t), "target": classify_by(nets.f_t)}
    if "f_s" not in nets:
        return {}
    classify = classify_by(nets.f_s)
    classifiers: dict[str, Classify] = {}
    if "g_st" in nets:
        classifiers["source"] = lambda images: classify(nets.g_st(images))
    if "g_ts" in nets:
        classifiers["target"] = lambda images: classify(nets.g_ts(images))
    return classifiers


methods.add(
    "cyclegan",
    Method(
        CycleGANTensors,
        (generators(cycle=10.0), DISCRIMINATORS),
        "CycleGAN",
        "translate unpaired images with cycle consistency",
        details="See Zhu et al. 2017.",
        options=CycleOptions,
        classifiers=translation_classifiers,
        preview=GRID,
    ),
)
