"""Pictures written with what belongs to the picture that they were made from: EXIF, colour profile, and who made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import ExifTags
from PIL import Image as Pil
from PIL.PngImagePlugin import PngInfo

from cycada.core.files import whole
from cycada.data.picture import UNREADABLE

Format = Literal["png", "jpg"]
MARK = "cycada"
MOST_EXIF = 65_000
"""Bytes of EXIF that a JPEG file can hold, a little less."""


def save_like(file: Path, array: np.ndarray, original: Path, mark: str) -> None:
    """(H, W, C) uint8, C = 1 or 3, as .png or .jpg, whole or not at all.

    With the EXIF of `original`, which is taken to stand upright here (orientation 1), and its ICC profile where that is one for
    these channels. mark: one line about how it was made, which `mark_of` reads again.
    """
    exif, icc = _belongings(original)
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    kept: dict[str, Any] = {"exif": exif} if len(exif) else {}
    if icc[16:20] == (
        b"GRAY" if array.shape[-1] == 1 else b"RGB "
    ):  # of CMYK, or of grey that became RGB, it would be wrong
        kept["icc_profile"] = icc
    if file.suffix == ".png":
        text = PngInfo()
        text.add_text(MARK, mark)
        kept |= {"format": "PNG", "pnginfo": text}
    else:
        if len(exif.tobytes()) > MOST_EXIF:
            del kept["exif"]
        kept |= {"format": "JPEG", "quality": 95, "subsampling": 0, "comment": f"{MARK}: {mark}"}
    with whole(file) as part:
        Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(part, **kept)


def mark_of(file: Path) -> str | None:
    """What `save_like` was told; None of pictures that it did not make, and of what is no picture."""
    try:
        with Pil.open(file) as opened:
            mark, comment = opened.info.get(MARK), opened.info.get("comment")
    except UNREADABLE:
        return None
    if isinstance(comment, bytes) and comment.startswith(f"{MARK}: ".encode()):
        mark = comment.decode(errors="replace").removeprefix(f"{MARK}: ")
    return mark if isinstance(mark, str) else None


def _belongings(original: Path) -> tuple[Pil.Exif, bytes]:
    """EXIF and ICC profile; empty where there is none that can be read."""
    try:
        with Pil.open(original) as opened:
            exif, icc = opened.getexif(), opened.info.get("icc_profile") or b""
            exif.tobytes()
    except UNREADABLE:
        return Pil.Exif(), b""
    return exif, icc
