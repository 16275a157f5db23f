"""Random changes of colour and sharpness, which leave every pixel at the place of its label."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.types import full_precision
from cycada.data.convert import GREY

LEAST_SIGMA = 0.15
"""Smallest standard deviation of DACS's blur, in pixels."""


def photometric(images: Tensor, jitter: float, blur: float) -> Tensor:
    """Return images after random colour jitter and random blur, the strong augmentation of DACS.

    Tranheden et al., WACV 2021; utils/transformsgpu.py of its release uses jitter 0.25 and blur 1.15. Random
    numbers come from torch's global CPU generator; none are drawn for a strength of 0.

    Args:
        images: (N, C, H, W) in [-1, 1], C = 1 or 3.
        jitter: Strength of the colour jitter (see `colour_jitter`); 0 turns it off.
        blur: Largest standard deviation of the blur in pixels (see `gaussian_blur`); 0 turns it off.

    Returns:
        Images of the same shape and range, float32 if anything was changed.
    """
    with full_precision(images):
        if jitter:
            images = colour_jitter(images.float(), jitter)
        if blur:
            images = gaussian_blur(images.float(), blur)
    return images


def colour_jitter(images: Tensor, strength: float, chance: float = 0.8) -> Tensor:
    """Return images with random brightness, contrast, saturation and hue, changed in this order.

    Brightness, contrast and saturation are multiplied by 1 +- strength; the hue is rotated by up to +-
    strength of a full turn about the grey axis of RGB (as in Karras et al., "Training Generative Adversarial
    Networks with Limited Data", NeurIPS 2020, appendix B), so that all four changes are one matrix. Grey
    images get the first two alone.

    Args:
        images: (N, C, H, W) in [-1, 1], C = 1 or 3.
        strength: Largest change, in 0..1.
        chance: Probability that an image is changed. Each image gets its own factors.

    Returns:
        Images of the same shape, clamped to [-1, 1].
    """
    n, channels = images.shape[:2]
    r = torch.rand(5, n)
    change = strength * (2 * r[:4] - 1) * (r[4] < chance)
    brightness, contrast, saturation = 1 + change[:3]
    luma = torch.tensor(GREY if channels == 3 else (1.0,))
    turned = (
        _turn(2 * math.pi * change[3]) @ _saturate(saturation, luma) if channels == 3 else torch.ones(n, 1, 1)
    )
    # For y = (x + 1) / 2 in [0, 1] the change is c b T y + (1 - c) b g(y), with g the mean grey of the image.
    # As T does not change grey, that is c b T x + (1 - c) b g(x) + b - 1 for x.
    factors = (contrast * brightness)[:, None, None] * turned
    drawn = torch.cat(
        [factors.flatten(1), ((1 - contrast) * brightness)[:, None], (brightness - 1)[:, None]], 1
    )
    drawn = drawn.to(images.device, non_blocking=True)  # one small transfer without a wait
    factors, of_grey, constant = drawn[:, :-2].reshape(n, channels, channels), drawn[:, -2], drawn[:, -1]
    grey = images.mean((2, 3)) @ luma.to(images.device, non_blocking=True)
    moved = torch.einsum("nij,njhw->nihw", factors, images) + (of_grey * grey + constant)[:, None, None, None]
    return moved.clamp(-1, 1)


def _saturate(factor: Tensor, luma: Tensor) -> Tensor:
    """Return the matrices (N, 3, 3) for saturation factors (N,): 0 gives grey, 1 changes nothing."""
    f = factor[:, None, None]
    return f * torch.eye(3) + (1 - f) * luma.expand(3, 3)


def _turn(angle: Tensor) -> Tensor:
    """Return the rotations (N, 3, 3) about (1, 1, 1) by angles (N,) in radians, from Rodrigues' formula."""
    a = angle[:, None, None]
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    return a.cos() * torch.eye(3) + (1 - a.cos()) / 3 + a.sin() * cross


def gaussian_blur(images: Tensor, largest: float, chance: float = 0.5) -> Tensor:
    """Return images that are randomly blurred by a Gaussian.

    The border pixels are repeated outside the image.

    Args:
        images: (N, C, H, W).
        largest: Largest standard deviation in pixels; the smallest is 0.15, or `largest` if that is less.
            Each image gets its own.
        chance: Probability that an image is blurred.
    """
    n, channels = images.shape[:2]
    r = torch.rand(2, n)
    least = min(LEAST_SIGMA, largest)
    sigma = least + (largest - least) * r[0]
    radius = math.ceil(3 * largest)
    distance = torch.arange(-radius, radius + 1.0)
    weight = torch.exp(-0.5 * (distance / sigma[:, None]).square())
    weight = torch.where(
        (r[1] < chance)[:, None], weight / weight.sum(1, keepdim=True), (distance == 0).float()
    )
    weight = weight.to(images.device, non_blocking=True).repeat_interleave(channels, 0)[:, None, None]
    padded = F.pad(images, (radius,) * 4, mode="replicate").flatten(0, 1)[None]
    rows = F.conv2d(padded, weight, groups=n * channels)
    blurred = F.conv2d(rows, weight.transpose(2, 3), groups=n * channels)
    return blurred.reshape(images.shape)
