"""pix2pix: a generator learns from true translations, beside a discriminator that sees both images (Isola et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.step_tensors import Options, StepTensors, kept_detached


@dataclass(frozen=True)
class PairedOptions(Options):
    """gan: the form of every image-adversarial term; vanilla in the paper."""

    gan: Literal["vanilla", "lsgan", "hinge"] = "vanilla"


class PairedTensors(StepTensors):
    """d_pair sees a source image and, behind it along the channels, a translation of it: the true one or G_st's.

    There is no pool: an older translation would be judged beside another image's scene. The paper's noise is
    dropout inside g_st.
    """

    takes_image_pairs = frozenset({"d_pair"})

    @kept_detached
    def fake_t(self) -> Tensor:
        return self.nets.g_st(self.real_s)

    @cached_property
    def d_pair_logits_fake(self) -> Tensor:
        return self.nets.d_pair(torch.cat([self.real_s, self.fake_t], 1))

    @cached_property
    def d_pair_logits_real(self) -> Tensor:
        return self.nets.d_pair(torch.cat([self.real_s, self.pair_t], 1))


methods.add(
    "pix2pix",
    Method(
        PairedTensors,
        (
            PhaseSpec("generators", ("g_st",), {"gan_pair": 1.0, "pixel_t": 100.0}, ADAM_GAN),
            PhaseSpec("discriminators", ("d_pair",), {"discriminate_pair": 1.0}, ADAM_GAN),
        ),
        "pix2pix",
        "translation learnt from pairs: a conditional GAN and L1 to the truth (Isola et al. 2017). Needs "
        "paired data",
        options=PairedOptions,
        preview=("real_s", "fake_t", "pair_t"),
    ),
)
