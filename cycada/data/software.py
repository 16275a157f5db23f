"""Which command wrote a picture, by its EXIF tag `Software`, so that none overwrites one of the user's."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags
from PIL import Image as Pil

from cycada.core.errors import CycadaError
from cycada.data.picture import UNREADABLE


def software(command: str) -> Pil.Exif:
    """Return the EXIF of a picture that a command writes; formats without EXIF, such as BMP, ignore it."""
    exif = Pil.Exif()
    exif[ExifTags.Base.Software] = command
    return exif


def refuse_other(path: Path, command: str) -> None:
    """Raise CycadaError where a file is at the place of a picture that a command will write, and is not its.

    Args:
        path: The file, which may be absent.
        command: The command that will write it.
    """
    if not path.exists():
        return
    try:
        with Pil.open(path) as opened:
            found = opened.getexif().get(ExifTags.Base.Software)
    except UNREADABLE:
        found = None
    if found != command:
        raise CycadaError(
            f"{path}: there is a file of this name, and nothing in it says that {command} wrote it. Choose "
            "another name, or remove it."
        )
