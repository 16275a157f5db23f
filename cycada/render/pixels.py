"""Pictures inside a page, in as few pixels and bytes as are needed to look at them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

WIDEST = 1200
"""Largest width in pixels; wider pictures are made smaller."""
COLORS, GREYS = 256, 64
"""Sizes of the palettes of colour pictures and of grey ones."""
QUALITY = 80
"""Quality of JPEG."""


def uri(picture: Image.Image) -> str:
    """Return a data URI of the picture, at most `WIDEST` pixels wide.

    It is a PNG with a palette, or without one where that is smaller; transparency is kept. A photo, which has
    more colours than a palette holds, is a JPEG where that is smaller still.
    """
    if picture.width > WIDEST:
        picture = picture.convert("RGB").resize(
            (WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.BOX
        )
    grey = picture.mode in ("L", "1") or (picture.mode == "RGB" and _is_grey(picture))
    encodings = [
        ("png", _bytes(picture, "PNG")),
        ("png", _bytes(_in_few_colors(picture, GREYS if grey else COLORS), "PNG")),
    ]
    if picture.mode == "RGB" and not grey and picture.getcolors(COLORS) is None:
        encodings.append(("jpeg", _bytes(picture, "JPEG", quality=QUALITY)))
    kind, smallest = min(encodings, key=lambda encoding: len(encoding[1]))
    return f"data:image/{kind};base64,{base64.b64encode(smallest).decode()}"


def _is_grey(picture: Image.Image) -> bool:
    """Return whether red, green and blue are equal at every pixel of an RGB picture."""
    pixels = np.asarray(picture)
    return bool((pixels == pixels[..., :1]).all())


def _in_few_colors(picture: Image.Image, colors: int) -> Image.Image:
    if picture.mode == "P":
        return picture
    if picture.mode == "RGBA":  # only this method keeps transparency; scatter plots need no more colours
        return picture.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return picture.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def rows_of(path: Path, count: int | None = None, head: int = 0) -> Image.Image:
    """Return an image grid, or its first rows.

    Args:
        path: The file of the grid, whose rows are separated by white lines.
        count: The number of rows; None for all.
        head: The height of the heading in pixels, in which white lines do not count.
    """
    with Image.open(path) as opened:
        grid = opened.copy() if opened.mode in ("L", "RGB", "P") else opened.convert("RGB")
    blank = np.asarray(grid.convert("L")).min(1) == 255
    ends = [y for y in range(head + 1, grid.height) if blank[y] and not blank[y - 1]]
    return grid.crop((0, 0, grid.width, ends[count - 1])) if count and len(ends) >= count else grid


def split_rows(path: Path, rows: int, head: int, gap: int) -> list[Image.Image]:
    """Return the rows of an image grid as pictures.

    Args:
        path: The file of the grid.
        rows: The number of rows in the grid, all of the same height.
        head: The height of the heading in pixels.
        gap: The number of pixels between rows.
    """
    with Image.open(path) as opened:
        grid = opened.convert("RGB")
    height = (grid.height - head + gap) // rows
    tops = [head + i * height for i in range(rows)]
    return [grid.crop((0, top, grid.width, top + height - gap)) for top in tops]


def columns_of(path: Path, wanted: Sequence[int], of: int, gap: int) -> Image.Image:
    """Return some columns of an image grid side by side.

    Args:
        path: The file of the grid.
        wanted: The indices of the columns, in order.
        of: The number of columns in the grid, all of the same width.
        gap: The number of pixels between columns.
    """
    with Image.open(path) as opened:
        grid = opened.convert("RGB")
    width = (grid.width + gap) // of
    page = Image.new("RGB", (len(wanted) * width - gap, grid.height), "white")
    for i, column in enumerate(wanted):
        page.paste(grid.crop((column * width, 0, (column + 1) * width - gap, grid.height)), (i * width, 0))
    return page


def smaller(data: str) -> str:
    """Return the picture in a data URI as a smaller data URI, see `uri`."""
    with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as opened:
        return uri(opened)


def _bytes(picture: Image.Image, kind: str, **how: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, optimize=True, **how)
    return file.getvalue()
