"""How far two sets of pictures lie apart, by the features of a given network. Pure functions of (N, D) features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments:
    """Mean and covariance of feature vectors that come in parts: float64, and nothing of the parts is kept.

    n: vectors so far. mean: (D,). covariance: (D, D), with n - 1 below, as numpy.cov.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """(n, D). The update of Chan, Golub & LeVeque 1979, which loses no digits where the mean is far from 0."""
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
        return self._scatter / max(self.n - 1, 1)

    @property
    def full_rank(self) -> bool:
        """Whether there are enough vectors for a covariance that is not singular by their number alone."""
        return self.n > len(self.mean)


class Frechet(NamedTuple):
    """full_rank: False where a set has no more pictures than features: then the distance is mostly the error of its covariance,

    too large, and comparable at most with distances of equal n.
    """

    distance: float
    full_rank: bool


def frechet_distance(a: Moments, b: Moments) -> Frechet:
    """|m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the squared Frechet (Wasserstein-2) distance of two Gaussians: FID

    (Heusel et al. 2017, their definition of it). The trace of the root is that of (C_a^(1/2) C_b C_a^(1/2))^(1/2), which is symmetric: real
    eigenvalues, also where a covariance is singular. Raises ValueError with fewer than 2 vectors or other widths.
    """
    if min(a.n, b.n) < 2 or a.mean.shape != b.mean.shape:
        raise ValueError(
            f"frechet_distance: found {a.n} and {b.n} vectors of width {len(a.mean)} and {len(b.mean)}, expected at least 2 of one width."
        )
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = root @ b.covariance @ root
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    apart = a.mean - b.mean
    distance = apart @ apart + a.covariance.trace() + b.covariance.trace() - 2 * cross
    return Frechet(max(float(distance), 0.0), a.full_rank and b.full_rank)


class Kid(NamedTuple):
    """mean and error over subsets, which share pictures: the error says how sure the drawing is, not how sure n is. size: of a subset."""

    mean: float
    error: float
    size: int


def kernel_distance(a: Tensor, b: Tensor, subsets: int = 100, size: int = 1000, seed: int = 0) -> Kid:
    """KID (Binkowski et al. 2018, section 4): the unbiased squared MMD with the kernel (x . y / D + 1)^3, the mean over random

    subsets, and the standard error of it. a, b: (n, D), (m, D). Of sets with less than twice `size` pictures a subset holds
    half of the smaller one: a subset that is the whole set would be drawn 100 times alike. May be a little below 0, being
    unbiased. Raises ValueError with fewer than 4 vectors.
    """
    smaller = min(len(a), len(b))
    if smaller < 4:
        raise ValueError(
            f"kernel_distance: found {len(a)} and {len(b)} vectors, expected at least 4 of each."
        )
    size = min(size, smaller // 2)
    x, y = a.detach().double().cpu(), b.detach().double().cpu()
    random = torch.Generator().manual_seed(seed)
    found = torch.stack(
        [
            squared_mmd(*(part[torch.randperm(len(part), generator=random)[:size]] for part in (x, y)))
            for _ in range(subsets)
        ]
    )  # fmt: skip
    return Kid(float(found.mean()), float(found.std() / subsets**0.5), size)


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """The unbiased estimate (Gretton et al. 2012, lemma 6) with KID's kernel. (n, D), (m, D) float64 -> scalar."""

    def kernel(p: Tensor, q: Tensor) -> Tensor:
        return (p @ q.T / p.shape[1] + 1) ** 3

    def within(p: Tensor) -> Tensor:
        k = kernel(p, p)
        return (k.sum() - k.trace()) / (len(p) * (len(p) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()
