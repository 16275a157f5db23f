"""ClassMix: choose the pixels of a labelled image that are pasted onto another one.

Olsson et al., "ClassMix: Segmentation-Based Data Augmentation for Semi-Supervised Learning", WACV 2021;
between domains: Tranheden et al., "DACS: Domain Adaptation via Cross-domain Mixed Sampling", WACV 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.core.types import IGNORE


def classmix_mask(labels: Tensor, classes: int) -> Tensor:
    """Return the pixels of a random half of the classes that each image shows.

    The half is rounded up and drawn for each image separately, from torch's global CPU generator. Pixels with
    the value IGNORE belong to no class and are never chosen. (The release of DACS treats IGNORE as a class
    and may paste its pixels, which the loss then leaves out.)

    Args:
        labels: (N, H, W) int64, values 0..classes-1 or IGNORE.
        classes: Number of classes K.

    Returns:
        (N, H, W) bool, True where a pixel is to be pasted.
    """
    # Pixels to ignore get a last column of their own, which is never chosen.
    column = torch.where(labels == IGNORE, classes, labels).flatten(1)
    shown = torch.zeros(len(labels), classes + 1, dtype=torch.bool, device=labels.device)
    shown.scatter_(1, column, True)
    shown[:, classes] = False
    # A random number below 1 shuffles the classes and leaves those that an image shows before the others.
    score = shown + torch.rand(len(labels), classes + 1).to(labels.device, non_blocking=True)
    rank = score.argsort(1, descending=True).argsort(1)
    chosen = rank < (shown.sum(1, keepdim=True) + 1) // 2
    return chosen.gather(1, column).reshape(labels.shape)
