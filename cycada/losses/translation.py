"""What a translation has to keep: the way back (cycle) and images that are already there (identity)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses


@losses("cycle_s")
def cycle_s(real_s: Tensor, rec_s: Tensor) -> Tensor:
    """Mean |G_ts(G_st(x_s)) - x_s|, CyCADA eq. 3, first half. Both (N, C, H, W) in [-1, 1] -> scalar."""
    return F.l1_loss(rec_s, real_s)


@losses("cycle_t")
def cycle_t(real_t: Tensor, rec_t: Tensor) -> Tensor:
    """Mean |G_st(G_ts(x_t)) - x_t|, CyCADA eq. 3, second half."""
    return F.l1_loss(rec_t, real_t)


@losses("identity_t")
def identity_t(real_t: Tensor, idt_t: Tensor) -> Tensor:
    """Mean |G_st(x_t) - x_t|: a target image needs no translation (CycleGAN, section 5.2)."""
    return F.l1_loss(idt_t, real_t)


@losses("identity_s")
def identity_s(real_s: Tensor, idt_s: Tensor) -> Tensor:
    """Mean |G_ts(x_s) - x_s|: a source image needs no translation (CycleGAN, section 5.2)."""
    return F.l1_loss(idt_s, real_s)


@losses("pixel_t")
def pixel_t(fake_t: Tensor, pair_t: Tensor) -> Tensor:
    """Mean |G_st(x_s) - y|, where y is what x_s truly looks like in the target (pix2pix, Isola et al. 2017, eq. 3)."""
    return F.l1_loss(fake_t, pair_t)


@losses("self_regularisation")
def self_regularisation(real_s: Tensor, fake_t: Tensor) -> Tensor:
    """Mean |G_st(x_s) - x_s|: a translation stays close to its image (SimGAN, Shrivastava et al. 2017, section
    2.1, with the identity as feature)."""
    return F.l1_loss(fake_t, real_s)


@losses("feature_distance")
def feature_distance(source_features_real_s: Tensor, source_features_fake_t: Tensor) -> Tensor:
    """Mean |phi(G_st(x_s)) - phi(x_s)| with the features phi of a trained network (CycleGAN, section 5.1, "feature loss").

    Both (N, D, ...) -> scalar.
    """
    return F.l1_loss(source_features_fake_t, source_features_real_s)
