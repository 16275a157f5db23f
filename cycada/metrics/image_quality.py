"""Distances between two sets of images, FID and KID, as pure functions of (N, D) features of any network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments:
    """Running mean and covariance of feature vectors, in float64, which keep none of the vectors.

    Attributes:
        n: Number of vectors so far.
        mean: (D,) mean of the vectors; empty before the first one.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Add (n, D) features.

        The update is that of Chan, Golub & LeVeque 1979, which loses no digits where the mean is far from 0.
        """
        x = features.detach().double().cpu()
        if not len(x):
            return
        mean = x.mean(0)
        centred = x - mean
        if not self.n:
            self.n, self.mean, self._scatter = len(x), mean, centred.T @ centred
            return
        total = self.n + len(x)
        apart = mean - self.mean
        self._scatter += centred.T @ centred + torch.outer(apart, apart) * (self.n * len(x) / total)
        self.mean = self.mean + apart * (len(x) / total)
        self.n = total

    @property
    def covariance(self) -> Tensor:
        """Covariance of the vectors, (D, D), divided by n - 1 as in numpy.cov."""
        return self._scatter / max(self.n - 1, 1)

    @property
    def full_rank(self) -> bool:
        """Whether there are more vectors than features, so that the covariance need not be singular."""
        return self.n > len(self.mean)


class Frechet(NamedTuple):
    """Frechet distance of two sets of images.

    Attributes:
        distance: The squared distance, at least 0.
        full_rank: Whether both sets have more images than features. Otherwise the distance is too large,
            being mostly the error of a covariance, and comparable only with distances of equal numbers of
            images.
    """

    distance: float
    full_rank: bool


def frechet_distance(a: Moments, b: Moments) -> Frechet:
    """Return the squared Frechet (Wasserstein-2) distance of two Gaussians: FID (Heusel et al. 2017).

    It is |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is computed as that of
    (C_a^(1/2) C_b C_a^(1/2))^(1/2), which is symmetric and so has real eigenvalues, even if a covariance is
    singular.

    Args:
        a: Mean and covariance of one set of features.
        b: Mean and covariance of the other set.

    Raises:
        ValueError: A set has fewer than 2 vectors, or the sets have different numbers of features.
    """
    if min(a.n, b.n) < 2 or a.mean.shape != b.mean.shape:
        raise ValueError(
            f"frechet_distance: found {a.n} and {b.n} vectors of width {len(a.mean)} and {len(b.mean)}, "
            f"expected at least 2 of one width."
        )
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = root @ b.covariance @ root
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    apart = a.mean - b.mean
    distance = apart @ apart + a.covariance.trace() + b.covariance.trace() - 2 * cross
    return Frechet(max(float(distance), 0.0), a.full_rank and b.full_rank)


class Kid(NamedTuple):
    """Kernel distance of two sets of images.

    Attributes:
        mean: Mean over random subsets.
        error: Its standard error. Subsets share images, so it is the error of drawing subsets from these
            images, not that of having only these images.
        size: Number of images in a subset.
    """

    mean: float
    error: float
    size: int


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, size: int = 1000, seed: int = 0) -> Kid:
    """Return the kernel distance KID (Binkowski et al. 2018, section 4) of two sets of features.

    It is the unbiased squared MMD with the kernel (x . y / D + 1)^3, averaged over random subsets. Being
    unbiased, it may be slightly below 0.

    Args:
        a: (n, D) features of one set.
        b: (m, D) features of the other set.
        subsets: Number of random subsets.
        size: Number of images in a subset; at most half of the smaller set, since subsets of all its images
            would be equal.
        seed: Seed of the subsets.

    Raises:
        ValueError: A set has fewer than 4 vectors.
    """
    smaller = min(len(a), len(b))
    if smaller < 4:
        raise ValueError(
            f"kernel_distance: found {len(a)} and {len(b)} vectors, expected at least 4 of each."
        )
    size = min(size, smaller // 2)
    x, y = a.detach().double().cpu(), b.detach().double().cpu()
    random = torch.Generator().manual_seed(seed)
    distances = torch.stack(
        [
            squared_mmd(*(rows[torch.randperm(len(rows), generator=random)[:size]] for rows in (x, y)))
            for _ in range(subsets)
        ]
    )
    return Kid(float(distances.mean()), float(distances.std() / subsets**0.5), size)


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased estimate of the squared MMD (Gretton et al. 2012, lemma 6) with KID's kernel.

    Args:
        x: (n, D) float64, with at least 2 rows.
        y: (m, D) float64, with at least 2 rows.

    Returns:
        A scalar, which may be negative.
    """

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return (p @ q.T / p.shape[1] + 1) ** 3

    def within(p: Tensor) -> Tensor:
        k = kernel(p, p)
        return (k.sum() - k.trace()) / (len(p) * (len(p) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()
