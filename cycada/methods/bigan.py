"""BiGAN / ALI between two domains of images: one discriminator judges pairs of an image and its translation.

BiGAN (bidirectional GAN, Donahue et al. 2017, section 3) and ALI (adversarially learned inference, Dumoulin
et al. 2017) are the same idea. The originals map between images and noise; here both sides are images, as in
CycleGAN's comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from cycada.core.bounds import Pool
from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class BiganOptions(Options):
    """Options of BiGAN; the defaults are those of CycleGAN's comparison.

    Attributes:
        pool: How many earlier pairs of each generator are kept for the discriminator.
        gan: The form of every adversarial loss.
    """

    pool: Pool = 50
    gan: Literal["lsgan", "vanilla", "hinge"] = "lsgan"


class BiganTensors(StepTensors[BiganOptions]):
    """Tensors of BiGAN: pairs of an image that looks like the source and one that looks like the target.

    The two images are concatenated along the channels, the source-like one first. The suffix says which of
    them is generated: joint_t is (x_s, G_st(x_s)), joint_s is (G_ts(x_t), x_t). Where D_pair cannot tell the
    two kinds apart the generators invert each other; nothing else makes a translation keep the content of its
    input.
    """

    takes_image_pairs = frozenset({"d_pair", "pool_joint_s", "pool_joint_t"})

    @cached_property
    def fake_t(self) -> Tensor:
        """Translated source images G_st(x_s), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_st(self.real_s)

    @cached_property
    def fake_s(self) -> Tensor:
        """Translated target images G_ts(x_t), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_ts(self.real_t)

    @kept_detached
    def joint_t(self) -> Tensor:
        """Pairs (x_s, G_st(x_s)), (N, 2C, H, W)."""
        return torch.cat([self.real_s, self.fake_t], 1)

    @kept_detached
    def joint_s(self) -> Tensor:
        """Pairs (G_ts(x_t), x_t), (N, 2C, H, W)."""
        return torch.cat([self.fake_s, self.real_t], 1)

    @cached_property
    def d_pair_logits_joint_t(self) -> Tensor:
        """D_pair's logits of joint_t, (N, 1, h, w)."""
        return self.nets.d_pair(self.joint_t)

    @cached_property
    def d_pair_logits_joint_s(self) -> Tensor:
        """D_pair's logits of joint_s, (N, 1, h, w)."""
        return self.nets.d_pair(self.joint_s)

    @cached_property
    def d_pair_logits_pooled_joint_t(self) -> Tensor:
        """D_pair's logits of joint_t and earlier pairs of its kind, from the pool, (N, 1, h, w)."""
        return self.nets.d_pair(self.nets.pool_joint_t(self.joint_t))

    @cached_property
    def d_pair_logits_pooled_joint_s(self) -> Tensor:
        """D_pair's logits of joint_s and earlier pairs of its kind, from the pool, (N, 1, h, w)."""
        return self.nets.d_pair(self.nets.pool_joint_s(self.joint_s))


methods.add(
    "bigan",
    Method(
        BiganTensors,
        (
            PhaseSpec("generators", ("g_st", "g_ts"), {"gan_joint_t": 1.0, "gan_joint_s": 1.0}, ADAM_GAN),
            PhaseSpec("discriminators", ("d_pair",), {"discriminate_joint": 1.0}, ADAM_GAN),
        ),
        "BiGAN/ALI",
        "train two generators and a discriminator of image pairs",
        details=(
            "The discriminator learns to tell the image pairs of one generator from the other's "
            "(Donahue et al. 2017)."
        ),
        options=BiganOptions,
        preview=("real_s", "fake_t", "real_t", "fake_s"),
    ),
)
