"""Whether a translation keeps where things are and what resembles what, whatever they look like."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PLACES = 32
"""Places a side up to which maps of features are compared: their similarities are PLACES^4 numbers a picture."""


def self_similarity(maps: Tensor) -> Tensor:
    """The cosine of the features of every two places. (N, D, h, w) -> (N, hw, hw) in [-1, 1]."""
    unit = F.normalize(maps.float().flatten(2), dim=1)
    return unit.transpose(1, 2) @ unit


def structure_distance(before: Tensor, after: Tensor) -> Tensor:
    """The mean squared difference of the self-similarities of a picture and its translation. (N, D, h, w) twice -> (N,) in [0, 4].

    With the keys of DINO's last layer it is the structure loss of Splice (Tumanyan et al. 2022, section 3, L_structure, there as
    a Frobenius norm; their code takes the mean of squares, as here and as in tables of "DINO structure distance"). Values of
    different extractors cannot be compared. Larger maps are averaged to `PLACES` x `PLACES` first.
    """
    height, width = before.shape[-2:]
    if max(height, width) > PLACES:
        side = (min(height, PLACES), min(width, PLACES))
        before, after = (
            F.adaptive_avg_pool2d(before.float(), side),
            F.adaptive_avg_pool2d(after.float(), side),
        )
    return (self_similarity(before) - self_similarity(after)).square().mean((1, 2))
