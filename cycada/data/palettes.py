"""Conversion of coloured label maps to classes, by the nearest colour of a palette."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""

CMP_FACADES: Mapping[str, Colour] = {
    "background": (0, 0, 223), "facade": (0, 48, 255), "window": (0, 128, 255), "door": (0, 207, 255),
    "cornice": (32, 255, 223), "sill": (112, 255, 143), "balcony": (191, 255, 64), "blind": (255, 239, 0),
    "deco": (255, 159, 0), "molding": (255, 80, 0), "pillar": (255, 0, 0), "shop": (175, 0, 0),
}  # fmt: skip
"""Classes of the CMP facade database (Tylecek and Sara, GCPR 2013) in the order of its label_names.txt, in
the colours of pix2pix's files: class k of 0..11 has entry 5k + 5, counted from 0, of Matlab's colour map
jet(64)."""

FAR = 60.0
"""Euclidean distance in RGB from which on a pixel has none of the colours of a palette."""
CHUNK = 2**16
"""Number of pixels whose distances are in memory at a time."""


def nearest_colour(image: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Return, for each pixel, the index of the nearest colour of a palette.

    The distance is Euclidean in RGB; of two colours that are equally near, the first is taken. The colours of
    a saved picture are rarely exactly those of the palette, since JPEG changes them.

    Args:
        image: (H, W, 3) uint8.
        palette: The colours, at most 256.

    Returns:
        (H, W) uint8.
    """
    colours = np.asarray(
        palette, np.float32
    )  # every number below is whole and less than 2**24, so float32 is exact
    pixels, indices = image.reshape(-1, 3), np.empty(image.shape[0] * image.shape[1], np.uint8)
    for start in range(0, len(pixels), CHUNK):
        chunk = pixels[start : start + CHUNK].astype(np.float32)
        indices[start : start + CHUNK] = ((colours**2).sum(1) - 2 * chunk @ colours.T).argmin(1)
    return indices.reshape(image.shape[:2])


def share_of_other_colours(image: np.ndarray, palette: Sequence[Colour]) -> float:
    """Return the share of the pixels of an image, (H, W, 3) uint8, that are `FAR` from all colours."""
    nearest = np.asarray(palette, np.float32)[nearest_colour(image, palette)]
    return float((((image - nearest) ** 2).sum(2) >= FAR**2).mean())


def is_grey(colours: np.ndarray) -> bool:
    """Return whether all of some colours (..., 3) are grey."""
    return bool((colours == colours[..., :1]).all())


def colour_scores(images: Tensor, palette: Sequence[Colour]) -> Tensor:
    """Return class scores of translated label maps: minus the squared distance of each pixel to each colour.

    The largest score belongs to the class that `nearest_colour` finds for the same images as bytes.

    Args:
        images: (N, 3, H, W), floating point in [-1, 1].
        palette: Colour of each of K classes.

    Returns:
        (N, K, H, W) float32, in the units of [-1, 1].
    """
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    colours = torch.tensor(palette, dtype=torch.float32, device=images.device)
    return (
        torch.stack([-(pixels - colour.view(1, 3, 1, 1)).square().sum(1) for colour in colours], 1) / 127.5**2
    )
