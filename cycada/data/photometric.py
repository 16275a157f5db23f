"""Colours and sharpness changed by chance: what may be done to an image while every pixel stays where its label is."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.types import full_precision
from cycada.data.transforms import GREY

LEAST_SIGMA = 0.15
"""The standard deviation of DACS's weakest blur, in pixels."""


def photometric(images: Tensor, jitter: float, blur: float) -> Tensor:
    """Colour jitter, then blur, as DACS's strong augmentation (Tranheden et al. 2021; utils/transformsgpu.py of its release,

    whose strengths are jitter 0.25 and blur 1.15). (N, C, H, W) in [-1, 1] -> the same, in float32 where something is done.
    Draws from torch's global CPU generator, and nothing where both are 0.
    """
    with full_precision(images):
        if jitter:
            images = colour_jitter(images.float(), jitter)
        if blur:
            images = gaussian_blur(images.float(), blur)
    return images


def colour_jitter(images: Tensor, strength: float, chance: float = 0.8) -> Tensor:
    """Brightness, contrast and saturation times 1 +- strength, colours turned by +- strength of a whole turn, in this order.

    Each image by its own factors, or with probability 1 - chance not at all. The turn is about the grey axis of RGB (as in
    Karras et al. 2020, StyleGAN2-ADA, appendix B), so that all four are one matrix; grey images have the first two alone.
    (N, C, H, W) in [-1, 1] -> the same, clamped to that range. C is 1 or 3.
    """
    n, channels = images.shape[:2]
    r = torch.rand(5, n)
    change = strength * (2 * r[:4] - 1) * (r[4] < chance)
    brightness, contrast, saturation = 1 + change[:3]
    luma = torch.tensor(GREY if channels == 3 else (1.0,))
    turned = (
        _turn(2 * math.pi * change[3]) @ _saturate(saturation, luma) if channels == 3 else torch.ones(n, 1, 1)
    )
    # On y = (x + 1) / 2 in [0, 1] this is c b T y + (1 - c) b g(y), with g the image's mean grey; on x, as T leaves grey alone,
    # c b T x + (1 - c) b g(x) + b - 1.
    factors = (contrast * brightness)[:, None, None] * turned
    drawn = torch.cat(
        [factors.flatten(1), ((1 - contrast) * brightness)[:, None], (brightness - 1)[:, None]], 1
    )
    drawn = drawn.to(images.device, non_blocking=True)  # one small transfer, which nothing waits for
    factors, of_grey, constant = drawn[:, :-2].reshape(n, channels, channels), drawn[:, -2], drawn[:, -1]
    grey = images.mean((2, 3)) @ luma.to(images.device, non_blocking=True)
    moved = torch.einsum("nij,njhw->nihw", factors, images) + (of_grey * grey + constant)[:, None, None, None]
    return moved.clamp(-1, 1)


def _saturate(factor: Tensor, luma: Tensor) -> Tensor:
    """(N,) -> (N, 3, 3): 0 is grey, 1 changes nothing."""
    f = factor[:, None, None]
    return f * torch.eye(3) + (1 - f) * luma.expand(3, 3)


def _turn(angle: Tensor) -> Tensor:
    """(N,) radians -> (N, 3, 3): the rotation about (1, 1, 1) by Rodrigues' formula."""
    a = angle[:, None, None]
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    return a.cos() * torch.eye(3) + (1 - a.cos()) / 3 + a.sin() * cross


def gaussian_blur(images: Tensor, largest: float, chance: float = 0.5) -> Tensor:
    """Every image with probability `chance` by a Gaussian whose standard deviation is between 0.15 and `largest` pixels.

    (N, C, H, W) -> the same. What comes in from outside repeats the border.
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
    return F.conv2d(rows, weight.transpose(2, 3), groups=n * channels)[0].unflatten(0, (n, channels))
