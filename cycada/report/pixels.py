"""Pictures inside a page: no larger than one looks at, and in few colours."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

WIDEST = 1200
"""Pixels across; wider pictures are made smaller."""
COLORS, GREYS = 256, 64


def png_uri(picture: Image.Image) -> str:
    """A data URI of the picture with a palette (alpha is kept), or of the picture itself where that is smaller."""
    colors = picture.getcolors(1 << 24) or []
    grey = picture.mode in ("L", "1") or (picture.mode == "RGB" and all(c[0] == c[1] == c[2] for _, c in colors))  # type: ignore[index, misc]
    method = Image.Quantize.FASTOCTREE if picture.mode == "RGBA" else Image.Quantize.MEDIANCUT  # the only one that knows alpha
    few = picture if picture.mode == "P" else picture.quantize(GREYS if grey else COLORS, method=method, dither=Image.Dither.NONE)
    smallest = min((_png(few), _png(picture)), key=len)
    return "data:image/png;base64," + base64.b64encode(smallest).decode()


def png_file_uri(path: Path) -> str:
    """The same of an image file, at most `WIDEST` across."""
    with Image.open(path) as opened:
        picture = opened if opened.mode in ("L", "RGB", "RGBA", "P") else opened.convert("RGB")
        if picture.width > WIDEST:
            size = (WIDEST, round(picture.height * WIDEST / picture.width))
            picture = picture.convert("RGB").resize(size, Image.Resampling.BOX)
        return png_uri(picture)


def smaller_uri(uri: str) -> str:
    """A data URI of a PNG, made small."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as opened:
        return png_uri(opened)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
