"""Resizing of images, masks and logits, in one place so that equal pixels get equal numbers everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from cycada.data.image_set import Sample


def resize_images(images: Tensor, size: Sequence[int]) -> Tensor:
    """Return images resized by antialiased bilinear interpolation.

    Args:
        images: (N, C, H, W), uint8 or floating point. The result has the same type.
        size: (height, width) in pixels.

    Returns:
        (N, C, height, width), or `images` itself where it has this size already.
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, tuple(size), mode="bilinear", antialias=True, align_corners=False)


def resize_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Return a mask resized to the size of its image, or of a feature map, by taking the nearest pixel.

    Args:
        mask: (H, W) uint8.
        size: (height, width) in pixels.

    Returns:
        (height, width) uint8, or `mask` itself where it has this size already.
    """
    if tuple(mask.shape) == tuple(size):
        return mask
    return F.interpolate(mask[None, None], tuple(size), mode="nearest-exact")[0, 0]


def resize_sample(sample: Sample, size: Sequence[int]) -> Sample:
    """Return a sample whose image, partner and mask have `size` = (height, width)."""
    return sample.transformed(
        lambda image: resize_images(image[None], size)[0], lambda mask: resize_mask(mask, size)
    )


def resize_logits(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits resized by bilinear interpolation, to predict at the size of a mask.

    Args:
        logits: (N, K, h, w), floating point.
        size: (height, width) in pixels.

    Returns:
        (N, K, height, width), or `logits` itself where it has this size already.
    """
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
