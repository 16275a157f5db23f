"""How frequent the classes are in each domain, and the importance weights that follow from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST_WEIGHT = 10.0
"""Largest importance weight: a few images of a class that is very rare in the source do not rule a batch."""


class ClassShares(nn.Module):
    """The shares of the classes in the source, and those that are expected in the target.

    They are kept as a module because a checkpoint has to hold them.

    Args:
        classes: K, the number of classes.

    Attributes:
        source: (K,), summing to 1; equal ones at first.
        target: (K,), summing to 1; equal ones at first.
    """

    source: Tensor
    target: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("source", torch.full((classes,), 1 / classes))
        self.register_buffer("target", torch.full((classes,), 1 / classes))

    def count_source(self, labels: Tensor) -> None:
        """Set the source's shares to those of its training images.

        Args:
            labels: (N,) int64, the class of every image.
        """
        counts = torch.bincount(labels.to(self.source.device), minlength=len(self.source))
        self.source.copy_(counts / counts.sum())

    def importance_weights(self, labels: Tensor) -> Tensor:
        """Return how many times as frequent the classes of source images are expected to be in the target.

        Args:
            labels: (N,) int64, classes that the source has.

        Returns:
            (N,) in [0, `LARGEST_WEIGHT`]; the mean over the source is 1 where no weight is that large.
        """
        return (self.target / self.source).clamp(max=LARGEST_WEIGHT)[labels]
