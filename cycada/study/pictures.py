"""Prepare pictures for the page: of the same size, format and length in bytes, with nothing but pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from cycada.data.picture import read_picture

Format = Literal["jpeg", "png"]
QUALITY = 95
"""Quality of JPEG; colours keep their full resolution, so that traces in single pixels can be seen."""


def fitted(path: Path, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return the middle of a picture at `size` = (height, width), and the file's own (height, width)."""
    array = read_picture(path)
    height, width = size
    return ImageOps.fit(Image.fromarray(array), (width, height), Image.Resampling.LANCZOS), array.shape[:2]


def encoded(picture: Image.Image, format: Format) -> bytes:
    """Encode a picture from its pixels alone, so that no EXIF, colour profile or comment is kept."""
    file = io.BytesIO()
    how = {"quality": QUALITY, "subsampling": 0} if format == "jpeg" else {}
    Image.fromarray(np.asarray(picture)).save(file, format.upper(), optimize=True, **how)
    return file.getvalue()


def of_one_length(files: Sequence[bytes], random: np.random.Generator) -> list[bytes]:
    """Fill files up with noise to one length, because generated pictures are often smaller files than photos.

    Decoders ignore what follows the end of a picture.
    """
    longest = -(-max(map(len, files)) // 3) * 3  # a multiple of 3, so that the base64 has no telling end
    return [file + random.bytes(longest - len(file)) for file in files]
