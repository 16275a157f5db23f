"""Reading of mask files, which hold class ids of any bit depth, or colours; anything else is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE
from cycada.data.image_set import Mask
from cycada.data.picture import has_transparent_pixels, is_deep, is_inverted, is_lossy, open_picture

UNKNOWN = 254
"""Class that stands for values which a table does not know, until the error about them is raised."""

ReadCodes = Callable[[Path], np.ndarray]
"""Function that reads a mask file as (H, W) integers: class ids, or packed colours."""


class MaskTable:
    """Table that maps the values of mask files to classes, with one look-up per pixel.

    Args:
        classes: The class, 0..K-1 or IGNORE, of each value that may be in the files. Other values are errors.
        remedy: Sentence that ends those errors; it says where a user may give a value its class.

    Raises:
        CycadaError: There are more classes than a mask in memory can tell apart.
    """

    def __init__(self, classes: Mapping[int, int], remedy: str = "") -> None:
        self.remedy = remedy
        count = 1 + max((k for k in classes.values() if k != IGNORE), default=-1)
        if count > UNKNOWN:  # the class 255 would count nowhere
            raise CycadaError(f"Found {count} classes of masks, expected at most {UNKNOWN}.")
        self.known = sorted(classes)
        self.class_of = np.full(self.known[-1] + 2, UNKNOWN, np.uint8)
        self.class_of[self.known] = [classes[code] for code in self.known]

    def __call__(self, codes: np.ndarray, shown: Callable[[int], object] = int) -> Mask:
        """Return the classes of a mask.

        Args:
            codes: (H, W) integers, as `ReadCodes` returns them.
            shown: Function that returns how an error message shows a value, for example three numbers for a
                packed colour.

        Returns:
            (H, W) uint8, values 0..K-1 or IGNORE.

        Raises:
            ValueError: The mask has values that the table does not know. The message says which, and how
                often.
        """
        mask: Mask = self.class_of[
            np.minimum(codes, len(self.class_of) - 1, dtype=np.uint32, casting="unsafe")
        ]
        if (mask == UNKNOWN).any():
            values, counts = np.unique(codes[mask == UNKNOWN], return_counts=True)
            listed = ", ".join(
                f"{shown(int(v))} ({n} pixels)" for v, n in zip(values[:5], counts[:5], strict=True)
            )
            known = ", ".join(str(shown(v)) for v in self.known[:40])
            raise ValueError(
                f"found the mask values {listed}{' and more' if len(values) > 5 else ''}, "
                f"expected only {known}{self.remedy and f'. {self.remedy}'}"
            )
        return mask


def read_ids(path: Path) -> np.ndarray:
    """Read a mask of class ids.

    Args:
        path: File with one channel: grey of any bit depth, or the indices of a palette.

    Returns:
        (H, W) integers from 0 to 65535.

    Raises:
        ValueError: The file has several channels, fractional numbers, 2 or 4 bits of grey, or a lossy format,
            which does not keep the values that were saved.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        _not_scaled(image)
        if len(image.getbands()) != 1:
            raise ValueError(
                f"found a mask with the channels {''.join(image.getbands())}, "
                f"expected one channel of class ids; save it in one channel, or give the classes as colours "
                f"(domain mask_folder)"
            )
        inverted = is_inverted(image)
        codes = np.asarray(image)
        if inverted:
            codes = 65535 - codes
        if image.mode == "F":
            if not np.array_equal(codes, np.round(codes)):
                raise ValueError(
                    "found a mask of fractional numbers, expected whole class ids; "
                    "it may have been scaled smoothly"
                )
            if codes.min() < 0 or codes.max() > 65535:
                raise ValueError(
                    f"found a mask of values from {codes.min():g} to {codes.max():g}, "
                    f"expected class ids from 0 to 65535"
                )
            return codes.astype(np.int64)
        return codes.astype(np.int64 if image.mode == "I" else np.uint16)


def read_colours(path: Path) -> np.ndarray:
    """Read a coloured mask as (H, W) packed colours (see `pack`).

    Raises:
        ValueError: The file has a lossy format, transparent pixels, whose colour cannot be seen, more than 8
            bits a channel, or floating-point or 16-bit grey, which holds no colours.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        if image.mode[0] in "IF" or is_deep(image):
            raise ValueError(
                f"found a mask of more than 8 bits a channel (mode {image.mode}), expected colours of 8 bits"
            )
        if has_transparent_pixels(image):
            raise ValueError(
                "found a mask with transparent pixels, expected a colour at every pixel; "
                "save it without transparency"
            )
        return pack(np.asarray(image.convert("RGB")).astype(np.uint32))


def read_first_channel(path: Path) -> np.ndarray:
    """Read the first channel of a colour PNG file of 8 or 16 bits as (H, W) integers.

    Pillow keeps only the upper byte of a 16-bit value, which is 0 for every small id. The file is therefore
    read a second time with the bytes swapped, which gives the lower byte.

    Raises:
        ValueError: The file has another mode, 2 or 4 bits of grey, or a lossy format.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        _not_scaled(image)
        (tile,) = image.tile
        if image.mode not in ("RGB", "RGBA", "L", "I", "I;16", "I;16B") or (
            is_deep(image) and tile.args != "RGB;16B"
        ):
            raise ValueError(
                f"found a mask of the mode {image.mode} ({tile.args}), "
                f"expected red, green and blue of 8 or 16 bits in a PNG file"
            )
        pixels = np.asarray(image)
    channel = pixels.reshape(*pixels.shape[:2], -1)[..., 0].astype(np.uint16)
    if tile.args != "RGB;16B":
        return channel
    with open_picture(path) as image:
        image.tile = [tile._replace(args="RGB;16L")]
        codes: np.ndarray = channel << 8 | np.asarray(image)[..., 0]
    return codes


def pack(colour: np.ndarray) -> np.ndarray:
    """Return colours, (..., 3) integers in 0..255, packed into one number each, (...)."""
    packed: np.ndarray = colour[..., 0] << 16 | colour[..., 1] << 8 | colour[..., 2]
    return packed


def unpack(code: int) -> tuple[int, int, int]:
    """Return red, green and blue of a packed colour."""
    return code >> 16, code >> 8 & 255, code & 255


def _not_lossy(image: Pil.Image, path: Path) -> None:
    if is_lossy(image, path):
        kind = (image.format or "").lower()
        raise ValueError(
            f"found a mask in a lossy format ({kind}), whose values are not those that were saved; "
            f"expected a PNG file"
        )


def _not_scaled(image: Pil.Image) -> None:
    """Refuse grey of 2 or 4 bits: Pillow scales 0..15 to 0..255, so that an id of 1 would be read as 17."""
    for tile in getattr(image, "tile", ()):
        raw = tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]
        if image.mode == "L" and str(raw).startswith(("L;2", "L;4")):
            raise ValueError(
                f"found a mask of {raw[2]} bits of grey, which may hold ids from 0 to {2 ** int(raw[2]) - 1} "
                f"or brightness from 0 to 255; expected 8 bits or a palette: save it as 8-bit grey"
            )
