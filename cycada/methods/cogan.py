"""CoGAN (coupled GANs): two GANs with shared layers draw pairs of images from noise (Liu & Tuzel 2016).

The discriminators share their last layers, too, and have a class head on them, which classifies the images of
both domains.
"""

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
from cycada.methods.roles import Networks
from cycada.methods.step_tensors import Options, StepTensors, kept_detached, option
from cycada.networks import NOISE, PairDiscriminatorOutput


@dataclass(frozen=True)
class CoganOptions(Options):
    """Options of CoGAN.

    Attributes:
        gan: The form of every adversarial loss; `vanilla` in the paper.
        invert_steps: Steps of Adam in the search for an image's noise vector, which is how an image is
            translated. This and `invert_rate` do not change what is learnt.
        invert_rate: The learning rate of that search.
    """

    gan: Literal["vanilla", "lsgan", "hinge"] = "vanilla"
    invert_steps: Count = option(100, omit_default_from_id=True)
    invert_rate: Positive = option(0.1, omit_default_from_id=True)


class CoganTensors(StepTensors[CoganOptions]):
    """Tensors of CoGAN.

    fake_s and fake_t are drawn from the same noise: they should show the same class in the two domains.
    """

    needs_image_labels = frozenset({"f_t_logits_real_s"})

    @cached_property
    def fake_pair(self) -> tuple[Tensor, Tensor]:
        """A source-like and a target-like image for each noise vector, both (N, C, H, W) in [-1, 1]."""
        # drawn on the CPU, whose random generator is seeded in every step
        noise = 2 * torch.rand(len(self.real_s), NOISE) - 1
        return self.nets.pair_g(noise.to(self.real_s.device))

    @kept_detached
    def fake_s(self) -> Tensor:
        """Generated images that look like the source, (N, C, H, W) in [-1, 1]."""
        return self.fake_pair[0]

    @kept_detached
    def fake_t(self) -> Tensor:
        """Generated images that look like the target, (N, C, H, W) in [-1, 1]."""
        return self.fake_pair[1]

    @cached_property
    def d_pair_output_fake_s(self) -> PairDiscriminatorOutput:
        """The source discriminator's output on fake_s."""
        return self.nets.pair_d(self.fake_s, "s")

    @cached_property
    def d_pair_output_fake_t(self) -> PairDiscriminatorOutput:
        """The target discriminator's output on fake_t."""
        return self.nets.pair_d(self.fake_t, "t")

    @cached_property
    def d_pair_output_real_s(self) -> PairDiscriminatorOutput:
        """The source discriminator's output on source images."""
        return self.nets.pair_d(self.real_s, "s")

    @cached_property
    def d_s_logits_fake(self) -> Tensor:
        """The source discriminator's logits of fake_s."""
        return self.d_pair_output_fake_s.score

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        """The target discriminator's logits of fake_t."""
        return self.d_pair_output_fake_t.score

    @cached_property
    def d_s_logits_pooled(self) -> Tensor:
        """The source discriminator's logits of fake_s again.

        There is no pool: the discriminator learns from this step's images alone.
        """
        return self.d_s_logits_fake

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        """The target discriminator's logits of fake_t again, as for `d_s_logits_pooled`."""
        return self.d_t_logits_fake

    @cached_property
    def d_s_logits_real(self) -> Tensor:
        """The source discriminator's logits of source images."""
        return self.d_pair_output_real_s.score

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        """The target discriminator's logits of target images."""
        return self.nets.pair_d(self.real_t, "t").score

    @cached_property
    def features_fake_s(self) -> Tensor:
        """The discriminator's features of fake_s, (N, D)."""
        return self.d_pair_output_fake_s.features

    @cached_property
    def features_fake_t(self) -> Tensor:
        """The discriminator's features of fake_t, (N, D)."""
        return self.d_pair_output_fake_t.features

    @cached_property
    def f_t_logits_real_s(self) -> Tensor:
        """The class head's logits of source images, (N, K)."""
        return self.d_pair_output_real_s.logits


def pair_classifiers(nets: Networks) -> dict[str, Classify]:
    """Return the discriminators' class head as the classifier of both domains' test images.

    The images of each domain go through that domain's first layer and the shared rest, as in the paper's
    adaptation of digits. No target label is ever needed.

    Args:
        nets: The networks of the stage.

    Returns:
        Domain (`source` or `target`) -> classifier; empty where images have no classes.
    """
    if nets.pair_d.classes is None:
        return {}

    def by(side: Literal["s", "t"]) -> Classify:
        return lambda images: nets.pair_d(images, side).logits

    return {"source": by("s"), "target": by("t")}


def invert(pair_g: nn.Module, images: Tensor, side: Literal["s", "t"], steps: int, rate: float) -> Tensor:
    """Search for the noise vectors from which a generator draws images as near as possible to the given ones.

    The distance is the mean squared difference (Liu & Tuzel 2016, cross-domain image transformation; there
    with L-BFGS). Adam starts from 0, the middle of all noise, and stays within the noise that pair_g was
    trained on. Nothing is random, and no image depends on the others of its batch. It runs in float32; pair_g
    gets no gradient.

    Args:
        pair_g: The coupled generators.
        images: (N, C, H, W) in [-1, 1], of pair_g's size.
        side: The domain of the images.
        steps: Steps of Adam.
        rate: Learning rate of Adam.

    Returns:
        Noise vectors, (N, 100) in [-1, 1].
    """
    noise = torch.zeros(len(images), NOISE, device=images.device, requires_grad=True)
    adam = torch.optim.Adam([noise], lr=rate)
    for _ in range(steps):
        generated = pair_g(noise)[0 if side == "s" else 1]
        (noise.grad,) = torch.autograd.grad((generated - images).square().mean((1, 2, 3)).sum(), noise)
        adam.step()
        noise.data.clamp_(-1, 1)
    return noise.detach()


def translations_by_inversion(
    nets: Networks, options: CoganOptions | None = None
) -> dict[Direction, Translate]:
    """Return translations that search for an image's noise vector and draw it in the other domain.

    This is how CycleGAN compares with CoGAN (Zhu et al. 2017, section 5.1). Images of another size than
    pair_g's are resized to it and back.

    Args:
        nets: The networks of the stage.
        options: CoGAN's options; None means the defaults.

    Returns:
        Direction (`st` or `ts`) -> translation.
    """
    o, pair_g = options or CoganOptions(), nets.pair_g

    def translate(images: Tensor, side: Literal["s", "t"]) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad(), full_precision(images):
            noise = invert(
                pair_g, resize(images.float().clone(), pair_g.shape), side, o.invert_steps, o.invert_rate
            )
        return resize(pair_g(noise)[1 if side == "s" else 0], images.shape[-2:])

    return {"st": lambda images: translate(images, "s"), "ts": lambda images: translate(images, "t")}


def resize(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize images (N, C, h, w) to (N, C, H, W), bilinearly; those of that size stay as they are."""
    if tuple(images.shape[-2:]) == tuple(shape):
        return images
    return resize_images(images.float(), shape)


ADAM_COGAN = {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999), "weight_decay": 5e-4}
"""Optimizer of the authors' code."""

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
        "train coupled GANs that draw pairs of images from noise",
        details=(
            "A class head on the discriminators' shared features classifies (Liu & Tuzel 2016). "
            "Networks: pair_g, pair_d."
        ),
        options=CoganOptions,
        classifiers=pair_classifiers,
        translations=translations_by_inversion,
        preview=("fake_s", "fake_t", "real_s", "real_t"),
    ),
)
