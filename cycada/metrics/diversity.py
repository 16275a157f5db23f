"""How different pictures of one set are from each other: what a generator that draws one picture for all has lost."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16
"""Pixels a side to which a picture is shrunk before pictures are compared: noise and fine texture are no diversity."""
ROWS = 500
"""Pictures that are compared with all others together."""


def mean_pairwise_distance(vectors: Tensor) -> Tensor:
    """The mean Euclidean distance of two different vectors, over all pairs. (N, D) -> scalar float64; NaN below 2 vectors."""
    x = vectors.detach().double()
    n = len(x)
    if n < 2:
        return torch.tensor(torch.nan, dtype=torch.float64)
    total = sum(
        torch.cdist(part, x, compute_mode="donot_use_mm_for_euclid_dist").sum() for part in x.split(ROWS)
    )
    return torch.as_tensor(total) / (n * (n - 1))


def relative_diversity(made: Tensor, real: Tensor) -> Tensor:
    """The mean distance of two of `made` over that of two of `real`: 1 is as diverse, 0 is one picture. (N, D), (M, D) -> scalar.

    NaN below 2 vectors, or where all of `real` are equal.
    """
    within = mean_pairwise_distance(real)
    return mean_pairwise_distance(made).to(within.device) / torch.where(within > 0, within, torch.nan)


def thumbnails(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C * h * w): pictures as vectors, averaged over areas to at most `SIDE` x `SIDE`."""
    height, width = images.shape[-2:]
    return F.adaptive_avg_pool2d(images.float(), (min(height, SIDE), min(width, SIDE))).flatten(1)
