"""Writing predicted masks in the values and colours of a domain, and overlays that show them on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL.PngImagePlugin import PngInfo

from cycada.core.files import write_atomically
from cycada.data.inspect import colour_mask
from cycada.inference.image_writer import MARK

OPACITY = 0.5
"""The share of a class's colour in an overlay."""


def mask_picture(
    mask: np.ndarray, values: Sequence[int | tuple[int, int, int]], palette: Sequence[tuple[int, int, int]]
) -> Pil.Image:
    """Return a mask as the domain's mask files have it.

    Args:
        mask: (H, W) uint8, the class of each pixel.
        values: What stands for each class: an id up to 65535, or a colour.
        palette: The colour of each class, which ids up to 255 carry as a palette.

    Returns:
        An image of ids with a palette, of 16-bit ids where one is above 255, or of colours.
    """
    table = np.array(values)
    if table.ndim == 2:
        return Pil.fromarray(table.astype(np.uint8)[mask])
    if table.max(initial=0) > 255:
        return Pil.fromarray(table.astype(np.uint16)[mask])
    picture = Pil.fromarray(table.astype(np.uint8)[mask])
    if palette:
        colours = np.zeros((256, 3), np.uint8)
        colours[table] = palette
        picture.putpalette(colours.tobytes())
    return picture


def overlay_picture(
    picture: np.ndarray, mask: np.ndarray, palette: Sequence[tuple[int, int, int]]
) -> Pil.Image:
    """Return a picture (H, W, 3) uint8 with the colours of its mask (H, W) over it."""
    mixed = (1 - OPACITY) * picture + OPACITY * colour_mask(mask, palette)
    return Pil.fromarray(mixed.round().astype(np.uint8))


def save_marked(file: Path, picture: Pil.Image, mark: str) -> None:
    """Write a .png file completely or not at all, with one line about what made it, which `mark_of` reads."""
    text = PngInfo()
    text.add_text(MARK, mark)
    file.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(file) as temporary:
        picture.save(temporary, format="PNG", pnginfo=text)
