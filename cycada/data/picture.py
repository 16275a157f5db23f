"""The one way in which a picture that somebody else made is read: any mode, depth and orientation, or refused by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageFile, ImageOps
from PIL import Image as Pil
from PIL.TiffImagePlugin import BITSPERSAMPLE

from cycada.core.errors import CycadaError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    Pil.DecompressionBombError,
)
"""What Pillow raises on files that are empty, cut off, garbled or of no format that it knows."""

TWELVE_BITS = 4095
"""A deep picture that has no larger value may hold 12 bits or fewer in 16, and then is much too dark when 65535 is white."""

TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored",
    5: "turned",
    6: "turned",
    7: "turned",
    8: "turned",
}
"""What an EXIF orientation asks for."""


@dataclass(frozen=True)
class FolderContent:
    """What lies in a folder of pictures, by name. left_out: path -> why it is not read."""

    pictures: list[Path] = field(default_factory=list)
    left_out: Mapping[Path, str] = field(default_factory=dict)


def list_pictures(
    folder: Path, recursive: bool = False, above: frozenset[str] = frozenset()
) -> FolderContent:
    """List the pictures of a folder by their paths, sorted, and what else is there.

    Args:
        folder: An absent one is empty.
        recursive: Look into sub-folders too. Otherwise a sub-folder is left out, with the number of its pictures.
        above: The true paths of the folders that it lies in, so that a link back to one of them ends.

    Returns:
        Pictures are regular files with a known suffix whose names do not begin with a dot. Everything else is left out with a
        reason, but for hidden files and folders that hold no pictures.
    """
    found, left_out = [], dict[Path, str]()
    above |= {os.path.realpath(folder)}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return FolderContent()
    except OSError as error:
        raise CycadaError(
            f"{folder}: the folder cannot be read ({error.strerror}). Give yourself the right to read it."
        ) from None
    for entry in entries:
        path = Path(folder, entry.name)
        known = path.suffix.lower() in SUFFIXES
        linked = entry.is_symlink()
        if path.is_dir() if linked else entry.is_dir():
            if linked and any(Path(other).is_relative_to(os.path.realpath(path)) for other in above):
                left_out[path] = "a link to a folder that it lies in"
                continue
            below = list_pictures(path, True, above)
            many = f"{len(below.pictures)} picture{'s' * (len(below.pictures) != 1)}"
            if entry.name.startswith("."):
                left_out |= {path: f"a hidden folder with {many}"} if below.pictures else {}
            elif recursive:
                found += below.pictures
                left_out |= below.left_out
            else:
                example = f", such as {below.pictures[0].relative_to(folder)}" if below.pictures else ""
                left_out[path] = f"a sub-folder with {many}{example}; sub-folders are not looked into"
        elif entry.name.startswith("."):
            if known:
                left_out[path] = "hidden: its name begins with a dot"
        elif not known:
            left_out[path] = f"its suffix is none of {', '.join(SUFFIXES)}"
        elif not (path.is_file() if linked else entry.is_file()):
            left_out[path] = "a link to nothing" if linked and not path.exists() else "no regular file"
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
        with open_picture(path) as opened:
            return pixels_of(opened, channels, upright)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error


def open_picture(path: Path) -> ImageFile.ImageFile:
    """Open a picture file of which nothing but the first bytes are read yet. Raises one of UNREADABLE."""
    if path.exists() and not path.is_file():  # a named pipe would wait for ever
        raise ValueError("it is no regular file")
    return Pil.open(path)


def pixels_of(image: Pil.Image, channels: Literal[1, 3] = 3, upright: bool = True) -> np.ndarray:
    """Give (H, W, channels) uint8 of an opened picture, in the way of `read_picture`. Raises one of UNREADABLE."""
    if min(image.size) < 2:
        raise ValueError(f"it has {image.width} x {image.height} pixels, expected at least 2 x 2")
    if is_deep(image) and "transparency" in image.info:
        raise ValueError(
            "it has 16 bits a channel and a transparent colour, which Pillow does not know how to read; save it in 8 bits"
        )
    white = TWELVE_BITS if has_twelve_bits(image) else 65535
    turned = ImageOps.exif_transpose(image) if upright else image
    array = np.asarray(_on_white(_eight_bits(turned, white)).convert("RGB" if channels == 3 else "L"))
    return array.reshape(*array.shape[:2], channels)


def picture_doubts(path: Path, beside_mask: bool = False) -> list[str]:
    """Say what of a picture cannot be known from the file, each in a sentence without the file's name.

    Reads the first bytes alone, but PNG files and what is deeper than 8 bits whole. A file that cannot be read has no doubts: whoever
    reads it is told.

    Args:
        path: The file.
        beside_mask: Whether it is read as it is stored, since a mask belongs to it.
    """
    doubts = []
    try:
        with open_picture(path) as image:
            deep = is_deep(
                image
            )  # asked first: looking for EXIF loads a PNG file, and then nothing tells its depth
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
            if beside_mask and turn in TURNS:
                doubts.append(
                    f"its EXIF orientation ({turn}) says that it is to be shown {TURNS[turn]}, which is not followed beside a mask; "
                    f"where the mask was drawn on the upright image, save the image upright"
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:
                doubts.append(f"it has {frames} frames or pages, of which only the first is read")
            if has_twelve_bits(image):
                pass  # the file says so itself
            elif image.mode.startswith("I") and 0 < (most := int(np.asarray(image).max())) <= TWELVE_BITS:
                doubts.append(
                    f"it has 16 bits a pixel and no value above {most}; 65535 is read as white, so if it holds 12 bits or fewer it is "
                    f"read much too dark; save it in 8 bits"
                )
            elif deep and 0 < _brightest(image) <= TWELVE_BITS >> 8:
                doubts.append(
                    f"it has 16 bits a channel and no value above {TWELVE_BITS}; 65535 is read as white, so if it holds 12 bits or fewer "
                    f"it is read much too dark; save it in 8 bits"
                )
    except (*UNREADABLE, AttributeError):
        return []
    return doubts


def has_twelve_bits(image: Pil.Image) -> bool:
    """Whether an opened TIFF file says that its grey has 12 bits, so that 4095 is white."""
    return image.mode.startswith("I") and tuple(getattr(image, "tag_v2", {}).get(BITSPERSAMPLE, ())) == (12,)


def _brightest(image: Pil.Image) -> int:
    """The largest value of an opened picture's colours; how transparent it is does not count."""
    pixels = np.asarray(image)
    return int(pixels[..., :-1].max() if image.mode in ("RGBA", "LA") else pixels.max())


