"""Image adversaries: what a generator and a discriminator want of the discriminator's scores.

Scores are unbounded, (N, 1, h, w), one per patch; high means real. Modes: `lsgan` (Mao et al. 2017, eq. 9
with a = 0, b = c = 1; CycleGAN's choice), `vanilla` (Goodfellow et al. 2014, non-saturating), `hinge`
(Lim & Ye 2017), `wgan-gp` (Gulrajani et al. 2017; add the terms gradient_penalty_t and _s).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses

Mode = Literal["lsgan", "vanilla", "hinge", "wgan-gp"]


def generator_loss(score_fake: Tensor, mode: Mode) -> Tensor:
    """What the generator minimises, so that its images score as real. -> scalar."""
    if mode == "lsgan":
        return (score_fake - 1).square().mean()
    if mode == "vanilla":
        return F.softplus(-score_fake).mean()
    return -score_fake.mean()


def discriminator_loss(score_real: Tensor, score_fake: Tensor, mode: Mode) -> Tensor:
    """What the discriminator minimises. -> scalar.

    lsgan and vanilla are halved, as in CycleGAN ("dividing the objective by 2 while optimizing D").
    """
    if mode == "lsgan":
        return 0.5 * ((score_real - 1).square().mean() + score_fake.square().mean())
    if mode == "vanilla":
        return 0.5 * (F.softplus(-score_real).mean() + F.softplus(score_fake).mean())
    if mode == "hinge":
        return F.relu(1 - score_real).mean() + F.relu(1 + score_fake).mean()
    return score_fake.mean() - score_real.mean()


@losses("gan_t")
def gan_t(d_t_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """G_st fools D_t: translated source images look like the target (CyCADA eq. 2, for G)."""
    return generator_loss(d_t_logits_fake, mode)


@losses("gan_s")
def gan_s(d_s_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """G_ts fools D_s: translated target images look like the source."""
    return generator_loss(d_s_logits_fake, mode)


@losses("discriminate_t")
def discriminate_t(d_t_logits_real: Tensor, d_t_logits_pooled: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """D_t tells target images from translated source images out of the pool (CyCADA eq. 2, for D)."""
    return discriminator_loss(d_t_logits_real, d_t_logits_pooled, mode)


@losses("discriminate_s")
def discriminate_s(d_s_logits_real: Tensor, d_s_logits_pooled: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """D_s tells source images from translated target images out of the pool."""
    return discriminator_loss(d_s_logits_real, d_s_logits_pooled, mode)


def gradient_penalty(gradient: Tensor) -> Tensor:
    """Mean over images of (|gradient|_2 - 1)^2, Gulrajani et al. 2017, eq. 3. (N, C, H, W) -> scalar."""
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norm - 1).square().mean()


@losses("gradient_penalty_t")
def gradient_penalty_t(d_t_gradient: Tensor) -> Tensor:
    """Keeps D_t 1-Lipschitz between real and pooled images; weight 10 in the paper, with mode wgan-gp."""
    return gradient_penalty(d_t_gradient)


@losses("gradient_penalty_s")
def gradient_penalty_s(d_s_gradient: Tensor) -> Tensor:
    """Keeps D_s 1-Lipschitz between real and pooled images; weight 10 in the paper, with mode wgan-gp."""
    return gradient_penalty(d_s_gradient)
