"""Confusion matrices, which add over batches and processes, and from which all accuracies and IoU follow."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.core.types import ignore_index


def confusion_matrix(prediction: Tensor, label: Tensor, classes: int) -> Tensor:
    """Return the confusion matrix of predictions.

    Args:
        prediction: Predicted classes, of any shape.
        label: True classes, of the same shape; those to ignore (`ignore_index`), and pairs with a class
            outside 0 to K - 1, are not counted.
        classes: The number of classes, K.

    Returns:
        (K, K) int64, whose entry [i, j] counts examples of class i that were predicted as class j.
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
