"""Pictures inside a page: no larger than one looks at, and in as few bytes as they can be looked at in."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

WIDEST = 1200
"""Pixels across; wider pictures are made smaller."""
COLORS, GREYS = 256, 64
QUALITY = 80
"""Of JPEG."""


def uri(picture: Image.Image) -> str:
    """A data URI of the picture, at most `WIDEST` across.

    PNG with a palette, or without where that is smaller; transparency is kept. What has more colours than a palette holds, a
    photo, is JPEG where that is smaller still.
    """
    if picture.width > WIDEST:
        picture = picture.convert("RGB").resize(
            (WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.BOX
        )
    colors = picture.getcolors(1 << 24) or []
    rgb = [c for _, c in colors if isinstance(c, tuple)] if picture.mode == "RGB" else []
    grey = picture.mode in ("L", "1") or (picture.mode == "RGB" and all(c[0] == c[1] == c[2] for c in rgb))
    ways = [
        ("png", _bytes(picture, "PNG")),
        ("png", _bytes(_in_few_colors(picture, GREYS if grey else COLORS), "PNG")),
    ]
    if picture.mode == "RGB" and not grey and len(colors) > COLORS:
        ways.append(("jpeg", _bytes(picture, "JPEG", quality=QUALITY)))
    kind, smallest = min(ways, key=lambda way: len(way[1]))
    return f"data:image/{kind};base64,{base64.b64encode(smallest).decode()}"


def _in_few_colors(picture: Image.Image, colors: int) -> Image.Image:
    if picture.mode == "P":
        return picture
    if picture.mode == "RGBA":  # one method alone knows transparency; points in a few colours need no more
        return picture.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return picture.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def rows_of(path: Path, count: int | None = None, head: int = 0) -> Image.Image:
    """A picture, or the first `count` of its rows, which white lines part from each other below the first `head` pixels."""
    with Image.open(path) as opened:
        whole = opened.copy() if opened.mode in ("L", "RGB", "P") else opened.convert("RGB")
    blank = np.asarray(whole.convert("L")).min(1) == 255
    ends = [y for y in range(head + 1, whole.height) if blank[y] and not blank[y - 1]]
    return whole.crop((0, 0, whole.width, ends[count - 1])) if count and len(ends) >= count else whole


def columns_of(path: Path, wanted: Sequence[int], of: int, gap: int) -> Image.Image:
    """Some of the `of` equally wide columns of a picture, which are `gap` pixels apart, side by side."""
    with Image.open(path) as opened:
        whole = opened.convert("RGB")
    width = (whole.width + gap) // of
    page = Image.new("RGB", (len(wanted) * width - gap, whole.height), "white")
    for place, column in enumerate(wanted):
        page.paste(
            whole.crop((column * width, 0, (column + 1) * width - gap, whole.height)), (place * width, 0)
        )
    return page


def smaller(data: str) -> str:
    """A data URI, made small."""
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as opened:
        return uri(opened)


def _bytes(picture: Image.Image, kind: str, **how: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, optimize=True, **how)
    return file.getvalue()
