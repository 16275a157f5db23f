"""Which command wrote a picture, by its EXIF tag `Software`, so that none overwrites one of the user's."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags
from PIL import Image as Pil

from cycada.data.picture import UNREADABLE


def software(command: str) -> Pil.Exif:
    """Return the EXIF of a picture that a command writes; formats without EXIF, such as BMP, ignore it."""
    exif = Pil.Exif()
    exif[ExifTags.Base.Software] = command
    return exif


def is_written_by(path: Path, command: str) -> bool:
    """Return whether a file is a picture that a command wrote.

    Args:
        path: The file.
        command: The command, as given to `software`.
    """
    try:
        with Pil.open(path) as opened:
            return bool(opened.getexif().get(ExifTags.Base.Software) == command)
    except UNREADABLE:
        return False
