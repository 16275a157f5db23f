"""A queue of feature vectors of earlier batches, as in MoCo (He et al. 2020, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureQueue(nn.Module):
    """A store of the newest vectors: first in, first out.

    Args:
        size: The number of stored vectors; with 0 nothing is stored.
        width: The number of values of a vector.
    """

    rows: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._filled = 0  # a copy of `filled` on the host: reading the buffer would wait for the device

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._filled = int(state_dict[prefix + "filled"])

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
        self._filled = min(self.size, len(everything))
        self.rows[: self._filled] = everything[: self._filled]
        self.get_buffer("filled").fill_(self._filled)
        return everything
