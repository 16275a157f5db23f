"""Checks of batches of floats that are given to a network from outside."""

from __future__ import annotations

import torch
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.core.progress import Progress


def check_floats(images: Tensor, channels: int) -> None:
    """Check that a batch of floats has the channels and the range that networks take.

    A batch without a value below 0 is warned of: it may be in [0, 1], which looks too bright.

    Args:
        images: (N, C, H, W), floating point.
        channels: The channels C that the network takes.

    Raises:
        CycadaError: The channels differ, or values are NaN or outside [-1, 1].
    """
    if not images.numel():
        return
    low, high = (float(bound(images)) for bound in (torch.min, torch.max))
    if images.shape[1] != channels or not (low >= -1.01 and high <= 1.01):
        raise CycadaError(
            f"predict: found floats with {images.shape[1]} channels from {low:g} to {high:g}, expected "
            f"{channels} channels in [-1, 1], as `preprocess` gives them."
        )
    if low >= 0 and high > 0:
        Progress(quiet=True).warn(
            f"predict: found floats from {low:g} to {high:g}, and networks take [-1, 1]. If these are in [0, "
            "1], give 2 * images - 1, or bytes."
        )
