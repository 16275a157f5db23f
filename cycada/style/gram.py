"""The losses of style transfer, as functions of one picture's feature maps (Gatys et al. 2016, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(maps: Tensor) -> Tensor:
    """Return the Gram matrix of feature maps, averaged over positions.

    It is eq. 3 divided by the number M of positions, so that pictures of different sizes are comparable.

    Args:
        maps: (1, N, h, w) feature maps.

    Returns:
        (N, N) means of F_i F_j over the positions.
    """
    flat = maps[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def content_loss(maps: Tensor, content: Tensor) -> Tensor:
    """Return half the mean of (F - P)^2, a scalar.

    It is eq. 1 as a mean over channels and positions, so that its weight means the same at any size.

    Args:
        maps: (1, N, h, w) feature maps F of the picture.
        content: (1, N, h, w) feature maps P of the content picture.
    """
    return 0.5 * (maps - content).square().mean()


def style_loss(maps: Tensor, style: Tensor) -> Tensor:
    """Return the sum of (G - A)^2 / (4 N^2), a scalar, with Gram matrices averaged over positions.

    It is eq. 4 where both pictures have the same size.

    Args:
        maps: (1, N, h, w) feature maps of the picture.
        style: (N, N) Gram matrix A of the style picture, from `gram`.
    """
    return (gram(maps) - style).square().sum() / (4 * style.shape[0] ** 2)


def total_variation(image: Tensor) -> Tensor:
    """Return the anisotropic total variation of an image (1, C, H, W), a scalar (Rudin et al. 1992).

    It is the mean absolute difference between vertical neighbours plus that between horizontal neighbours. It
    is not in the paper of Gatys et al.; a little of it removes grain.
    """
    return torch.stack(
        [image.diff(dim=d).abs().mean() for d in (-2, -1) if image.shape[d] > 1] or [image.sum() * 0]
    ).sum()
