"""Diversity of a set of images, which a generator loses in mode collapse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16
"""Side in pixels to which images are shrunk for comparison: noise and fine texture are no diversity."""
ROWS = 500
"""Number of images that are compared with all others at once, which bounds the memory."""


def mean_pairwise_distance(vectors: Tensor) -> Tensor:
    """Return the mean Euclidean distance over all pairs of different vectors.

    Args:
        vectors: (N, D).

    Returns:
        A scalar, float64; NaN for fewer than 2 vectors.
    """
    x = vectors.detach().double()
    n = len(x)
    if n < 2:
        return torch.tensor(torch.nan, dtype=torch.float64)
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for rows in x.split(ROWS):
        total += torch.cdist(rows, x, compute_mode="donot_use_mm_for_euclid_dist").sum()
    return total / (n * (n - 1))


def relative_diversity(made: Tensor, real: Tensor) -> Tensor:
    """Return the mean pairwise distance of `made`, divided by that of `real`.

    Args:
        made: (N, D) generated images as vectors.
        real: (M, D) real images as vectors.

    Returns:
        A scalar: 1 if both are equally diverse, 0 if all of `made` are equal; NaN for fewer than 2 vectors,
        or if all of `real` are equal.
    """
    within = mean_pairwise_distance(real)
    return mean_pairwise_distance(made).to(within.device) / torch.where(within > 0, within, torch.nan)


def thumbnails(images: Tensor) -> Tensor:
    """Return images as vectors after averaging to at most `SIDE` x `SIDE` pixels.

    Args:
        images: (N, C, H, W).

    Returns:
        (N, C * h * w) float.
    """
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, SIDE), min(width, SIDE))).flatten(1)
