"""Classes as colours, and colours as classes: which of a palette's colours a pixel is nearest to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""

CMP_FACADES: Mapping[str, Colour] = {
    "background": (0, 0, 223), "facade": (0, 48, 255), "window": (0, 128, 255), "door": (0, 207, 255), "cornice": (32, 255, 223),
    "sill": (112, 255, 143), "balcony": (191, 255, 64), "blind": (255, 239, 0), "deco": (255, 159, 0), "molding": (255, 80, 0),
    "pillar": (255, 0, 0), "shop": (175, 0, 0),
}  # fmt: skip
"""The CMP facade database (Tylecek and Sara 2013) in the order of its label_names.txt, as pix2pix coloured it: class k of 0..11 has
entry 5k + 5 of Matlab's jet(64), counted from 0."""

AT_ONCE = 2**16
"""Pixels whose distances are in memory together."""


def nearest_colour(image: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) uint8: for every pixel the place in the palette of the nearest colour, by Euclid in RGB; of two that
    are equally near the first. A saved picture's colours are never quite those of the palette: JPEG blurs them."""
    colours = np.asarray(palette, np.float32)  # all that follows are whole numbers below 2**24, so exact
    flat, found = image.reshape(-1, 3), np.empty(image.shape[0] * image.shape[1], np.uint8)
    for start in range(0, len(flat), AT_ONCE):
        part = flat[start : start + AT_ONCE].astype(np.float32)
        found[start : start + AT_ONCE] = ((colours**2).sum(1) - 2 * part @ colours.T).argmin(1)
    return found.reshape(image.shape[:2])


def colour_scores(images: Tensor, palette: Sequence[Colour]) -> Tensor:
    """(N, 3, H, W) float in [-1, 1] -> (N, K, H, W) float32: minus the squared distance to every colour, in units of [-1, 1].

    Class scores of translated label maps; their largest is what `nearest_colour` says of the same images as bytes.
    """
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    colours = torch.tensor(palette, dtype=torch.float32, device=images.device)
    return (
        torch.stack([-(pixels - colour.view(1, 3, 1, 1)).square().sum(1) for colour in colours], 1) / 127.5**2
    )
