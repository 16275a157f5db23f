"""ClassMix: which pixels of a labelled scene are pasted onto another (Olsson et al. 2021; across domains Tranheden et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.core.types import IGNORE


def classmix_mask(labels: Tensor, classes: int) -> Tensor:
    """The pixels of half of the classes, rounded up, that each image shows, drawn for every image by itself.

    (N, H, W) int64 -> (N, H, W) bool. IGNORE is no class and never chosen. (DACS's release counts it as one and pastes what the
    loss then passes over.) Draws from torch's global CPU generator.
    """
    column = torch.where(labels == IGNORE, classes, labels).flatten(
        1
    )  # what is IGNORE gets a last column, which is never chosen
    shown = torch.zeros(len(labels), classes + 1, dtype=torch.bool, device=labels.device).scatter_(
        1, column, True
    )
    shown[:, classes] = False
    score = shown + torch.rand(len(labels), classes + 1).to(
        labels.device, non_blocking=True
    )  # classes that are there come first
    place = score.argsort(1, descending=True).argsort(1)
    chosen = place < (shown.sum(1, keepdim=True) + 1) // 2
    return chosen.gather(1, column).reshape(labels.shape)
