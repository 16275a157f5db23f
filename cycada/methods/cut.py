"""CUT and FastCUT: one generator, one discriminator, and patches that keep their content (Park et al. 2020).

The objective is the paper's eq. 5, L_GAN(G, D) + lambda_X L_PatchNCE(G, H, X) + lambda_Y L_PatchNCE(G, H, Y). The networks are those
of CycleGAN here; the authors' code filters before it halves and after it doubles a map (anti-aliased resampling), in generator and
discriminator, and starts from Xavier's weights instead of N(0, 0.02).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Width
from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.cyclegan import translation_scored
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class CutOptions(Options):
    """patches: places compared in each image and layer, the same number everywhere, so at most those of the smallest map.

    flip_equivariance: in half of the steps the generator sees mirrored images, and what it makes of them is mirrored back.
    gan: the form of every image-adversarial term. There is no image pool, as in the release.
    """

    patches: Annotated[Width, Field(ge=2)] = 256
    flip_equivariance: bool = False
    gan: Literal["lsgan", "vanilla", "hinge"] = "lsgan"


@dataclass(frozen=True)
class FastCutOptions(CutOptions):
    """CUT's, with flip equivariance in the place of the identity loss."""

    flip_equivariance: bool = True


class CutTensors(StepTensors):
    """query_ is what the generator's encoder sees in its own answers, key_ what it sees in its inputs."""

    @cached_property
    def flipped(self) -> bool:
        """Whether this step's images are mirrored: a coin of the CPU's generator, which is seeded by the step."""
        return bool(self.options.flip_equivariance) and torch.rand(()).item() < 0.5

    def _turned(self, maps: Tensor) -> Tensor:
        return maps.flip(-1) if self.flipped else maps

    @cached_property
    def encoded_s(self) -> list[Tensor]:
        return self.nets.g_st.encode(self._turned(self.real_s))

    @cached_property
    def encoded_t(self) -> list[Tensor]:
        return self.nets.g_st.encode(self._turned(self.real_t))

    @kept_detached
    def fake_t(self) -> Tensor:
        return self._turned(self.nets.g_st.decode(self.encoded_s[-1]))

    @cached_property
    def idt_t(self) -> Tensor:
        return self._turned(self.nets.g_st.decode(self.encoded_t[-1]))

    def _places(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [m[0, 0].numel() for m in maps]
        count = min(self.options.patches, *sizes)
        return [torch.randperm(size)[:count].to(maps[0].device) for size in sizes]

    @cached_property
    def places_s(self) -> list[Tensor]:
        """Drawn anew in every step and for every layer, alike for the images of a batch."""
        return self._places(self.encoded_s)

    @cached_property
    def places_t(self) -> list[Tensor]:
        return self._places(self.encoded_t)

    def _key(self, images: Tensor, encoded: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        """Of the images as they are, whatever the generator saw. A constant."""
        if self.flipped:
            with torch.no_grad():
                encoded = self.nets.g_st.encode(images)
        # not the heads without a graph: autocast would hand its cast of their weights, without one too, to the query
        return self.nets.h_st([m.detach() for m in encoded], places).detach()

    def _query(self, images: Tensor, places: Sequence[Tensor]) -> Tensor:
        return self.nets.h_st([self._turned(m) for m in self.nets.g_st.encode(self._turned(images))], places)

    @cached_property
    def key_real_s(self) -> Tensor:
        return self._key(self.real_s, self.encoded_s, self.places_s)

    @cached_property
    def key_real_t(self) -> Tensor:
        return self._key(self.real_t, self.encoded_t, self.places_t)

    @cached_property
    def query_fake_t(self) -> Tensor:
        return self._query(self.fake_t, self.places_s)

    @cached_property
    def query_idt_t(self) -> Tensor:
        return self._query(self.idt_t, self.places_t)

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        return self.nets.d_t(self.fake_t)

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        """There is no pool: what the generator was judged on is what the discriminator learns from."""
        return self.d_t_logits_fake

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        return self.nets.d_t(self.real_t)


for name, label, source, identity, options, summary in (
    # the release halves both terms where both are there; the paper's eq. 5 does not
    (
        "cut",
        "CUT",
        1.0,
        1.0,
        CutOptions,
        "one-sided translation by patchwise contrast (Park et al. 2020, eq. 5)",
    ),
    (
        "fastcut",
        "FastCUT",
        10.0,
        0.0,
        FastCutOptions,
        "CUT without its identity loss, flip-equivariant (Park et al. 2020, section 4)",
    ),
):
    methods.add(
        name,
        Method(
            CutTensors,
            (
                PhaseSpec(
                    "generator",
                    ("g_st", "h_st"),
                    {"gan_t": 1.0, "patch_nce_s": source, "patch_nce_t": identity},
                    ADAM_GAN,
                ),
                PhaseSpec("discriminator", ("d_t",), {"discriminate_t": 1.0}, ADAM_GAN),
            ),
            label,
            f"{summary}. Networks: g, d, h",
            options=options,
            classifiers=translation_scored,
            preview=("real_s", "fake_t", "real_t", "idt_t"),
        ),
    )
