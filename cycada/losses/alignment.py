"""Losses that align the features of both domains: CORAL, MMD, joint MMD and the conditional adversary CDAN.

CORAL stands for correlation alignment, MMD for maximum mean discrepancy, CDAN for conditional domain
adversarial network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Depth
from cycada.losses.entropy import entropies
from cycada.losses.term import losses


def covariance(x: Tensor) -> Tensor:
    """Return the covariance of N samples of D features, with N - 1 in the denominator: (N, D) -> (D, D)."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


@losses("coral")
def coral(features_real_s: Tensor, features_real_t: Tensor) -> Tensor:
    """Penalise the difference of both domains' covariances.

    It is |C_s - C_t|_F^2 / (4 D^2), for the covariances of the features. This is Deep CORAL, correlation
    alignment (Sun & Saenko 2016, eq. 1).

    Args:
        features_real_s: Features of source images, (N, D).
        features_real_t: Features of target images, (N, D).

    Returns:
        A scalar.
    """
    width = features_real_s.shape[1]
    return (covariance(features_real_s) - covariance(features_real_t)).square().sum() / (4 * width**2)


def gaussian_kernels(x: Tensor, kernels: int) -> Tensor:
    """Return the sum of several Gaussian kernels exp(-|x_i - x_j|^2 / b) between all pairs of samples.

    The bandwidths b are the batch's mean squared distance times 2^k, for `kernels` integers k from -(kernels
    // 2) on. They are constants: no gradient goes through them.

    Args:
        x: Samples, (N, D).
        kernels: The number of kernels.

    Returns:
        The kernel matrix, (N, N).
    """
    distance = (x.unsqueeze(0) - x.unsqueeze(1)).square().sum(2)
    mean = distance.detach().sum() / (len(x) * (len(x) - 1))
    widths = [mean.clamp_min(1e-12) * 2.0 ** (k - kernels // 2) for k in range(kernels)]
    return torch.stack([torch.exp(-distance / width) for width in widths]).sum(0)


def discrepancy(kernel: Tensor) -> Tensor:
    """Return the biased estimate of the squared MMD: mean k(s, s) + mean k(t, t) - 2 mean k(s, t).

    Args:
        kernel: The kernel matrix of N source samples followed by N target samples, (2N, 2N).

    Returns:
        A scalar.
    """
    n = len(kernel) // 2
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


@losses("mmd")
def mmd(features_real_s: Tensor, features_real_t: Tensor, *, kernels: Depth = 5) -> Tensor:
    """Penalise the MMD between source and target features.

    MMD is the maximum mean discrepancy, here with several kernels. This is the loss of DAN (deep adaptation
    network, Long et al. 2015, eq. 1 and 4), with equal weights of the kernels.

    Args:
        features_real_s: Features of source images, (N, D).
        features_real_t: Features of target images, (N, D).
        kernels: The number of Gaussian kernels.

    Returns:
        A scalar.
    """
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
    """Penalise the joint MMD of features and probabilities.

    It is the maximum mean discrepancy of features and class probabilities together. This is the loss of JAN
    (joint adaptation network, Long et al. 2017, eq. 8): the kernel of the features is multiplied by the
    kernel of the class probabilities. The latter is exp(-|y_i - y_j|^2 / b), where b is the batch's mean
    squared distance, as for the features. Transfer-Learning-Library fixes b = 2 * 0.92^2; as the predictions
    become confident and thus lie farther apart, b grows here and stays there.

    Args:
        features_real_s: Features of source images, (N, D).
        features_real_t: Features of target images, (N, D).
        f_t_logits_real_s: Logits of source images, (N, K).
        f_t_logits_real_t: Logits of target images, (N, K).
        kernels: The number of Gaussian kernels for the features; the class probabilities have one.

    Returns:
        A scalar.
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
    """Align features x class probabilities by gradient reversal.

    D_feat learns the domain of features x class probabilities, and f_t learns to prevent it. This is the loss
    of CDAN (conditional domain adversarial network, Long et al. 2018, eq. 5): the loss of DANN for a
    discriminator that sees the product of features and class probabilities.

    Args:
        domain_logits_reversed_source: D_feat's logits for source images, behind the gradient reversal, (N,
            2).
        domain_logits_reversed_target: The same for target images.
        f_t_logits_real_s: f_t's class logits of source images, (N, K); they enter the weights alone.
        f_t_logits_real_t: The same for target images.
        certainty: Weight each example by 1 + exp(-entropy), normalised over the examples of its domain
            (CDAN+E, eq. 7).

    Returns:
        A scalar, the mean of both domains.
    """

    def domain_loss(domain_logits: Tensor, logits: Tensor, domain: int) -> Tensor:
        loss = F.cross_entropy(
            domain_logits, torch.full_like(domain_logits[:, 0], domain, dtype=torch.long), reduction="none"
        )
        weight = 1 + torch.exp(-entropies(logits.detach())) if certainty else torch.ones_like(loss)
        return (weight * loss).sum() / weight.sum()

    return 0.5 * (
        domain_loss(domain_logits_reversed_source, f_t_logits_real_s, 1)
        + domain_loss(domain_logits_reversed_target, f_t_logits_real_t, 0)
    )
