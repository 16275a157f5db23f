"""Statistical alignment of source and target features, without an adversary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Depth
from cycada.losses.entropy import entropies
from cycada.losses.term import losses


def covariance(x: Tensor) -> Tensor:
    """(N, D) -> (D, D), with N - 1 in the denominator."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


@losses("coral")
def coral(features_real_s: Tensor, features_real_t: Tensor) -> Tensor:
    """|C_s - C_t|_F^2 / (4 D^2), Deep CORAL (Sun & Saenko 2016) eq. 1. Both (N, D) -> scalar."""
    width = features_real_s.shape[1]
    return (covariance(features_real_s) - covariance(features_real_t)).square().sum() / (4 * width**2)


def gaussian_kernels(x: Tensor, kernels: int) -> Tensor:
    """(N, D) -> (N, N): the sum of Gaussian kernels exp(-|x_i - x_j|^2 / b) whose bandwidths b are the mean squared
    distance times 2^k, k from -(kernels // 2) on. The bandwidth is a constant: no gradient goes through it."""
    distance = (x.unsqueeze(0) - x.unsqueeze(1)).square().sum(2)
    mean = distance.detach().sum() / (len(x) * (len(x) - 1))
    widths = [mean.clamp_min(1e-12) * 2.0 ** (k - kernels // 2) for k in range(kernels)]
    return torch.stack([torch.exp(-distance / width) for width in widths]).sum(0)


def discrepancy(kernel: Tensor) -> Tensor:
    """Squared MMD, biased: mean k(s, s) + mean k(t, t) - 2 mean k(s, t), for an (2N, 2N) kernel of sources, then targets."""
    n = len(kernel) // 2
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


@losses("mmd")
def mmd(features_real_s: Tensor, features_real_t: Tensor, *, kernels: Depth = 5) -> Tensor:
    """Multi-kernel MMD of the features (Long et al. 2015, DAN, eq. 1 and 4, with equal kernel weights). -> scalar"""
    return discrepancy(gaussian_kernels(torch.cat([features_real_s, features_real_t]), kernels))


@losses("jmmd")
def jmmd(
    features_real_s: Tensor,
    features_real_t: Tensor,
    f_t_logits_real_s: Tensor,
    f_t_logits_real_t: Tensor,
    *,
    kernels: Depth = 5,
) -> Tensor:
    """Joint MMD: the kernels of features and of class probabilities multiplied (Long et al. 2017, JAN, eq. 8). -> scalar

    The kernel of the class probabilities is exp(-|y_i - y_j|^2 / b) with the batch's mean squared distance as b, like that of the
    features. Transfer-Learning-Library fixes b = 2 * 0.92^2: as answers grow certain and far apart, b grows along here and not there.
    """
    features = gaussian_kernels(torch.cat([features_real_s, features_real_t]), kernels)
    classes = gaussian_kernels(torch.cat([f_t_logits_real_s, f_t_logits_real_t]).softmax(1), 1)
    return discrepancy(features * classes)


@losses("cdan")
def cdan(
    domain_logits_reversed_source: Tensor,
    domain_logits_reversed_target: Tensor,
    f_t_logits_real_s: Tensor,
    f_t_logits_real_t: Tensor,
    *,
    certainty: bool = False,
) -> Tensor:
    """DANN's loss on a discriminator that sees features x class probabilities (Long et al. 2018, CDAN, eq. 5).

    certainty: CDAN+E (eq. 7): an example counts 1 + exp(-entropy), normalised over its half of the batch.
    """

    def half(critic: Tensor, logits: Tensor, domain: int) -> Tensor:
        loss = F.cross_entropy(
            critic, torch.full_like(critic[:, 0], domain, dtype=torch.long), reduction="none"
        )
        weight = 1 + torch.exp(-entropies(logits.detach())) if certainty else torch.ones_like(loss)
        return (weight * loss).sum() / weight.sum()

    return 0.5 * (
        half(domain_logits_reversed_source, f_t_logits_real_s, 1)
        + half(domain_logits_reversed_target, f_t_logits_real_t, 0)
    )
