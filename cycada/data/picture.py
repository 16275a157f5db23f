"""The one way in which a picture that somebody else made is read: any mode, depth and orientation, or refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as Pil

from cycada.errors import CycadaError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, TypeError, KeyError, IndexError, EOFError, Pil.DecompressionBombError)
"""What Pillow raises on files that are empty, cut off, garbled or of no format that it knows."""


def image_files(folder: Path) -> list[Path]:
    """The pictures of a folder by their names, sorted; those that begin with a dot are no pictures."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def read_picture(path: Path, channels: Literal[1, 3] = 3, upright: bool = True) -> np.ndarray:
    """(H, W, channels) uint8 of a picture file: what one sees who opens it.

    Turned as its EXIF note says, if `upright`; a mask beside it would not turn along. What is transparent stands on white; grey
    and palettes become colours; 16 bits are scaled to 8; of several pages or frames it is the first. Raises CycadaError that names
    the file where it is no picture, is damaged, has less than 2 x 2 pixels, or more than Pillow takes for an honest picture.
    """
    try:
        with Pil.open(path) as opened:
            if min(opened.size) < 2:
                raise ValueError(f"it has {opened.width} x {opened.height} pixels, expected at least 2 x 2")
            image = ImageOps.exif_transpose(opened) if upright else opened
            array = np.asarray(_on_white(_eight_bits(image)).convert("RGB" if channels == 3 else "L"))
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
    return array.reshape(*array.shape[:2], channels)


def _eight_bits(image: Pil.Image) -> Pil.Image:
    """Pillow would cut 16 bits off at 255 instead of scaling them."""
    if image.mode == "F":
        raise ValueError("it has floating-point pixels, of which nobody knows what white is; expected integers of 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise ValueError(f"it has pixels from {deep.min()} to {deep.max()}, expected 8 or 16 bits")
    return Pil.fromarray(np.round(deep / 257).astype(np.uint8))


def _on_white(image: Pil.Image) -> Pil.Image:
    if not image.has_transparency_data:
        return image
    return Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image.convert("RGBA"))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture file as `read_picture` turns it, from its first bytes alone. Raises CycadaError."""
    try:
        with Pil.open(path) as opened:
            width, height = opened.size
            return (height, width) if opened.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9) else (width, height)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
