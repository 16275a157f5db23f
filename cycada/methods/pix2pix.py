"""pix2pix: a generator learns from true translations, with a discriminator that sees both images.

The objective is the conditional GAN loss (Isola et al. 2017, eq. 1) and an L1 loss (eq. 3), together eq. 4.
"""

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
    """Options of pix2pix.

    Attributes:
        gan: The form of every adversarial loss; `vanilla` in the paper.
    """

    gan: Literal["vanilla", "lsgan", "hinge"] = "vanilla"


class PairedTensors(StepTensors[PairedOptions]):
    """Tensors of pix2pix: d_pair sees a source image and a translation, concatenated along the channels.

    The translation is the true one or G_st's. There is no image pool: an earlier translation would be shown
    beside another source image. The paper's noise is the dropout inside g_st.
    """

    takes_image_pairs = frozenset({"d_pair"})

    @kept_detached
    def fake_t(self) -> Tensor:
        """Translated source images G_st(x_s), (N, C, H, W) in [-1, 1]."""
        return self.nets.g_st(self.real_s)

    @cached_property
    def d_pair_logits_fake(self) -> Tensor:
        """D_pair's logits of (x_s, G_st(x_s)), (N, 1, h, w)."""
        return self.nets.d_pair(torch.cat([self.real_s, self.fake_t], 1))

    @cached_property
    def d_pair_logits_real(self) -> Tensor:
        """D_pair's logits of (x_s, true translation), (N, 1, h, w)."""
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
        "learn translation from pairs with a conditional GAN",
        details="It also has an L1 loss to the true translation (Isola et al. 2017). It needs paired data.",
        options=PairedOptions,
        preview=("real_s", "fake_t", "pair_t"),
    ),
)
