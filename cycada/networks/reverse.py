"""Gradient reversal: the identity forward, a negated gradient backward.

The source is Ganin & Lempitsky (2015, eq. 4 and 5).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


def reverse_gradient(x: Tensor) -> Tensor:
    """Return `x`, of any shape, and multiply its gradient by -1 in the backward pass."""
    reversed_x: Tensor = _Reverse.apply(x)
    return reversed_x
