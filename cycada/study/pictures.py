"""Pictures as the page holds them: of one size, one format, one length in bytes, and with nothing in them but pixels."""

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
"""Of JPEG, with colours at full resolution: what a generator leaves behind in single pixels is to be seen."""


def fitted(path: Path, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """The middle of a picture at `size` = (height, width), and the (height, width) that the file had."""
    array = read_picture(path)
    height, width = size
    return ImageOps.fit(Image.fromarray(array), (width, height), Image.Resampling.LANCZOS), array.shape[:2]


def encoded(picture: Image.Image, format: Format) -> bytes:
    """Built anew from the pixels, so that neither EXIF nor a colour profile nor a comment of the file comes along."""
    file = io.BytesIO()
    how = {"quality": QUALITY, "subsampling": 0} if format == "jpeg" else {}
    Image.fromarray(np.asarray(picture)).save(file, format.upper(), optimize=True, **how)
    return file.getvalue()


def of_one_length(files: Sequence[bytes], random: np.random.Generator) -> list[bytes]:
    """Filled up with noise: generated pictures tend to be smaller files than photos. What follows a picture's end is read by nobody."""
    longest = -(-max(map(len, files)) // 3) * 3  # of 3, so that base64 ends alike too
    return [file + random.bytes(longest - len(file)) for file in files]
