"""A patch of a translation resembles the patch of its input at the same place more than others of that input (CUT)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Temperature
from cycada.losses.term import losses


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Mean over layers, images and places s of -log(exp(v.v+ / T) / (exp(v.v+ / T) + sum of exp(v.v- / T))), Park et al. 2020, eq. 3.

    query, key: (layers, N, S, D), vectors of length 1. v is the query at s, v+ the key at s, v- the image's other S - 1 keys.
    Keys are constants. Eq. 4 sums over layers and places; as in the release, the mean keeps the scale of a single one.
    """
    scores = query @ key.detach().transpose(-1, -2) / temperature
    places = torch.arange(scores.shape[-1], device=scores.device).expand(scores.shape[:-1])
    return F.cross_entropy(scores.flatten(0, -2), places.flatten())


@losses("patch_nce_s")
def patch_nce_s(query_fake_t: Tensor, key_real_s: Tensor, *, temperature: Temperature = 0.07) -> Tensor:
    """G_st(x_s) keeps the content of x_s, place by place (CUT, eq. 4 on X; lambda_X is this term's weight)."""
    return patch_nce(query_fake_t, key_real_s, temperature)


@losses("patch_nce_t")
def patch_nce_t(query_idt_t: Tensor, key_real_t: Tensor, *, temperature: Temperature = 0.07) -> Tensor:
    """G_st(x_t) keeps the content of x_t: CUT's identity loss (eq. 4 on Y, section 3; lambda_Y is this term's weight)."""
    return patch_nce(query_idt_t, key_real_t, temperature)
