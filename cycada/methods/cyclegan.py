"""CycleGAN: two generators, two discriminators, a cycle (Zhu et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.core.bounds import Pool
from cycada.methods.base import ADAM_GAN, Classify, Method, PhaseSpec, classify_by, methods
from cycada.methods.step_tensors import Networks, Options, StepTensors, discriminator_gradient, kept_detached


@dataclass(frozen=True)
class CycleOptions(Options):
    """pool: how many translated images a discriminator remembers. gan: the form of every image-adversarial term."""

    pool: Pool = 50
    gan: Literal["lsgan", "vanilla", "hinge", "wgan-gp"] = "lsgan"


class CycleGANTensors(StepTensors):
    """real_ fake_ rec_ idt_ say where an image comes from, _s _t which domain it LOOKS like."""

    @kept_detached
    def fake_t(self) -> Tensor:
        return self.nets.g_st(self.real_s) if self.batch.fake_t is None else self.batch.fake_t

    @kept_detached
    def fake_s(self) -> Tensor:
        return self.nets.g_ts(self.real_t)

    @cached_property
    def rec_s(self) -> Tensor:
        return self.nets.g_ts(self.fake_t)

    @cached_property
    def rec_t(self) -> Tensor:
        return self.nets.g_st(self.fake_s)

    @cached_property
    def idt_t(self) -> Tensor:
        return self.nets.g_st(self.real_t)

    @cached_property
    def idt_s(self) -> Tensor:
        return self.nets.g_ts(self.real_s)

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        return self.nets.d_t(self.fake_t)

    @cached_property
    def d_s_logits_fake(self) -> Tensor:
        return self.nets.d_s(self.fake_s)

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        return self.nets.d_t(self.real_t)

    @cached_property
    def d_s_logits_real(self) -> Tensor:
        return self.nets.d_s(self.real_s)

    @kept_detached
    def pooled_t(self) -> Tensor:
        return self.nets.pool_t(self.fake_t)

    @kept_detached
    def pooled_s(self) -> Tensor:
        return self.nets.pool_s(self.fake_s)

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        return self.nets.d_t(self.pooled_t)

    @cached_property
    def d_s_logits_pooled(self) -> Tensor:
        return self.nets.d_s(self.pooled_s)

    @cached_property
    def d_t_gradient(self) -> Tensor:
        return discriminator_gradient(self.nets.d_t, self.real_t, self.pooled_t)

    @cached_property
    def d_s_gradient(self) -> Tensor:
        return discriminator_gradient(self.nets.d_s, self.real_s, self.pooled_s)


GRID = ("real_s", "fake_t", "rec_s", "real_t", "fake_s", "rec_t")


def generators(cycle: float, semantic: float = 0.0) -> PhaseSpec:
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


def translation_scored(nets: Networks) -> dict[str, Classify]:
    """By f_t where the stage has one. Else through the translation: the target by f_s(G_ts(x_t)), as if it were a

    source image, and the source by f_s(G_st(x_s)), which shows how many labels the translation keeps.
    """
    if "f_t" in nets:
        return {"source": classify_by(nets.f_t), "target": classify_by(nets.f_t)}
    if "f_s" not in nets:
        return {}
    classify = classify_by(nets.f_s)
    ways: dict[str, Classify] = {}
    if "g_st" in nets:
        ways["source"] = lambda images: classify(nets.g_st(images))
    if "g_ts" in nets:
        ways["target"] = lambda images: classify(nets.g_ts(images))
    return ways


methods.add(
    "cyclegan",
    Method(
        CycleGANTensors,
        (generators(cycle=10.0), DISCRIMINATORS),
        "CycleGAN",
        "unpaired translation with cycle consistency (Zhu et al. 2017)",
        options=CycleOptions,
        classifiers=translation_scored,
        preview=GRID,
    ),
)
