"""Structure distance: whether a translation keeps the layout of an image, whatever its appearance."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PLACES = 32
"""Largest side of feature maps that are compared; their similarities are PLACES^4 numbers an image."""


def self_similarity(maps: Tensor) -> Tensor:
    """Return the cosine similarity of features at every two positions: (N, D, h, w) to (N, hw, hw)."""
    unit = F.normalize(maps.float().flatten(2), dim=1)
    return unit.transpose(1, 2) @ unit


def structure_distance(before: Tensor, after: Tensor) -> Tensor:
    """Return the mean squared difference between the self-similarities of images and of their translations.

    With the keys of DINO's last layer it is the structure loss of Splice (Tumanyan et al. 2022, section 3,
    L_structure; there a Frobenius norm, while their code takes the mean of squares, as here and as in tables
    of "DINO structure distance"). Values from different feature extractors are not comparable.

    Args:
        before: (N, D, h, w) feature maps of the images; maps larger than `PLACES` are averaged to that size
            first.
        after: (N, D, h, w) feature maps of their translations.

    Returns:
        (N,) in [0, 4].
    """
    height, width = before.shape[-2:]
    if max(height, width) > PLACES:
        side = (min(height, PLACES), min(width, PLACES))
        before, after = (
            F.adaptive_avg_pool2d(before.float(), side),
            F.adaptive_avg_pool2d(after.float(), side),
        )
    return (self_similarity(before) - self_similarity(after)).square().mean((1, 2))
