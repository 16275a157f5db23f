"""CoGAN: coupled GANs learn pairs of images from noise; the shared discriminator classifies (Liu & Tuzel 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from cycada.core.bounds import Count, Positive
from cycada.core.types import full_precision
from cycada.data import resize_images
from cycada.methods.base import Classify, Direction, Method, PhaseSpec, Translate, methods
from cycada.methods.step_tensors import Networks, Options, StepTensors, kept_detached, option
from cycada.networks import NOISE, PairDiscriminatorOutput


@dataclass(frozen=True)
class CoganOptions(Options):
    """gan: the form of every image-adversarial term; vanilla in the paper. invert_steps, invert_rate: of Adam, when an image's

    noise vector is looked for to translate it; they change nothing that is learnt.
    """

    gan: Literal["vanilla", "lsgan", "hinge"] = "vanilla"
    invert_steps: Count = option(100, omit_default_from_id=True)
    invert_rate: Positive = option(0.1, omit_default_from_id=True)


class CoganTensors(StepTensors):
    """fake_s and fake_t are one pair, drawn from the same noise: they should show the same class in two domains."""

    needs_image_labels = frozenset({"f_t_logits_real_s"})

    @cached_property
    def fake_pair(self) -> tuple[Tensor, Tensor]:
        noise = (
            2 * torch.rand(len(self.real_s), NOISE) - 1
        )  # on the CPU, whose generator is seeded by the step
        return self.nets.pair_g(noise.to(self.real_s.device))

    @kept_detached
    def fake_s(self) -> Tensor:
        return self.fake_pair[0]

    @kept_detached
    def fake_t(self) -> Tensor:
        return self.fake_pair[1]

    @cached_property
    def d_pair_output_fake_s(self) -> PairDiscriminatorOutput:
        return self.nets.pair_d(self.fake_s, "s")

    @cached_property
    def d_pair_output_fake_t(self) -> PairDiscriminatorOutput:
        return self.nets.pair_d(self.fake_t, "t")

    @cached_property
    def d_pair_output_real_s(self) -> PairDiscriminatorOutput:
        return self.nets.pair_d(self.real_s, "s")

    @cached_property
    def d_s_logits_fake(self) -> Tensor:
        return self.d_pair_output_fake_s.score

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        return self.d_pair_output_fake_t.score

    @cached_property
    def d_s_logits_pooled(self) -> Tensor:
        """There is no pool: what the generator was judged on is what the discriminator learns from."""
        return self.d_s_logits_fake

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        return self.d_t_logits_fake

    @cached_property
    def d_s_logits_real(self) -> Tensor:
        return self.d_pair_output_real_s.score

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        return self.nets.pair_d(self.real_t, "t").score

    @cached_property
    def features_fake_s(self) -> Tensor:
        return self.d_pair_output_fake_s.features

    @cached_property
    def features_fake_t(self) -> Tensor:
        return self.d_pair_output_fake_t.features

    @cached_property
    def f_t_logits_real_s(self) -> Tensor:
        return self.d_pair_output_real_s.logits


def pair_scored(nets: Networks) -> dict[str, Classify]:
    """Each domain through its own first layer and the shared rest (the paper's digit adaptation): no target label was ever needed.

    Not at all where images have no classes.
    """
    if nets.pair_d.classes is None:
        return {}

    def by(side: str) -> Classify:
        return lambda images: nets.pair_d(images, side).logits

    return {"source": by("s"), "target": by("t")}


def inverted(pair_g: nn.Module, images: Tensor, side: Literal["s", "t"], steps: int, rate: float) -> Tensor:
    """The noise vector in [-1, 1] whose image on one side is the nearest found to each of `images`, by the mean squared distance

    (Liu & Tuzel 2016, cross-domain image transformation; there by L-BFGS). (N, C, H, W) of pair_g's shape -> (N, 100).
    Adam from 0, the middle of all noise, held within the noise that pair_g was trained on: nothing is drawn by chance and no
    image depends on its neighbours. In float32; pair_g gets no gradient.
    """
    noise = torch.zeros(len(images), NOISE, device=images.device, requires_grad=True)
    adam = torch.optim.Adam([noise], lr=rate)
    for _ in range(steps):
        drawn = pair_g(noise)[0 if side == "s" else 1]
        (noise.grad,) = torch.autograd.grad((drawn - images).square().mean((1, 2, 3)).sum(), noise)
        adam.step()
        noise.data.clamp_(-1, 1)
    return noise.detach()


def by_inversion(nets: Networks, options: CoganOptions | None = None) -> dict[Direction, Translate]:
    """An image's noise vector is looked for, and drawn in the other domain (CycleGAN, section 5.1, of CoGAN). Images of another

    size than pair_g's are brought to it and back.
    """
    o, pair_g = options or CoganOptions(), nets.pair_g

    def translate(images: Tensor, side: Literal["s", "t"]) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad(), full_precision(images):
            noise = inverted(
                pair_g, resized(images.float().clone(), pair_g.shape), side, o.invert_steps, o.invert_rate
            )
        return resized(pair_g(noise)[1 if side == "s" else 0], images.shape[-2:])

    return {"st": lambda images: translate(images, "s"), "ts": lambda images: translate(images, "t")}


def resized(images: Tensor, shape: Sequence[int]) -> Tensor:
    """(N, C, h, w) in [-1, 1] -> (N, C, H, W), bilinear; as they are where they have that shape."""
    if tuple(images.shape[-2:]) == tuple(shape):
        return images
    return resize_images(images.float(), shape)


ADAM_COGAN = {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 5e-4}
"""The release's."""

methods.add(
    "cogan",
    Method(
        CoganTensors,
        (
            PhaseSpec("generators", ("pair_g",), {"gan_s": 1.0, "gan_t": 1.0}, ADAM_COGAN),
            PhaseSpec(
                "discriminators",
                ("pair_d",),
                {"discriminate_s": 1.0, "discriminate_t": 1.0, "task_source": 10.0, "pair_features": 0.01},
                ADAM_COGAN,
            ),
        ),
        "CoGAN",
        "coupled GANs from noise; a class head on the discriminators' shared features (Liu & Tuzel 2016). Networks: pair_g, pair_d",
        options=CoganOptions,
        classifiers=pair_scored,
        translations=by_inversion,
        preview=("fake_s", "fake_t", "real_s", "real_t"),
    ),
)
