"""Translations in picture files, as partners of the images that they were made from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Pil
from torch import Tensor

from cycada.core.files import write_atomically
from cycada.core.types import IGNORE
from cycada.data.fitted import ResizedDataset
from cycada.data.image_set import ImageSet
from cycada.data.masks import MaskTable
from cycada.data.pairs import FilePairs

ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}
"""Last bytes of a complete file, by its suffix."""
CHECKED = 24
"""Bytes at the end of a PNG file: checksums of all pixels and of the last block, and an empty block."""


def with_translations(images: ImageSet, files: Sequence[Path]) -> ImageSet:
    """Return a set whose images have their translations in picture files as partners.

    Args:
        images: The images.
        files: The translation of each image. It is resized to the size of the images, and stays in memory if
            they do.
    """
    pairs = FilePairs(
        images.names, [(file, None) for file in files], MaskTable({IGNORE: IGNORE}), labelled=False
    )
    return images.with_partner(ResizedDataset(pairs, images.size, cache=images.cached))


def write_png(file: Path, pixels: Tensor) -> None:
    """Write an image as a PNG file, complete or not at all, at the fastest compression.

    Args:
        file: The file.
        pixels: (C, H, W) uint8, C = 1 or 3.
    """
    array = pixels.permute(1, 2, 0).cpu().numpy()
    with write_atomically(file) as part:
        Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(
            part, format="PNG", compress_level=1
        )


def checksum(file: Path) -> str:
    """Return a mark of a PNG file's pixels without reading them: its size and its last bytes.

    A PNG file ends with checksums of its compressed pixels, which differ where a pixel differs.

    Returns:
        The mark; empty where the file is not there or is cut off.
    """
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(-CHECKED, os.SEEK_END)
            end = opened.read()
    except OSError:
        return ""
    return f"{size} {end[: -len(ENDS['.png'])].hex()}" if end.endswith(ENDS[".png"]) else ""


def is_whole(file: Path) -> bool:
    """Return whether a .png or .jpg file exists and is complete.

    After a power failure, a file that was renamed into place may be cut off or empty.
    """
    end = ENDS[file.suffix]
    try:
        with file.open("rb") as opened:
            opened.seek(-len(end), os.SEEK_END)
            return opened.read() == end
    except OSError:
        return False
