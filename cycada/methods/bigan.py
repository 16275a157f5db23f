"""BiGAN / ALI between two domains of images: one discriminator judges pairs (Donahue et al. 2017, Dumoulin et al. 2017)."""

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
class JointOptions(Options):
    """pool: how many pairs of each generator the discriminator remembers. gan: the form of every adversarial term. Both as in

    CycleGAN's comparison.
    """

    pool: Pool = 50
    gan: Literal["lsgan", "vanilla", "hinge"] = "lsgan"


class JointTensors(StepTensors):
    """A pair is a source-looking image and, behind it along the channels, a target-looking one; the suffix says which of them is

    made: joint_t is (x_s, G_st(x_s)), joint_s is (G_ts(x_t), x_t). Where both are alike the generators invert each other, which
    is all that asks for a translation to show what its image shows.
    """

    takes_image_pairs = frozenset({"d_pair", "pool_joint_s", "pool_joint_t"})

    @cached_property
    def fake_t(self) -> Tensor:
        return self.nets.g_st(self.real_s)

    @cached_property
    def fake_s(self) -> Tensor:
        return self.nets.g_ts(self.real_t)

    @kept_detached
    def joint_t(self) -> Tensor:
        return torch.cat([self.real_s, self.fake_t], 1)

    @kept_detached
    def joint_s(self) -> Tensor:
        return torch.cat([self.fake_s, self.real_t], 1)

    @cached_property
    def d_pair_logits_joint_t(self) -> Tensor:
        return self.nets.d_pair(self.joint_t)

    @cached_property
    def d_pair_logits_joint_s(self) -> Tensor:
        return self.nets.d_pair(self.joint_s)

    @cached_property
    def d_pair_logits_pooled_joint_t(self) -> Tensor:
        return self.nets.d_pair(self.nets.pool_joint_t(self.joint_t))

    @cached_property
    def d_pair_logits_pooled_joint_s(self) -> Tensor:
        return self.nets.d_pair(self.nets.pool_joint_s(self.joint_s))


methods.add(
    "bigan",
    Method(
        JointTensors,
        (
            PhaseSpec("generators", ("g_st", "g_ts"), {"gan_joint_t": 1.0, "gan_joint_s": 1.0}, ADAM_GAN),
            PhaseSpec("discriminators", ("d_pair",), {"discriminate_joint": 1.0}, ADAM_GAN),
        ),
        "BiGAN/ALI",
        "two generators whose pairs of image and translation one discriminator cannot tell apart (Donahue et al. 2017)",
        options=JointOptions,
        preview=("real_s", "fake_t", "real_t", "fake_s"),
    ),
)
