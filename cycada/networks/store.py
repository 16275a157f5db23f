"""A store of earlier images or feature vectors that fills up while a stage trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Store(nn.Module):
    """Base of the stores: how many places are taken, which survives a checkpoint.

    The number is kept twice, as a buffer and on the host, since reading a buffer would wait for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._filled = 0

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._filled = int(state_dict[prefix + "filled"])

    def _note(self, filled: int) -> None:
        """Note how many places are taken."""
        self._filled = filled
        self.get_buffer("filled").fill_(filled)
