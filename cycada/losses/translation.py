"""What a translation has to keep: the way back (cycle) and images that are already there (identity)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses


@losses("cycle_s")
def cycle_s(real_s: Tensor, rec_s: Tensor) -> Tensor:
    """Mean |G_ts(G_st(x_s)) - x_s|, CyCADA eq. 3, first half. Both (N, C, H, W) in [-1, 1] -> scalar."""
    return F.l1_loss(rec_s, real_s)


@losses("cycle_t")
def cycle_t(real_t: Tensor, rec_t: Tensor) -> Tensor:
    """Mean |G_st(G_ts(x_t)) - x_t|, CyCADA eq. 3, second half."""
    return F.l1_loss(rec_t, real_t)


@losses("identity_t")
def identity_t(real_t: Tensor, idt_t: Tensor) -> Tensor:
    """Mean |G_st(x_t) - x_t|: a target image needs no translation (CycleGAN, section 5.2)."""
    return F.l1_loss(idt_t, real_t)


@losses("identity_s")
def identity_s(real_s: Tensor, idt_s: Tensor) -> Tensor:
    """Mean |G_ts(x_s) - x_s|: a source image needs no translation (CycleGAN, section 5.2)."""
    return F.l1_loss(idt_s, real_s)
