"""CUT (contrastive unpaired translation) and FastCUT: one generator whose patches keep their content.

The objective is L_GAN(G, D) + lambda_X L_PatchNCE(G, H, X) + lambda_Y L_PatchNCE(G, H, Y) (Park et al. 2020,
eq. 5). NCE stands for noise-contrastive estimation. The networks here are those of CycleGAN. In the authors'
code, generator and discriminator filter a feature map before they halve it and after they double it
(anti-aliased resampling), and the first weights are Xavier's instead of N(0, 0.02).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Width
from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.cyclegan import translation_classifiers
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class CutOptions(Options):
    """Options of CUT; as in the authors' code there is no image pool.

    Attributes:
        patches: Number of positions that are compared in each image and layer. It is the same in all layers,
            so that the smallest feature map bounds it.
        flip_equivariance: In half of the steps the generator sees mirrored images, and its outputs are
            mirrored back.
        gan: The form of every adversarial loss.
    """

    patches: Annotated[Width, Field(ge=2)] = 256
    flip_equivariance: bool = False
    gan: Literal["lsgan", "vanilla", "hinge"] = "lsgan"


@dataclass(frozen=True)
class FastCutOptions(CutOptions):
    """Options of FastCUT, which has flip equivariance instead of CUT's identity loss.

    Attributes:
        flip_equivariance: See `CutOptions`.
    """

    flip_equivariance: bool = True


if TYPE_CHECKING:
    from cycada.methods.roles import Networks, TensorNetwork

    class TwoPartGenerator(TensorNetwork):
        """A generator whose forward pass is `decode(encode(images)[-1])`, such as `resnet`."""

        def encode(self, images: Tensor) -> list[Tensor]:
            """Return the maps that are compared."""

        def decode(self, features: Tensor) -> Tensor:
            """Return images from the last of these maps."""

    class CutNetworks(Networks):
        """The networks of CUT."""

        g_st: TwoPartGenerator


class CutTensors(StepTensors[CutOptions]):
    """Tensors of CUT: query_* are encoded patches of translations, key_* encoded patches of the inputs."""

    nets: CutNetworks

    @cached_property
    def flipped(self) -> bool:
        """Whether this step's images are mirrored.

        The CPU's random generator, which is seeded in every step, decides.
        """
        return self.options.flip_equivariance and torch.rand(()).item() < 0.5

    def _mirrored(self, maps: Tensor) -> Tensor:
        return maps.flip(-1) if self.flipped else maps

    @cached_property
    def encoded_s(self) -> list[Tensor]:
        """The generator's feature maps of source images, one for each layer that is compared."""
        return self.nets.g_st.encode(self._mirrored(self.real_s))

    @cached_property
    def encoded_t(self) -> list[Tensor]:
        """The generator's feature maps of target images, one for each layer that is compared."""
        return self.nets.g_st.encode(self._mirrored(self.real_t))

    @kept_detached
    def fake_t(self) -> Tensor:
        """Translated source images G_st(x_s), (N, C, H, W) in [-1, 1]."""
        return self._mirrored(self.nets.g_st.decode(self.encoded_s[-1]))

    @cached_property
    def idt_t(self) -> Tensor:
        """Translated target images G_st(x_t), (N, C, H, W) in [-1, 1]."""
        return self._mirrored(self.nets.g_st.decode(self.encoded_t[-1]))

    def _draw_positions(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sizes = [m[0, 0].numel() for m in maps]
        count = min(self.options.patches, *sizes)
        return [torch.randperm(size)[:count].to(maps[0].device) for size in sizes]

    @cached_property
    def places_s(self) -> list[Tensor]:
        """Random positions of patches for each layer, the same for all images of the batch."""
        return self._draw_positions(self.encoded_s)

    @cached_property
    def places_t(self) -> list[Tensor]:
        """Random positions of patches in target images, as for `places_s`."""
        return self._draw_positions(self.encoded_t)

    def _key(self, images: Tensor, encoded: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor:
        """Return the encoded patches of the images as they are, mirrored or not in this step: a constant."""
        if self.flipped:
            with torch.no_grad():
                encoded = self.nets.g_st.encode(images)
        # The heads must not run under no_grad: autocast would cache its cast of their weights without a graph
        # and use it in the query, too.
        return self.nets.h_st([m.detach() for m in encoded], places).detach()

    def _query(self, images: Tensor, places: Sequence[Tensor]) -> Tensor:
        return self.nets.h_st(
            [self._mirrored(m) for m in self.nets.g_st.encode(self._mirrored(images))], places
        )

    @cached_property
    def key_real_s(self) -> Tensor:
        """Encoded patches of source images, (layers, N, S, D), of length 1."""
        return self._key(self.real_s, self.encoded_s, self.places_s)

    @cached_property
    def key_real_t(self) -> Tensor:
        """Encoded patches of target images, (layers, N, S, D), of length 1."""
        return self._key(self.real_t, self.encoded_t, self.places_t)

    @cached_property
    def query_fake_t(self) -> Tensor:
        """Encoded patches of G_st(x_s) at the positions of `key_real_s`, (layers, N, S, D), of length 1."""
        return self._query(self.fake_t, self.places_s)

    @cached_property
    def query_idt_t(self) -> Tensor:
        """Encoded patches of G_st(x_t) at the positions of `key_real_t`, (layers, N, S, D), of length 1."""
        return self._query(self.idt_t, self.places_t)

    @cached_property
    def d_t_logits_fake(self) -> Tensor:
        """D_t's logits of G_st(x_s), (N, 1, h, w)."""
        return self.nets.d_t(self.fake_t)

    @cached_property
    def d_t_logits_pooled(self) -> Tensor:
        """D_t's logits of G_st(x_s) again: there is no pool, so D_t learns from this step's images alone."""
        return self.d_t_logits_fake

    @cached_property
    def d_t_logits_real(self) -> Tensor:
        """D_t's logits of target images, (N, 1, h, w)."""
        return self.nets.d_t(self.real_t)


for name, label, source, identity, options, summary, details in (
    # The authors' code halves both terms where both are there; the paper's eq. 5 does not.
    (
        "cut",
        "CUT",
        1.0,
        1.0,
        CutOptions,
        "translate in one direction by comparing patches",
        "This is contrastive unpaired translation (Park et al. 2020, eq. 5).",
    ),
    (
        "fastcut",
        "FastCUT",
        10.0,
        0.0,
        FastCutOptions,
        "translate as CUT does, without its identity loss",
        "It is flip-equivariant instead (Park et al. 2020, section 4).",
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
            summary,
            details=f"{details} Networks: g, d, h.",
            options=options,
            classifiers=translation_classifiers,
            preview=("real_s", "fake_t", "real_t", "idt_t"),
        ),
    )