def is_deep(image: Pil.Image) -> bool:
    """Whether an opened file has 16 bits a channel, of which Pillow reads the upper 8."""
    return image.mode in ("RGB", "RGBA", "LA", "RGBX") and any(
        ";16" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def is_lossy(image: Pil.Image, path: Path) -> bool:
    """Whether an opened file is of a format that does not keep pixels as they were saved."""
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8 " in file.read(64 * 1024)
    return image.format in ("JPEG", "MPO", "JPEG2000", "AVIF") or "jpeg" in str(
        image.info.get("compression", "")
    )


def _eight_bits(image: Pil.Image, white: int) -> Pil.Image:
    """Scale deep grey, which Pillow would cut off at 255. A transparent value of it becomes transparent pixels."""
    if image.mode == "F":
        raise ValueError(
            "it has floating-point pixels, of which nobody knows what white is; expected integers of 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise ValueError(f"it has pixels from {deep.min()} to {deep.max()}, expected 8 or 16 bits")
    grey = Pil.fromarray(np.round(deep.astype(np.float32) * (255 / white)).clip(0, 255).astype(np.uint8))
    if isinstance(hole := image.info.get("transparency"), int):
        grey.putalpha(Pil.fromarray(np.where(deep == hole, 0, 255).astype(np.uint8)))
    return grey


def _on_white(image: Pil.Image) -> Pil.Image:
    if not image.has_transparency_data:
        return image
    return Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image.convert("RGBA"))


def picture_size(path: Path, upright: bool = True) -> tuple[int, int]:
    """Give (width, height) of a picture file as `read_picture` turns it, from its first bytes alone. Raises CycadaError."""
    try:
        with open_picture(path) as opened:
            width, height = opened.size
            turned = upright and opened.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
            return (height, width) if turned else (width, height)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
