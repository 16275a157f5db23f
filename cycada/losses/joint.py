"""Adversaries that judge two images at once: an image and its translation.

Scores are those of `d_pair`, unbounded, (N, 1, h, w), one per patch. Modes: see cycada.losses.adversarial.
"""

from __future__ import annotations

from torch import Tensor

from cycada.losses.adversarial import Mode, discriminator_loss, generator_loss
from cycada.losses.term import losses


@losses("gan_pair")
def gan_pair(d_pair_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """x_s beside G_st(x_s) passes for x_s beside its true translation (pix2pix, Isola et al. 2017, eq. 1, for G)."""
    return generator_loss(d_pair_logits_fake, mode)


@losses("discriminate_pair")
def discriminate_pair(
    d_pair_logits_real: Tensor, d_pair_logits_fake: Tensor, *, mode: Mode = "lsgan"
) -> Tensor:
    """D_pair tells a true translation beside x_s from G_st's (pix2pix, eq. 1, for D); halved, as in pix2pix."""
    return discriminator_loss(d_pair_logits_real, d_pair_logits_fake, mode)


@losses("gan_joint_t")
def gan_joint_t(d_pair_logits_joint_t: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """(x_s, G_st(x_s)) passes for a pair of G_ts's: G_st wants the low scores that D_pair gives these.

    BiGAN, Donahue et al. 2017, section 3, for the encoder, with inverted labels instead of the minimax sign.
    """
    return (
        d_pair_logits_joint_t.square().mean()
        if mode == "lsgan"
        else generator_loss(-d_pair_logits_joint_t, mode)
    )


@losses("gan_joint_s")
def gan_joint_s(d_pair_logits_joint_s: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """(G_ts(x_t), x_t) passes for a pair of G_st's: G_ts wants the high scores that D_pair gives these (BiGAN, for the generator)."""
    return generator_loss(d_pair_logits_joint_s, mode)


@losses("discriminate_joint")
def discriminate_joint(
    d_pair_logits_pooled_joint_t: Tensor, d_pair_logits_pooled_joint_s: Tensor, *, mode: Mode = "lsgan"
) -> Tensor:
    """D_pair tells G_st's pairs (x_s, G_st(x_s)), high, from G_ts's (G_ts(x_t), x_t), low, both out of a pool (BiGAN)."""
    return discriminator_loss(d_pair_logits_pooled_joint_t, d_pair_logits_pooled_joint_s, mode)
