"""Reading of picture files of any mode, bit depth and orientation; every error names the file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageFile, ImageOps
from PIL import Image as Pil
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from cycada.core.errors import CycadaError, list_some

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
"""Folders that archives, network drives and file systems add to those of the user."""
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
"""Errors that Pillow raises for files that are empty, cut off, damaged or of an unknown format."""

TWELVE_BITS = 4095
"""Largest value of 12 bits. A 16-bit picture without larger values may hold 12 bits or fewer; with 65535 as
white it would then be much too dark."""

COMPACT_SRGB = ("c2", "c2ci", "uRGB")
"""Names of the profiles by which cameras and web services say sRGB in few bytes."""

TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored",
    5: "turned",
    6: "turned",
    7: "turned",
    8: "turned",
}
"""How a picture is to be shown, by its EXIF orientation."""


@dataclass(frozen=True)
class FolderContent:
    """Content of a folder of pictures.

    Attributes:
        pictures: The picture files, sorted by path.
        left_out: Other files and folders, each with the reason why it is not read.
    """

    pictures: list[Path] = field(default_factory=list)
    left_out: Mapping[Path, str] = field(default_factory=dict)


def list_pictures(  # noqa: PLR0912 (one branch for each kind of file)
    folder: Path, recursive: bool = False, above: frozenset[str] = frozenset()
) -> FolderContent:
    """List the pictures of a folder, and what else is there.

    Args:
        folder: The folder; an absent one counts as empty.
        recursive: Include sub-folders. Otherwise a sub-folder is left out, with the number of its pictures.
        above: Resolved paths of the folders above it, so that a link back to one of them is not followed.

    Returns:
        Pictures are regular files with a known suffix whose names do not begin with a dot. Everything else is
        left out with a reason, except hidden files that are no pictures and hidden folders without pictures.

    Raises:
        CycadaError: The folder cannot be read.
    """
    pictures, left_out = [], dict[Path, str]()
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
            if is_hidden(entry.name):
                left_out |= {path: f"a hidden folder with {many}"} if below.pictures else {}
            elif recursive:
                pictures += below.pictures
                left_out |= below.left_out
            else:
                left_out[path] = (
                    f"a sub-folder with {many}, such as {below.pictures[0].relative_to(folder)}; "
                    f"sub-folders are not looked into"
                    if below.pictures
                    else "a sub-folder without pictures"
                )
        elif entry.name.startswith("."):
            if known:
                left_out[path] = "hidden: its name begins with a dot"
        elif linked and not path.exists():
            left_out[path] = "a link to nothing"
        elif not known:
            left_out[path] = f"its suffix is none of {', '.join(SUFFIXES)}"
        elif not (path.is_file() if linked else entry.is_file()):
            left_out[path] = "no regular file"
        else:
            pictures.append(path)
    return FolderContent(pictures, left_out)


def is_hidden(name: str) -> bool:
    """Return whether a folder of this name is no folder of the user's: hidden, or made by a system."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def list_everything(folder: Path) -> list[Path]:
    """Return a folder and all files and folders below it, sorted, also behind links to folders.

    A link back to a folder that it lies in is not followed.
    """
    found = [folder]
    for here, folders, files in os.walk(folder, followlinks=True):
        real = Path(os.path.realpath(here))
        found += [Path(here, name) for name in (*folders, *files)]
        folders[:] = [
            name
            for name in folders
            if not (
                os.path.islink(path := os.path.join(here, name))
                and real.is_relative_to(os.path.realpath(path))
            )
        ]
    return sorted(found)


def image_files(folder: Path) -> list[Path]:
    """Return the picture files of a folder, sorted by name, without those whose names begin with a dot."""
    return list_pictures(folder).pictures


def describe_folder(folder: Path) -> str:
    """Return a sentence about the content of a folder, to end an error about files that are not in it."""
    if not folder.exists():
        return f"There is no folder {folder}; {describe_absent(Path(), str(folder))}."
    content = list_pictures(folder)
    left_out = content.left_out
    if content.pictures:
        example = content.pictures[0].name
        return f"Found in {folder}: {len(content.pictures)} pictures of other names, such as {example}."
    if not left_out:
        return f"{folder} is empty." if folder.is_dir() else f"{folder} is no folder."
    first = "; ".join(f"{path.name}: {why}" for path, why in list(left_out.items())[:3])
    return f"Found in {folder}: {first}{f'; and {len(left_out) - 3} more' if len(left_out) > 3 else ''}."


