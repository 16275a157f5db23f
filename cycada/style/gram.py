"""What a picture shares with a content and with a style (Gatys et al. 2016, section 2). Pure functions of one picture's maps."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(maps: Tensor) -> Tensor:
    """(1, N, h, w) -> (N, N): mean over the M places of F_i F_j, eq. 3 divided by M, so that pictures of any size compare."""
    flat = maps[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def content_loss(maps: Tensor, content: Tensor) -> Tensor:
    """Half the mean of (F - P)^2: eq. 1 as a mean over channels and places, so that its weight holds for any size. -> scalar."""
    return 0.5 * (maps - content).square().mean()


def style_loss(maps: Tensor, style: Tensor) -> Tensor:
    """Sum of (G - A)^2 / (4 N^2) with Gram matrices over places: eq. 4 where both pictures are of one size M.

    maps: (1, N, h, w). style: (N, N), the style picture's `gram`. -> scalar.
    """
    return (gram(maps) - style).square().sum() / (4 * style.shape[0] ** 2)


def total_variation(image: Tensor) -> Tensor:
    """Mean of |difference| between neighbours, down plus across (Rudin et al. 1992, anisotropic). (1, C, H, W) -> scalar.

    It is not in the paper; a little of it takes away the grain.
    """
    return torch.stack(
        [image.diff(dim=d).abs().mean() for d in (-2, -1) if image.shape[d] > 1] or [image.sum() * 0]
    ).sum()
