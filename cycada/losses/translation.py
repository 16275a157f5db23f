"""Losses that hold a translation to its input: cycle consistency, identity, pixel and feature distances."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses


@losses("cycle_s")
def cycle_s(real_s: Tensor, rec_s: Tensor) -> Tensor:
    """Penalise mean |G_ts(G_st(x_s)) - x_s|.

    A source image shall survive the way to the target and back. This is the first half of the cycle
    consistency loss (CycleGAN, Zhu et al. 2017, eq. 2; CyCADA eq. 3).

    Args:
        real_s: Source images x_s, (N, C, H, W) in [-1, 1].
        rec_s: Their reconstructions, of the same shape.

    Returns:
        A scalar.
    """
    return F.l1_loss(rec_s, real_s)


@losses("cycle_t")
def cycle_t(real_t: Tensor, rec_t: Tensor) -> Tensor:
    """Penalise mean |G_st(G_ts(x_t)) - x_t|.

    A target image shall survive the way to the source and back. This is the second half of the cycle
    consistency loss (CycleGAN, Zhu et al. 2017, eq. 2; CyCADA eq. 3).
    """
    return F.l1_loss(rec_t, real_t)


@losses("identity_t")
def identity_t(real_t: Tensor, idt_t: Tensor) -> Tensor:
    """Penalise mean |G_st(x_t) - x_t|.

    A target image needs no translation into the target domain (CycleGAN, section 5.2).
    """
    return F.l1_loss(idt_t, real_t)


@losses("identity_s")
def identity_s(real_s: Tensor, idt_s: Tensor) -> Tensor:
    """Penalise mean |G_ts(x_s) - x_s|.

    A source image needs no translation into the source domain (CycleGAN, section 5.2).
    """
    return F.l1_loss(idt_s, real_s)


@losses("pixel_t")
def pixel_t(fake_t: Tensor, pair_t: Tensor) -> Tensor:
    """Penalise mean |G_st(x_s) - y| for true translations y.

    Here y is the true translation of x_s. This is the L1 loss of pix2pix (Isola et al. 2017, eq. 3).
    """
    return F.l1_loss(fake_t, pair_t)


@losses("self_regularisation")
def self_regularisation(real_s: Tensor, fake_t: Tensor) -> Tensor:
    """Penalise mean |G_st(x_s) - x_s|.

    A translation shall stay close to its input, pixel by pixel. This is the self-regularisation loss of
    SimGAN (Shrivastava et al. 2017, section 2.1), with the pixels themselves as features.
    """
    return F.l1_loss(fake_t, real_s)


@losses("feature_distance")
def feature_distance(source_features_real_s: Tensor, source_features_fake_t: Tensor) -> Tensor:
    """Penalise mean |phi(G_st(x_s)) - phi(x_s)|.

    Here phi are the features of a trained network. This is the baseline "feature loss" of CycleGAN (Zhu et
    al. 2017, section 5.1).

    Args:
        source_features_real_s: The features of source images, (N, D, ...).
        source_features_fake_t: The features of their translations, (N, D, ...).

    Returns:
        A scalar.
    """
    return F.l1_loss(source_features_fake_t, source_features_real_s)
