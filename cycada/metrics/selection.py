"""Criteria that choose without target labels: functions of what a network says of unlabelled target images.

probabilities: (N, K), rows sum to 1. All -> scalar, HIGHER is better.
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
    """(..., K) -> (...), in nats."""
    return -torch.special.xlogy(probabilities, probabilities).sum(-1)


@criteria("certainty")
def certainty(probabilities: Tensor) -> Tensor:
    """Minus the mean entropy: sure answers (Morerio et al. 2018)."""
    return -_entropy(probabilities).mean()


@criteria("information_maximisation")
def information_maximisation(probabilities: Tensor) -> Tensor:
    """Sure answers of many kinds: entropy of the mean less the mean entropy (Shi & Sha 2012; SHOT, eq. 3)."""
    return _entropy(probabilities.mean(0)) - _entropy(probabilities).mean()


@criteria("bnm")
def bnm(probabilities: Tensor) -> Tensor:
    """Batch nuclear norm (Cui et al. 2020) over its largest value, sqrt(N min(N, K)). In (0, 1]."""
    n, k = probabilities.shape
    return torch.linalg.matrix_norm(probabilities, "nuc") / (n * min(n, k)) ** 0.5


@criteria("snd")
def snd(probabilities: Tensor, *, temperature: Temperature = 0.05) -> Tensor:
    """Soft neighbourhood density (Saito et al. 2021, eq. 2 and 3): the mean entropy of each image's similarities to all

    others, by the cosine of the answers. High where target images lie in dense clusters.
    """
    unit = torch.nn.functional.normalize(probabilities, dim=1)
    similarity = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    return _entropy(similarity.softmax(1)).mean()
