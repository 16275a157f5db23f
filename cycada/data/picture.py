"""The one way in which a picture that somebody else made is read: any mode, depth and orientation, or refused by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as Pil

from cycada.errors import CycadaError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, TypeError, KeyError, IndexError, EOFError, Pil.DecompressionBombError)
"""What Pillow raises on files that are empty, cut off, garbled or of no format that it knows."""

TWELVE_BITS = 4095
"""A deep picture that has no larger value may hold 12 bits or fewer in 16, and then is much too dark when 65535 is white."""

TURNS = {2: "mirrored", 3: "turned by 180 degrees", 4: "mirrored", 5: "turned", 6: "turned", 7: "turned", 8: "turned"}
"""What an EXIF orientation asks for."""


@dataclass(frozen=True)
class FolderContent:
    """What lies in a folder of pictures, by name. left_out: path -> why it is not read."""

    pictures: list[Path] = field(default_factory=list)
    left_out: Mapping[Path, str] = field(default_factory=dict)


def list_pictures(folder: Path, recursive: bool = False) -> FolderContent:
    """List the pictures of a folder by their paths, sorted, and what else is there.

    Args:
        folder: An absent one is empty.
        recursive: Look into sub-folders too. Otherwise a sub-folder is left out, with the number of its pictures.

    Returns:
        Pictures are regular files with a known suffix whose names do not begin with a dot. Everything else is left out with a
        reason, but for hidden files that are no pictures.
    """
    found, left_out = [], dict[Path, str]()
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return FolderContent()
    except OSError as error:
        raise CycadaError(f"{folder}: the folder cannot be read ({error.strerror}). Give yourself the right to read it.") from None
    for entry in entries:
        path = Path(folder, entry.name)
        known = path.suffix.lower() in SUFFIXES
        if entry.name.startswith("."):
            if known:
                left_out[path] = "hidden: its name begins with a dot"
        elif entry.is_dir():
            if recursive:
                below = list_pictures(path, True)
                found += below.pictures
                left_out |= below.left_out
            else:
                inside = list_pictures(path, True).pictures
                example = f", such as {inside[0].relative_to(folder)}" if inside else ""
                left_out[path] = f"a sub-folder with {len(inside)} pictures{example}; sub-folders are not looked into"
        elif not known:
            left_out[path] = f"its suffix is none of {', '.join(SUFFIXES)}"
        elif not entry.is_file():
            left_out[path] = "no regular file"
        else:
            found.append(path)
    return FolderContent(found, left_out)


def image_files(folder: Path) -> list[Path]:
    """List the pictures of a folder by their names, sorted; those that begin with a dot are no pictures."""
    return list_pictures(folder).pictures


def describe_folder(folder: Path) -> str:
    """Say in a sentence what a folder holds in which no picture was found, for the end of a message."""
    if not folder.exists():
        return f"There is no folder {folder}."
    content = list_pictures(folder)
    left_out = content.left_out
    if content.pictures:
        return f"Found in {folder}: {len(content.pictures)} pictures of other names, such as {content.pictures[0].name}."
    if not left_out:
        return f"{folder} is empty." if folder.is_dir() else f"{folder} is no folder."
    first = "; ".join(f"{path.name}: {why}" for path, why in list(left_out.items())[:3])
    return f"Found in {folder}: {first}{f'; and {len(left_out) - 3} more' if len(left_out) > 3 else ''}."


def read_picture(path: Path, channels: Literal[1, 3] = 3, upright: bool = True) -> np.ndarray:
    """Read a picture file as (H, W, channels) uint8: what one sees who opens it.

    What is transparent stands on white; grey and palettes become colours; 16 bits are scaled to 8, so that 65535 is white; of several
    pages or frames it is the first. A colour profile is not applied.

    Args:
        path: The file.
        channels: 3 for red, green, blue; 1 for grey.
        upright: Turn it as its EXIF note says. Not beside a mask, which would not turn along.

    Raises:
        CycadaError: It names the file where it is no regular file or no picture, is damaged, has floating-point pixels, less than
            2 x 2 pixels, or more than Pillow takes for an honest picture.
    """
    try:
        if path.exists() and not path.is_file():  # a named pipe would wait for ever
            raise ValueError("it is no regular file")
        with Pil.open(path) as opened:
            if min(opened.size) < 2:
                raise ValueError(f"it has {opened.width} x {opened.height} pixels, expected at least 2 x 2")
            image = ImageOps.exif_transpose(opened) if upright else opened
            array = np.asarray(_on_white(_eight_bits(image)).convert("RGB" if channels == 3 else "L"))
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
    return array.reshape(*array.shape[:2], channels)


def picture_doubts(path: Path, beside_mask: bool = False) -> list[str]:
    """Say what of a picture cannot be known from the file, each in a sentence without the file's name.

    Reads the first bytes alone, and the pixels where these are deeper than 8 bits. A file that cannot be read has no doubts: whoever
    reads it is told.

    Args:
        path: The file.
        beside_mask: Whether it is read as it is stored, since a mask belongs to it.
    """
    doubts = []
    try:
        with Pil.open(path) as image:
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
            if beside_mask and turn in TURNS:
                doubts.append(
                    f"its EXIF orientation ({turn}) says that it is to be shown {TURNS[turn]}, which is not followed beside a mask; "
                    f"where the mask was drawn on the upright image, save the image upright"
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:
                doubts.append(f"it has {frames} frames or pages, of which only the first is read")
            if image.mode.startswith("I") and 0 < (most := int(np.asarray(image).max())) <= TWELVE_BITS:
                doubts.append(
                    f"it has 16 bits a pixel and no value above {most}; 65535 is read as white, so if it holds 12 bits or fewer it is "
                    f"read much too dark; save it in 8 bits"
                )
            elif is_deep(image) and 0 < int(np.asarray(image).max()) <= TWELVE_BITS >> 8:
                doubts.append(
                    f"it has 16 bits a channel and no value above {TWELVE_BITS}; 65535 is read as white, so if it holds 12 bits or fewer "
                    f"it is read much too dark; save it in 8 bits"
                )
    except (*UNREADABLE, AttributeError):
        return []
    return doubts


def is_deep(image: Pil.Image) -> bool:
    """Whether an opened file has 16 bits a channel, of which Pillow reads the upper 8."""
    return image.mode in ("RGB", "RGBA", "LA", "RGBX") and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def is_lossy(image: Pil.Image, path: Path) -> bool:
    """Whether an opened file is of a format that does not keep pixels as they were saved."""
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8 " in file.read(64 * 1024)
    return image.format in ("JPEG", "MPO", "JPEG2000", "AVIF") or "jpeg" in str(image.info.get("compression", ""))


def _eight_bits(image: Pil.Image) -> Pil.Image:
    """Pillow would cut 16 bits off at 255 instead of scaling them."""
    if image.mode == "F":
        raise ValueError("it has floating-point pixels, of which nobody knows what white is; expected integers of 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise ValueError(f"it has pixels from {deep.min()} to {deep.max()}, expected 8 or 16 bits")
    return Pil.fromarray(np.round(deep / 257).astype(np.uint8))


def _on_white(image: Pil.Image) -> Pil.Image:
    if not image.has_transparency_data:
        return image
    return Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image.convert("RGBA"))


def picture_size(path: Path, upright: bool = True) -> tuple[int, int]:
    """Give (width, height) of a picture file as `read_picture` turns it, from its first bytes alone. Raises CycadaError."""
    try:
        with Pil.open(path) as opened:
            width, height = opened.size
            turned = upright and opened.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
            return (height, width) if turned else (width, height)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
