"""One (K, K) count is all that accuracy, per-class accuracy and IoU need; counts add over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.core.types import ignore_index


def confusion_matrix(prediction: Tensor, label: Tensor, classes: int) -> Tensor:
    """(K, K) int64: entry [i, j] counts what is i and was called j. Any equal shapes; labels equal to IGNORE, and

    predictions or labels outside 0..K-1, fall into a bin that is thrown away.
    """
    prediction, label = prediction.flatten().long(), label.flatten().long()
    valid = (
        (label != ignore_index(classes))
        & (label >= 0)
        & (label < classes)
        & (prediction >= 0)
        & (prediction < classes)
    )
    pair = torch.where(valid, label * classes + prediction, classes * classes)
    return torch.bincount(pair, minlength=classes * classes + 1)[:-1].reshape(classes, classes)
