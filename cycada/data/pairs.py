"""Scenes in files: an image file and a mask file each, found by a common key, checked when they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from PIL import Image as Pil

from cycada.data.scenes import Image, Mask, SceneDomain, Scenes
from cycada.errors import CycadaError
from cycada.types import IGNORE

UNKNOWN = 254
"""What a value of a mask that no table knows becomes, for as long as it takes to notice."""

Paths = tuple[Path, Path | None]
ReadCodes = Callable[[Path], np.ndarray]
"""A mask file -> (H, W) integers as the file has them: ids, or packed colours."""
ReadImage = Callable[[Path], Image]
"""An image file -> (H, W, 3) uint8."""


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
            listed = ", ".join(f"{shown(int(v))} ({n} pixels)" for v, n in zip(found[:5], counts[:5], strict=True))
            few = ", ".join(str(shown(v)) for v in self.known[:40])
            raise ValueError(f"found the mask values {listed}{' and more' if len(found) > 5 else ''}, expected only {few}")
        return mask


def read_image(path: Path) -> Image:
    """(H, W, 3) uint8 of any picture, as it is stored: a camera's note on how to turn it (EXIF) would turn no mask."""
    with Pil.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_ids(path: Path) -> np.ndarray:
    """(H, W) integers of a mask in one channel: grey of any depth, or a palette's indices."""
    with Pil.open(path) as image:
        if len(image.getbands()) != 1:
            raise ValueError(f"found a mask with the channels {''.join(image.getbands())}, expected one channel of class ids")
        return np.asarray(image).astype(np.int64 if image.mode in "IF" else np.uint16)


def read_colours(path: Path) -> np.ndarray:
    """(H, W) packed colours (see `pack`) of a coloured mask."""
    return pack(read_image(path).astype(np.uint32))


def read_first_channel(path: Path) -> np.ndarray:
    """(H, W) integers, the first channel of a colour PNG of 8 or 16 bits.

    PIL keeps the upper byte of 16 bits, in which ids are all 0. Asked to read the file with its bytes swapped, it keeps the lower.
    """
    with Pil.open(path) as image:
        (tile,) = image.tile
        pixels = np.asarray(image)
    channel = pixels.reshape(*pixels.shape[:2], -1)[..., 0].astype(np.uint16)
    if tile.args != "RGB;16B":
        return channel
    with Pil.open(path) as image:
        image.tile = [tile._replace(args="RGB;16L")]
        return channel << 8 | np.asarray(image)[..., 0]


def pack(colour: np.ndarray) -> np.ndarray:
    """(..., 3) red, green, blue -> (...) one number."""
    return colour[..., 0] << 16 | colour[..., 1] << 8 | colour[..., 2]


def unpack(code: int) -> tuple[int, int, int]:
    return code >> 16, code >> 8 & 255, code & 255


