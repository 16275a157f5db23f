"""Entropy of predictions, and losses that make predictions on target images confident without any label."""

from __future__ import annotations

import math
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Positive
from cycada.losses.term import losses


def self_information(logits: Tensor) -> Tensor:
    """Return -p log p of every class, in nats.

    Args:
        logits: (N, K, ...).

    Returns:
        (N, K, ...), values in [0, 1 / e].
    """
    log = F.log_softmax(logits, 1)
    return -(log.exp() * log)


def entropies(logits: Tensor) -> Tensor:
    """Return the entropy -sum p log p of every prediction, in nats.

    Args:
        logits: (N, K, ...).

    Returns:
        (N, ...), values in [0, log K].
    """
    return self_information(logits).sum(1)


@losses("entropy")
def entropy(f_t_logits_real_t: Tensor) -> Tensor:
    """Minimise the entropy of predictions on target images.

    This is eq. 6 of Grandvalet & Bengio 2004, for the predictions of f_t. MinEnt (entropy minimisation for
    segmentation, Vu et al. 2019, section 3.1) divides the entropy by log K. This loss does not, so that
    MinEnt's weight of 0.001 is 0.001 / log K here.

    Args:
        f_t_logits_real_t: f_t's logits of target images, (N, K, ...).

    Returns:
        A scalar, the mean over the images, or over all their pixels.
    """
    return entropies(f_t_logits_real_t).mean()


@losses("robust_entropy")
def robust_entropy(f_t_logits_real_t: Tensor, *, eta: Annotated[Positive, Field(le=100)] = 2.0) -> Tensor:
    """Minimise a robust entropy of predictions on target images.

    It is Charbonnier's penalty (h^2 + 0.001^2)^eta of the entropy h. This is the entropy loss of FDA (Fourier
    domain adaptation, Yang & Soatto 2020, eq. 6). For eta above 0.5 the least confident predictions have the
    largest gradient, not those that are confident already. As in the authors' code, h is divided by the
    largest entropy, log K; the code's weight of 0.005 belongs to that.

    Args:
        f_t_logits_real_t: f_t's logits of target images, (N, K, ...).
        eta: The exponent; 2 in the paper.

    Returns:
        A scalar, the mean over the images, or over all their pixels.
    """
    relative_entropy = entropies(f_t_logits_real_t) / math.log(f_t_logits_real_t.shape[1])
    return (relative_entropy.square() + 0.001**2).pow(eta).mean()
