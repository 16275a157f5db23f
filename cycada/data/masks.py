"""The one way in which a mask file is read: class ids of any depth, or colours, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from cycada.data.picture import is_deep, is_lossy, open_picture
from cycada.data.scenes import Mask

UNKNOWN = 254
"""What a value of a mask that no table knows becomes, for as long as it takes to notice."""

ReadCodes = Callable[[Path], np.ndarray]
"""A mask file -> (H, W) integers as the file has them: ids, or packed colours."""


class MaskTable:
    """What the values of mask files mean: known value -> class, or IGNORE. Answers with one look-up per pixel."""

    def __init__(self, classes: Mapping[int, int]) -> None:
        self.known = sorted(classes)
        self.answers = np.full(self.known[-1] + 2, UNKNOWN, np.uint8)
        self.answers[self.known] = [classes[code] for code in self.known]

    def __call__(self, codes: np.ndarray, shown: Callable[[int], object] = int) -> Mask:
        """(H, W) integers -> (H, W) uint8. Raises ValueError that says which values are unknown and how often they occur."""
        mask = self.answers[np.minimum(codes, len(self.answers) - 1, dtype=np.uint32, casting="unsafe")]
        if (mask == UNKNOWN).any():
            found, counts = np.unique(codes[mask == UNKNOWN], return_counts=True)
            listed = ", ".join(
                f"{shown(int(v))} ({n} pixels)" for v, n in zip(found[:5], counts[:5], strict=True)
            )
            few = ", ".join(str(shown(v)) for v in self.known[:40])
            raise ValueError(
                f"found the mask values {listed}{' and more' if len(found) > 5 else ''}, expected only {few}"
            )
        return mask


def read_ids(path: Path) -> np.ndarray:
    """Read class ids: (H, W) integers of a file with one channel, grey of any depth, or the indices of a palette.

    Raises ValueError for several channels, for fractional numbers, and for a lossy format, whose values are not those that were saved.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        if len(image.getbands()) != 1:
            raise ValueError(
                f"found a mask with the channels {''.join(image.getbands())}, expected one channel of class ids; save it in one channel, "
                f"or give the classes as colours"
            )
        codes = np.asarray(image)
        if image.mode == "F":
            if not np.array_equal(codes, np.round(codes)):
                raise ValueError(
                    "found a mask of fractional numbers, expected whole class ids; it may have been scaled smoothly"
                )
            if codes.min() < 0 or codes.max() > 65535:
                raise ValueError(
                    f"found a mask of values from {codes.min():g} to {codes.max():g}, expected class ids from 0 to 65535"
                )
            return codes.astype(np.int64)
        return codes.astype(np.int64 if image.mode == "I" else np.uint16)


def read_colours(path: Path) -> np.ndarray:
    """Read a coloured mask: (H, W) packed colours (see `pack`).

    Raises ValueError for a lossy format, for transparent pixels, whose colour nobody sees, for more than 8 bits a channel, and for
    float or deep grey, which hold no colours.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        if image.mode[0] in "IF" or is_deep(image):
            raise ValueError(
                f"found a mask of more than 8 bits a channel (mode {image.mode}), expected colours of 8 bits"
            )
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise ValueError(
                "found a mask with transparent pixels, expected a colour at every pixel; save it without transparency"
            )
        return pack(np.asarray(image.convert("RGB")).astype(np.uint32))


def read_first_channel(path: Path) -> np.ndarray:
    """Read (H, W) integers from the first channel of a colour PNG of 8 or 16 bits.

    PIL keeps the upper byte of 16 bits, in which ids are all 0. Asked to read the file with its bytes swapped, it keeps the lower.
    """
    with open_picture(path) as image:
        _not_lossy(image, path)
        (tile,) = image.tile
        if image.mode not in ("RGB", "RGBA", "L", "I", "I;16", "I;16B") or (
            is_deep(image) and tile.args != "RGB;16B"
        ):
            raise ValueError(
                f"found a mask of the mode {image.mode} ({tile.args}), expected red, green and blue of 8 or 16 bits in a PNG file"
            )
        pixels = np.asarray(image)
    channel = pixels.reshape(*pixels.shape[:2], -1)[..., 0].astype(np.uint16)
    if tile.args != "RGB;16B":
        return channel
    with open_picture(path) as image:
        image.tile = [tile._replace(args="RGB;16L")]
        return channel << 8 | np.asarray(image)[..., 0]


def pack(colour: np.ndarray) -> np.ndarray:
    """(..., 3) red, green, blue -> (...) one number."""
    return colour[..., 0] << 16 | colour[..., 1] << 8 | colour[..., 2]


def unpack(code: int) -> tuple[int, int, int]:
    """Give red, green and blue of a packed colour."""
    return code >> 16, code >> 8 & 255, code & 255


def _not_lossy(image: Pil.Image, path: Path) -> None:
    if is_lossy(image, path):
        kind = (image.format or "").lower()
        raise ValueError(
            f"found a mask in a lossy format ({kind}), whose values are not those that were saved; expected a PNG file"
        )