class FilePairs(Scenes):
    """Pairs of files. `codes` reads a mask file, `table` says what its values mean, `picture` reads an image file."""

    def __init__(
        self, names: Sequence[str], files: Sequence[Paths], table: MaskTable, codes: ReadCodes = read_ids,
        labelled: bool = True, skipped: Mapping[str, str] | None = None, shown: Callable[[int], object] = int,
        picture: ReadImage = read_image,
    ) -> None:  # fmt: skip
        super().__init__(names, labelled, skipped)
        self.files, self.table, self.codes, self.shown, self.picture = files, table, codes, shown, picture

    @property
    def paths(self) -> Sequence[Paths]:
        return self.files

    def only(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        part = super().only(rows, labelled)
        part.files = [self.files[i] if part.labelled else (self.files[i][0], None) for i in rows]
        return part

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image_path, mask_path = self.files[i]
        image = _readable(self.picture, image_path, "image", self.files[i])
        if not self.labelled or mask_path is None:
            return image, None
        codes = _readable(self.codes, mask_path, "mask", self.files[i])
        if codes.shape != image.shape[:2]:
            sizes = [f"{a.shape[1]} x {a.shape[0]}" for a in (image, codes)]
            raise _bad(self.files[i], f"found an image of {sizes[0]} and a mask of {sizes[1]} pixels, expected the same size")
        try:
            return image, self.table(codes, self.shown)
        except ValueError as error:
            raise _bad(self.files[i], str(error)) from None

    def without_bad(self) -> Self:
        """The pairs that can be read, the others in `skipped`. Reads every file once, on all cores; keeps none."""

        def fault(i: int) -> str:
            try:
                self.pair(i)
            except CycadaError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = list(pool.map(fault, range(len(self))))
        good = self.only([i for i, wrong in enumerate(faults) if not wrong])
        good.skipped = {**self.skipped, **{self.names[i]: wrong for i, wrong in enumerate(faults) if wrong}}
        return good


Pairs = TypeVar("Pairs", bound=FilePairs)


def _bad(files: Paths, what: str) -> CycadaError:
    image, mask = files
    return CycadaError(f"{image}{f' with {mask}' if mask and mask != image else ''}: {what}.")


def _readable(read: Callable[[Path], np.ndarray], path: Path, kind: str, files: Paths) -> np.ndarray:
    try:
        return read(path)
    except (OSError, ValueError, SyntaxError, RuntimeError, Pil.DecompressionBombError) as error:
        raise _bad(files, f"found {'an' if kind == 'image' else 'a'} {kind} that is not readable ({error}). Mend or remove it") from None


def find_pairs(
    domain: SceneDomain, images: Mapping[str, Path], masks: Mapping[str, Path], where: tuple[Path, Path], table: MaskTable,
    codes: ReadCodes = read_ids, skip_bad: bool = False, shown: Callable[[int], object] = int,
) -> FilePairs:  # fmt: skip
    """Files by their key (which is the pair's name) -> pairs. `where`: the folders of images and of masks.

    Raises CycadaError on an empty folder, and on an image without mask or a mask without image unless `skip_bad`.
    """
    if not images:
        raise domain.missing(where[0], f"images ({', '.join(domain.files)})")
    if not masks:
        raise domain.missing(where[1], f"masks for the {len(images)} images of {where[0]}")
    lonely = {
        key: f"{path}: found an image without a mask, expected one in {where[1]}." for key, path in images.items() if key not in masks
    }
    lonely |= {
        key: f"{path}: found a mask without an image, expected one in {where[0]}." for key, path in masks.items() if key not in images
    }
    if lonely and not skip_bad:
        raise CycadaError(
            f"{next(iter(lonely.values()))} {len(lonely)} files of {len(images)} images and {len(masks)} masks are alone. "
            f"Complete or remove them, or set skip_bad=true."
        )
    names = sorted(set(images) & set(masks))
    pairs = FilePairs(names, [(images[n], masks[n]) for n in names], table, codes, skipped=lonely, shown=shown)
    return some_good(domain, pairs.without_bad() if skip_bad else pairs, where[0])


def some_good(domain: SceneDomain, pairs: Pairs, where: Path) -> Pairs:
    """The pairs. Raises CycadaError where none is left."""
    if not pairs.names:
        first = next(iter(pairs.skipped.values()), "")
        raise CycadaError(f"Domain '{domain.name}': found no pair in {where} that can be used; {len(pairs.skipped)} are bad. {first}")
    return pairs


def unlabelled(
    domain: SceneDomain, images: Mapping[str, Path], where: Path, skip_bad: bool = False, picture: ReadImage = read_image
) -> FilePairs:
    """Images that have no masks."""
    if not images:
        raise domain.missing(where, f"images ({', '.join(domain.files)})")
    names = sorted(images)
    pairs = FilePairs(names, [(images[n], None) for n in names], MaskTable({IGNORE: IGNORE}), labelled=False, picture=picture)
    return some_good(domain, pairs.without_bad(), where) if skip_bad else pairs


def by_stem(paths: Iterable[Path], ending: str = "") -> dict[str, Path]:
    """File name without its suffix and `ending` -> path. Raises CycadaError where two files would share a name."""
    found: dict[str, Path] = {}
    for path in sorted(paths):
        other = found.setdefault(path.stem.removesuffix(ending), path)
        if other != path:
            raise CycadaError(f"{other} and {path}: found two files of one name, expected one. Remove the other.")
    return found
