"""Label-free criteria: functions of predictions for unlabelled target images by which models are selected.

They take (N, K) probabilities, whose rows sum to 1, and return a scalar; higher is better.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cycada.core.bounds import Temperature
from cycada.core.registry import Registry

Criterion = Callable[[Tensor], Tensor]
criteria: Registry[Criterion] = Registry("criterion")


def _entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of probabilities in nats, (..., K) to (...)."""
    entropy: Tensor = -torch.special.xlogy(probabilities, probabilities).sum(-1)
    return entropy


@criteria("certainty")
def certainty(probabilities: Tensor) -> Tensor:
    """Return minus the mean entropy of the predictions.

    It is high for confident predictions (Morerio et al. 2018).
    """
    return -_entropy(probabilities).mean()


@criteria("information_maximisation")
def information_maximisation(probabilities: Tensor) -> Tensor:
    """Return the mean's entropy minus the mean entropy.

    See Shi & Sha 2012 and SHOT, eq. 3. It is high for predictions that are confident and spread over many
    classes.
    """
    return _entropy(probabilities.mean(0)) - _entropy(probabilities).mean()


@criteria("bnm")
def bnm(probabilities: Tensor) -> Tensor:
    """Return the batch nuclear norm, in (0, 1].

    It is divided by its maximum sqrt(N min(N, K)) (Cui et al. 2020).
    """
    n, k = probabilities.shape
    norm: Tensor = torch.linalg.matrix_norm(probabilities, "nuc") / (n * min(n, k)) ** 0.5
    return norm


@criteria("snd")
def snd(probabilities: Tensor, *, temperature: Temperature = 0.05) -> Tensor:
    """Return the soft neighbourhood density.

    See Saito et al. 2021, eq. 2 and 3. It is the mean entropy of each image's similarities to all others, by
    the cosine of their predictions, and is high if target images lie in dense clusters. Of one image, which
    has no others, it is NaN.

    Args:
        probabilities: (N, K), whose rows sum to 1.
        temperature: Temperature of the softmax over similarities, in (0, 1000].
    """
    unit = torch.nn.functional.normalize(probabilities, dim=1)
    similarity = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    return _entropy(similarity.softmax(1)).mean()
