"""Adversarial losses of a discriminator that sees two images at once: an image and its translation.

The logits are those of `d_pair`: unbounded, (N, 1, h, w), one for each patch. For the modes see
`cycada.losses.adversarial`.
"""

from __future__ import annotations

from torch import Tensor

from cycada.losses.adversarial import Mode, discriminator_loss, generator_loss
from cycada.losses.term import losses


@losses("gan_pair")
def gan_pair(d_pair_logits_fake: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train G_st so that D_pair takes its translations as true.

    D_pair sees each beside its source image: (x_s, G_st(x_s)). This is the conditional GAN loss of pix2pix
    for the generator (Isola et al. 2017, eq. 1).
    """
    return generator_loss(d_pair_logits_fake, mode)


@losses("discriminate_pair")
def discriminate_pair(
    d_pair_logits_real: Tensor, d_pair_logits_fake: Tensor, *, mode: Mode = "lsgan"
) -> Tensor:
    """Train D_pair to tell true from generated translations.

    It sees a source image with its true translation, or with that of G_st. This is the conditional GAN loss
    of pix2pix for the discriminator (Isola et al. 2017, eq. 1), halved as in the paper.
    """
    return discriminator_loss(d_pair_logits_real, d_pair_logits_fake, mode)


@losses("gan_joint_t")
def gan_joint_t(d_pair_logits_joint_t: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train G_st so that D_pair takes its pairs for G_ts's.

    Its pairs are (x_s, G_st(x_s)). D_pair gives such pairs low logits. This is the loss of BiGAN
    (bidirectional GAN, Donahue et al. 2017, section 3) for the encoder, with inverted labels instead of the
    sign of the minimax game.
    """
    return (
        d_pair_logits_joint_t.square().mean()
        if mode == "lsgan"
        else generator_loss(-d_pair_logits_joint_t, mode)
    )


@losses("gan_joint_s")
def gan_joint_s(d_pair_logits_joint_s: Tensor, *, mode: Mode = "lsgan") -> Tensor:
    """Train G_ts so that D_pair takes its pairs for G_st's.

    Its pairs are (G_ts(x_t), x_t). D_pair gives such pairs high logits. This is the loss of BiGAN for the
    generator (Donahue et al. 2017, section 3).
    """
    return generator_loss(d_pair_logits_joint_s, mode)


@losses("discriminate_joint")
def discriminate_joint(
    d_pair_logits_pooled_joint_t: Tensor, d_pair_logits_pooled_joint_s: Tensor, *, mode: Mode = "lsgan"
) -> Tensor:
    """Train D_pair to tell G_st's pairs from G_ts's pairs.

    G_st's pairs (x_s, G_st(x_s)) shall get high, G_ts's pairs (G_ts(x_t), x_t) low logits. This is the loss
    of BiGAN for the discriminator (Donahue et al. 2017, section 3). Both kinds of pairs come from a pool.
    """
    return discriminator_loss(d_pair_logits_pooled_joint_t, d_pair_logits_pooled_joint_s, mode)
