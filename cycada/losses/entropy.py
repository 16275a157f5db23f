"""Uncertainty of answers: its size, and losses that want sure answers on target images. No label is involved."""

from __future__ import annotations

import math
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Positive
from cycada.losses.term import losses


def self_information(logits: Tensor) -> Tensor:
    """(N, K, ...) -> (N, K, ...): -p log p of every class, in nats; in [0, 1 / e]."""
    log = F.log_softmax(logits, 1)
    return -(log.exp() * log)


def entropies(logits: Tensor) -> Tensor:
    """(N, K, ...) -> (N, ...): -sum p log p, in nats; in [0, log K]."""
    return self_information(logits).sum(1)


@losses("entropy")
def entropy(f_t_logits_real_t: Tensor) -> Tensor:
    """Mean entropy of f_t's answer on target images (Grandvalet & Bengio 2004, eq. 6), or on all their pixels. -> scalar

    MinEnt (Vu et al. 2019, section 3.1) divides it by log K, which this does not: its weight of 0.001 is 0.001 / log K here.
    """
    return entropies(f_t_logits_real_t).mean()


@losses("robust_entropy")
def robust_entropy(f_t_logits_real_t: Tensor, *, eta: Annotated[Positive, Field(le=100)] = 2.0) -> Tensor:
    """Mean over target images, or all their pixels, of Charbonnier's penalty (h^2 + 0.001^2)^eta of the entropy h. -> scalar

    FDA (Yang & Soatto 2020, eq. 6): above eta = 0.5 doubtful answers are pushed hardest, not those that are sure already.
    h is a share of the largest entropy, log K, as in the release, whose weight of 0.005 goes with it.
    """
    share = entropies(f_t_logits_real_t) / math.log(f_t_logits_real_t.shape[1])
    return (share.square() + 0.001**2).pow(eta).mean()
