"""CoGAN: coupled GANs learn pairs of images from noise; the shared discriminator classifies (Liu & Tuzel 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from cycada.methods.recipe import Classify, Method, PhasePlan, methods
from cycada.methods.views import Networks, Options, Views, carried
from cycada.networks import NOISE, Judged


@dataclass(frozen=True)
class CoganOptions(Options):
    """gan: the form of every image-adversarial term; vanilla in the paper."""

    gan: Literal["vanilla", "lsgan", "hinge"] = "vanilla"


class CoganViews(Views):
    """fake_s and fake_t are one pair, drawn from the same noise: they should show the same class in two domains."""

    @cached_property
    def fake_pair(self) -> tuple[Tensor, Tensor]:
        noise = 2 * torch.rand(len(self.real_s), NOISE) - 1  # on the CPU, whose generator is seeded by the step
        return self.nets.pair_g(noise.to(self.real_s.device))

    @carried
    def fake_s(self) -> Tensor:
        return self.fake_pair[0]

    @carried
    def fake_t(self) -> Tensor:
        return self.fake_pair[1]

    @cached_property
    def judged_fake_s(self) -> Judged:
        return self.nets.pair_d(self.fake_s, "s")

    @cached_property
    def judged_fake_t(self) -> Judged:
        return self.nets.pair_d(self.fake_t, "t")

    @cached_property
    def judged_real_s(self) -> Judged:
        return self.nets.pair_d(self.real_s, "s")

    @cached_property
    def score_fake_s(self) -> Tensor:
        return self.judged_fake_s.score

    @cached_property
    def score_fake_t(self) -> Tensor:
        return self.judged_fake_t.score

    @cached_property
    def score_pooled_s(self) -> Tensor:
        """There is no pool: what the generator was judged on is what the discriminator learns from."""
        return self.score_fake_s

    @cached_property
    def score_pooled_t(self) -> Tensor:
        return self.score_fake_t

    @cached_property
    def score_real_s(self) -> Tensor:
        return self.judged_real_s.score

    @cached_property
    def score_real_t(self) -> Tensor:
        return self.nets.pair_d(self.real_t, "t").score

    @cached_property
    def features_fake_s(self) -> Tensor:
        return self.judged_fake_s.features

    @cached_property
    def features_fake_t(self) -> Tensor:
        return self.judged_fake_t.features

    @cached_property
    def logits_real_s(self) -> Tensor:
        return self.judged_real_s.logits


def pair_scored(nets: Networks) -> dict[str, Classify]:
    """Each domain through its own first layer and the shared rest (the paper's digit adaptation): no target label was ever needed."""

    def by(side: str) -> Classify:
        return lambda images: nets.pair_d(images, side).logits

    return {"source": by("s"), "target": by("t")}


ADAM_COGAN = {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 5e-4}
"""The release's."""

methods.add(
    "cogan",
    Method(
        CoganViews,
        (
            PhasePlan("generators", ("pair_g",), {"gan_s": 1.0, "gan_t": 1.0}, ADAM_COGAN),
            PhasePlan(
                "discriminators",
                ("pair_d",),
                {"discriminate_s": 1.0, "discriminate_t": 1.0, "task_source": 10.0, "pair_features": 0.01},
                ADAM_COGAN,
            ),
        ),
        "CoGAN",
        "coupled GANs from noise; a class head on the discriminators' shared features (Liu & Tuzel 2016). Networks: pair_g, pair_d",
        options=CoganOptions,
        scored=pair_scored,
        grid=("fake_s", "fake_t", "real_s", "real_t"),
    ),
)
