"""Writing pictures with the EXIF and colour profile of their originals, and a mark of what made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import ExifTags
from PIL import Image as Pil
from PIL.PngImagePlugin import PngInfo

from cycada.core.files import write_atomically
from cycada.data.picture import UNREADABLE

Format = Literal["png", "jpg"]
MARK = "cycada"
MOST_EXIF = 65_000
"""The largest number of bytes of EXIF that is written into a JPEG file, a little below what it can hold."""


def save_like(file: Path, array: np.ndarray, original: Path, mark: str) -> None:
    """Write a picture as .png or .jpg, completely or not at all, with the metadata of its original.

    The EXIF is that of `original`, with its orientation set to upright; the ICC profile is kept where it is
    one for these channels.

    Args:
        file: The file to write.
        array: (H, W, C) uint8, C = 1 or 3.
        original: The picture that the metadata are taken from.
        mark: One line about what made the picture; `mark_of` reads it.
    """
    exif, icc = _metadata(original)
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    kept: dict[str, Any] = {"exif": exif} if len(exif) else {}
    # A profile of CMYK, or of grey that became RGB, would be wrong.
    if icc[16:20] == (b"GRAY" if array.shape[-1] == 1 else b"RGB "):
        kept["icc_profile"] = icc
    if file.suffix == ".png":
        text = PngInfo()
        text.add_text(MARK, mark)
        kept |= {"format": "PNG", "pnginfo": text}
    else:
        if len(exif.tobytes()) > MOST_EXIF:
            del kept["exif"]
        kept |= {"format": "JPEG", "quality": 95, "subsampling": 0, "comment": f"{MARK}: {mark}"}
    with write_atomically(file) as temporary:
        Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(temporary, **kept)


def mark_of(file: Path) -> str | None:
    """Return the mark that `save_like` wrote into a file; None for any other file."""
    try:
        with Pil.open(file) as opened:
            mark, comment = opened.info.get(MARK), opened.info.get("comment")
    except UNREADABLE:
        return None
    if isinstance(comment, bytes) and comment.startswith(f"{MARK}: ".encode()):
        mark = comment.decode(errors="replace").removeprefix(f"{MARK}: ")
    return mark if isinstance(mark, str) else None


def _metadata(original: Path) -> tuple[Pil.Exif, bytes]:
    """Return EXIF and ICC profile of a picture; empty where there are none that can be read."""
    try:
        with Pil.open(original) as opened:
            exif, icc = opened.getexif(), opened.info.get("icc_profile") or b""
            exif.tobytes()
    except UNREADABLE:
        return Pil.Exif(), b""
    return exif, icc
