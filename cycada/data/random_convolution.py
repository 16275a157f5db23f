"""Random convolutions: the shapes of an image stay, its colours and textures change.

RandConv, Xu et al., "Robust and Generalizable Visual Representation Learning via Random Convolutions", ICLR
2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL_SIZES = (1, 3, 5, 7)
"""Sides of the random kernels in pixels (the paper's multi-scale variant)."""


def convolve_randomly(images: Sequence[Tensor], chance: float) -> list[Tensor]:
    """Return images of which some are mixed with their convolution by a random kernel of their own.

    With w of shape (C, C, k, k), each weight normal with variance 1 / (C k^2), and a uniform in [0, 1], x
    becomes a x + (1 - a) w * x (the paper's variant with mixing). k is drawn once a batch, as in the authors'
    code, w and a for each image. A kernel of 1 x 1 mixes, inverts and scales the channels. An image that
    would leave [-1, 1] is divided by its largest absolute value; the paper does not bound it.

    It draws from torch's global CPU generator.

    Args:
        images: Images that belong together, each (N, C, H, W) in [-1, 1], such as images and their
            translations: image i of each gets the same kernel.
        chance: Probability that an image is changed, in [0, 1].

    Returns:
        Images of the same shapes in [-1, 1].
    """
    n, channels = images[0].shape[:2]
    side = KERNEL_SIZES[int(torch.randint(len(KERNEL_SIZES), ()))]
    kernels = torch.randn(n * channels, channels, side, side) / (channels * side * side) ** 0.5
    kept = torch.where(torch.rand(n) < chance, torch.rand(n), 1.0)
    kernels, kept = kernels.to(images[0].device), kept.to(images[0].device)[:, None, None, None]
    changed = []
    for tensor in images:
        padded = F.pad(tensor.float(), [side // 2] * 4, mode="replicate")
        # One group of channels for each image: up to sixty times as fast on a CPU as patches times a matrix.
        each = padded.reshape(1, n * channels, *padded.shape[2:])
        convolved = F.conv2d(each, kernels, groups=n).view(tensor.shape)
        mixed = kept * tensor + (1 - kept) * convolved
        changed.append(mixed / mixed.abs().amax((1, 2, 3), keepdim=True).clamp_min(1))
    return changed
