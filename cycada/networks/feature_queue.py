"""A queue of feature vectors of earlier batches, as in MoCo (He et al. 2020, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.networks.store import Store


class FeatureQueue(Store):
    """A store of the newest vectors: first in, first out.

    Args:
        size: The number of stored vectors; with 0 nothing is stored.
        width: The number of values of a vector.
        classes: K, the number of classes.

    Attributes:
        rows: (size, width), the stored vectors.
        shares: (K,), how frequent the classes are expected to be among the images of the vectors; equal ones
            at first. They are kept here because a checkpoint has to hold them.
    """

    rows: Tensor
    shares: Tensor

    def __init__(self, size: int, width: int, classes: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("shares", torch.full((classes,), 1 / classes))

    def limit(self, size: int) -> None:
        """Store at most so many vectors; those that are stored already must be fewer.

        Args:
            size: The largest number of vectors.
        """
        if size < self.size:
            self.size, self.rows = size, self.rows[:size].clone()

    @torch.no_grad()
    def forward(self, new: Tensor) -> Tensor:
        """Store new vectors, and return them with those that were stored before.

        Args:
            new: (N, width).

        Returns:
            (N + M, width) in float32 without gradient: the new vectors, then the M <= `size` stored ones, the
            newest first.
        """
        everything = torch.cat([new.detach().float(), self.rows[: self._filled]])
        self._note(min(self.size, len(everything)))
        self.rows[: self._filled] = everything[: self._filled]
        return everything