def describe_absent(root: Path, name: str) -> str:
    """Return a phrase about what is there in place of a folder or file, to end an error.

    Args:
        root: Folder that `name` is relative to.
        name: Path of what is absent.
    """
    if not root.is_dir():
        return f"{root} is no folder" if root.exists() else f"there is no folder {root}"
    above = next(path for path in (root / name).parents if path.is_dir())
    try:
        found = sorted(entry.name for entry in os.scandir(above) if not is_hidden(entry.name))
    except OSError:
        return f"{above} cannot be read"
    return f"found in {above}: {list_some(found, 8)}" if found else f"{above} is empty"


def read_picture(path: Path, channels: Literal[1, 3] = 3, upright: bool = True) -> np.ndarray:
    """Read a picture file as it looks in an image viewer.

    Transparent pixels are put on white; grey and palettes become colours; 16 bits are scaled to 8, so that
    65535 is white; of several pages or frames the first is read. Colour profiles are not applied.

    Args:
        path: The file.
        channels: 3 for red, green and blue, 1 for grey.
        upright: Follow the EXIF orientation. Not for an image with a mask, which would not be turned with it.

    Returns:
        (H, W, channels) uint8.

    Raises:
        CycadaError: The file is not a regular file or not a picture, is damaged, has floating-point pixels,
            fewer than 2 x 2 pixels, or so many that Pillow takes it for an attack ("decompression bomb").
    """
    try:
        with open_picture(path) as opened:
            return pixels_of(opened, channels, upright)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error


def open_picture(path: Path) -> ImageFile.ImageFile:
    """Open a picture file, of which only the first bytes are read. Raises one of UNREADABLE."""
    if not path.is_file():  # opening a named pipe would wait for ever
        raise ValueError("it is no regular file" if path.exists() else "there is no such file")
    return Pil.open(path)


def pixels_of(image: Pil.Image, channels: Literal[1, 3] = 3, upright: bool = True) -> np.ndarray:
    """Return the pixels of an opened picture as `read_picture` does. Raises one of UNREADABLE."""
    if min(image.size) < 2:
        raise ValueError(f"it has {image.width} x {image.height} pixels, expected at least 2 x 2")
    if is_deep(image) and "transparency" in image.info:
        raise ValueError(
            "it has 16 bits a channel and a transparent colour, which Pillow cannot read together; "
            "save it in 8 bits"
        )
    white = TWELVE_BITS if has_twelve_bits(image) else 65535
    inverted = is_inverted(image)
    turned = ImageOps.exif_transpose(image) if upright else image
    array = np.asarray(
        _on_white(_eight_bits(turned, white, inverted)).convert("RGB" if channels == 3 else "L")
    )
    return array.reshape(*array.shape[:2], channels)


def picture_doubts(path: Path, beside_mask: bool = False, is_mask: bool = False) -> list[str]:
    """Return what is in doubt about a picture file, in sentences without the name of the file.

    Of lossy formats only the first bytes are read, other pictures completely. For a file that cannot be read
    nothing is returned; reading it raises the error.

    Args:
        path: The file.
        beside_mask: Whether it belongs to a mask and is therefore read without following its EXIF
            orientation.
        is_mask: Whether its values are classes, so that none of them is too dark or transparent.
    """
    doubts = []
    try:
        with open_picture(path) as image:
            deep = is_deep(
                image
            )  # first, since reading EXIF loads a PNG file, after which its bit depth is lost
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
            if beside_mask and turn in TURNS:
                doubts.append(
                    f"its EXIF orientation ({turn}) says that it is to be shown {TURNS[turn]}, which is not "
                    "followed for "
                    + (
                        "a mask; save it with its pixels where those of its image are"
                        if is_mask
                        else "an image with a mask; if the mask was drawn on the upright image, save the "
                        "image upright"
                    )
                )
            if profile := _other_profile(image):
                doubts.append(
                    f"its colours have the profile '{profile}', which is not applied; save it in sRGB"
                )
            if (frames := getattr(image, "n_frames", 1)) > 1:
                doubts.append(f"it has {frames} frames or pages, of which only the first is read")
            if not is_mask and has_transparent_pixels(image):
                doubts.append("some of its pixels are transparent, which are put on white")
            if not is_mask and (doubt := _darkness(image, path, deep)):
                doubts.append(doubt)
    except (*UNREADABLE, AttributeError):
        return []
    return doubts


