"""Adversarial losses of generators and image discriminators (GAN losses).

A discriminator gives every patch of an image one logit: its output has the shape (N, 1, h, w), is unbounded
and is high for patches that it takes for real. The option `mode` selects the form of the losses:

- `lsgan`: least squares (Mao et al. 2017, eq. 9 with a = 0 and b = c = 1); CycleGAN's choice.
- `vanilla`: cross-entropy, with the non-saturating loss for the generator (Goodfellow et al. 2014).
- `hinge`: hinge losses (Lim & Ye 2017).
- `wgan-gp`: the Wasserstein critic (Gulrajani et al. 2017); add the terms `gradient_penalty_t` and
  `gradient_penalty_s`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses

Mode = Literal["lsgan", "vanilla", "hinge", "wgan-gp"]


def generator_loss(logits_fake: Tensor, mode: Mode) -> Tensor:
    """Return the loss that a generator minimises, so that the discriminator takes its images for real ones.

    Args:
        logits_fake: The discriminator's logits on generated images, of any shape.
        mode: The form of the loss; see the module.

    Returns:
        A scalar, the mean over all patches.
    """
    if mode == "lsgan":
        return (logits_fake - 1).square().mean()
    if mode == "vanilla":
        return F.softplus(-logits_fake).mean()
    return -logits_fake.mean()


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor, mode: Mode) -> Tensor:
    """Return the loss that a discriminator minimises, so that it tells real images from generated ones.

    The losses of `lsgan` and `vanilla` are halved, as in CycleGAN ("dividing the objective by 2 while
    optimizing D").

    Args:
        logits_real: The discriminator's logits on real images.
        logits_fake: Its logits on generated images.
        mode: The form of the loss; see the module.

    Returns:
        A scalar, the mean over all patches.
    """
    if mode == "lsgan":
        return 0.5 * ((logits_real - 1).square().mean() + logits_fake.square().mean())
    if mode == "vanilla":
        return 0.5 * (F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean())
    if mode == "hinge":
        return F.relu(1 - logits_real).mean() + F.relu(1 + logits_fake).mean()
    return logits_fake.mean() - logits_real.mean()


@losses("gan_t")
def gan_t(d_t_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train G_st so that its translations fool D_t.

    D_t shall take translated source images for target images (the generator's half of CyCADA eq. 2).
    """
    return generator_loss(d_t_logits_fake, mode)


@losses("gan_s")
def gan_s(d_s_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train G_ts so that its translations fool D_s.

    D_s shall take translated target images for source images.
    """
    return generator_loss(d_s_logits_fake, mode)


@losses("discriminate_t")
def discriminate_t(d_t_logits_real: Tensor, d_t_logits_pooled: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train D_t to tell target from translated source images.

    This is the discriminator's half of CyCADA eq. 2. The translated images come from the image pool, which
    mixes new translations with earlier ones.
    """
    return discriminator_loss(d_t_logits_real, d_t_logits_pooled, mode)


@losses("discriminate_s")
def discriminate_s(d_s_logits_real: Tensor, d_s_logits_pooled: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train D_s to tell source from translated target images.

    The translated images come from the image pool, which mixes new translations with earlier ones.
    """
    return discriminator_loss(d_s_logits_real, d_s_logits_pooled, mode)


def gradient_penalty(gradient: Tensor) -> Tensor:
    """Return the mean over images of (|gradient|_2 - 1)^2 (Gulrajani et al. 2017, eq. 3).

    Args:
        gradient: The gradient of the discriminator's output with respect to its input image, (N, C, H, W).

    Returns:
        A scalar.
    """
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (norm - 1).square().mean()


@losses("gradient_penalty_t")
def gradient_penalty_t(d_t_gradient: Tensor) -> Tensor:
    """Keep D_t 1-Lipschitz between real and translated images.

    This is eq. 3 of Gulrajani et al. 2017. It belongs to the mode `wgan-gp`; its weight in the paper is 10.
    """
    return gradient_penalty(d_t_gradient)


@losses("gradient_penalty_s")
def gradient_penalty_s(d_s_gradient: Tensor) -> Tensor:
    """Keep D_s 1-Lipschitz between real and translated images.

    This is eq. 3 of Gulrajani et al. 2017. It belongs to the mode `wgan-gp`; its weight in the paper is 10.
    """
    return gradient_penalty(d_s_gradient)