def _darkness(image: Pil.Image, path: Path, deep: bool) -> str:
    """Return the doubt about an opened picture that is nearly black as it is read; empty where it is not."""
    if has_twelve_bits(image) or is_lossy(image, path):  # the first says so itself
        return ""
    if image.mode.startswith("I"):
        most = int(np.asarray(image).max())
        found = f"it has 16 bits a pixel and no value above {most}" if 0 < most <= TWELVE_BITS else ""
    elif image.mode in ("L", "LA", "P", "RGB", "RGBA", "RGBX"):
        most = _brightest(image.convert("RGB") if image.mode == "P" else image)
        if not 0 < most <= TWELVE_BITS >> 8:
            return ""
        if not deep:
            return (
                f"it has no value above {most} of 255, so that it is nearly black; it may hold class ids, "
                f"or colours whose white is not 255"
            )
        found = f"it has 16 bits a channel and no value above {TWELVE_BITS}"
    else:
        return ""
    return found and (
        f"{found}; 65535 is read as white, so if it holds 12 bits or fewer it is read much too dark; "
        f"save it in 8 bits"
    )


def _other_profile(image: Pil.Image) -> str:
    """Return the name of a profile by which a picture's colours differ from sRGB; empty without one."""
    content = image.info.get("icc_profile")
    if not content or image.mode not in ("RGB", "RGBA", "CMYK"):
        return ""
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(content))).strip()
    except (ImageCms.PyCMSError, OSError):  # what cannot be read is not applied by viewers either
        return ""
    return "" if "srgb" in name.casefold() or name in COMPACT_SRGB else name


def has_transparent_pixels(image: Pil.Image) -> bool:
    """Return whether an opened picture has pixels that are not opaque; a channel for them alone is none."""
    if not image.has_transparency_data:
        return False
    if image.mode.startswith("I"):  # 16-bit grey with one transparent value, which Pillow would clip
        return bool((np.asarray(image) == image.info["transparency"]).any())
    return bool(np.asarray(image.convert("RGBA"))[..., 3].min() < 255)


def has_twelve_bits(image: Pil.Image) -> bool:
    """Return whether an opened TIFF file declares 12-bit grey, so that 4095 is white."""
    return image.mode.startswith("I") and tuple(getattr(image, "tag_v2", {}).get(BITSPERSAMPLE, ())) == (12,)


def is_inverted(image: Pil.Image) -> bool:
    """Return whether an opened TIFF file of 16-bit grey says that 0 is white.

    Pillow follows this tag in files of up to 8 bits alone.
    """
    return image.mode.startswith("I") and getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == 0


def _brightest(image: Pil.Image) -> int:
    """Return the largest value of the colours of an opened picture, without its transparency."""
    pixels = np.asarray(image)
    return int(pixels[..., :-1].max() if image.mode in ("RGBA", "LA") else pixels.max())


def is_deep(image: Pil.Image) -> bool:
    """Return whether an opened file has colours of 16 bits a channel, of which Pillow reads the upper 8."""
    return image.mode in ("RGB", "RGBA", "LA", "RGBX") and any(
        ";16" in str(tile.args) for tile in getattr(image, "tile", ())
    )


def is_lossy(image: Pil.Image, path: Path) -> bool:
    """Return whether an opened file has a lossy format, which does not keep the pixels as they were saved."""
    if image.format == "WEBP":
        with path.open("rb") as file:
            return b"VP8 " in file.read(64 * 1024)
    return image.format in ("JPEG", "MPO", "JPEG2000", "AVIF") or "jpeg" in str(
        image.info.get("compression", "")
    )


def _eight_bits(image: Pil.Image, white: int, inverted: bool = False) -> Pil.Image:
    """Return 16-bit grey, which Pillow would clip at 255, scaled to 8 bits; it stays transparent."""
    if image.mode == "F":
        raise ValueError(
            "it has floating-point pixels, whose value for white is unknown; "
            "expected integers of 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
        raise ValueError(f"it has pixels from {deep.min()} to {deep.max()}, expected 8 or 16 bits")
    if inverted:
        deep = white - deep.astype(np.int64)
    grey = Pil.fromarray(np.round(deep.astype(np.float32) * (255 / white)).clip(0, 255).astype(np.uint8))
    if isinstance(hole := image.info.get("transparency"), int):
        grey.putalpha(Pil.fromarray(np.where(deep == hole, 0, 255).astype(np.uint8)))
    return grey


def _on_white(image: Pil.Image) -> Pil.Image:
    if not image.has_transparency_data:
        return image
    return Pil.alpha_composite(Pil.new("RGBA", image.size, "white"), image.convert("RGBA"))


def picture_size(path: Path, upright: bool = True) -> tuple[int, int]:
    """Return (width, height) of a picture as `read_picture` reads it, from the first bytes of its file.

    Args:
        path: The file.
        upright: Follow the EXIF orientation.

    Raises:
        CycadaError: The file cannot be read.
    """
    try:
        with open_picture(path) as opened:
            width, height = opened.size
            turned = upright and opened.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
            return (height, width) if turned else (width, height)
    except UNREADABLE as error:
        raise CycadaError(f"{path}: not a readable image ({error}). Mend or remove it.") from error
