"""Datasets of image and mask files, which are matched by a common key and checked when they are read."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from typing_extensions import override

from cycada.core.errors import Absent, CycadaError
from cycada.core.types import IGNORE
from cycada.data.doubts import find_masks_among, join_doubts
from cycada.data.image_set import Image, Mask
from cycada.data.masks import MaskTable, ReadCodes, read_colours, read_first_channel, read_ids
from cycada.data.picture import (
    UNREADABLE,
    describe_folder,
    list_pictures,
    open_picture,
    picture_doubts,
    picture_size,
    pixels_of,
)
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain

Paths = tuple[Path, Path | None]
"""Image file and mask file of a pair."""
ReadImage = Callable[[Path], Image]
"""Function that reads an image file as (H, W, 3) uint8."""


def read_as_stored(path: Path) -> Image:
    """Read an image that belongs to a mask as (H, W, 3) uint8, ignoring its EXIF orientation.

    The orientation would turn the image and not the mask. Raises one of UNREADABLE, so that the caller, who
    knows the mask, can name both files in the error.
    """
    with open_picture(path) as image:
        return pixels_of(image, upright=False)


class FilePairs(SegmentationDataset):
    """Dataset whose images and masks are in files.

    Args:
        names: Name of each pair.
        files: Image file and mask file of each pair; None where there is no mask.
        table: Maps the values of the mask files to classes.
        codes: Reads a mask file.
        labelled: Whether masks are read.
        skipped: Pairs that were left out, each with the reason.
        shown: Turns a mask value into what errors show of it.
        picture: Reads an image file: as it is stored where it has a mask, upright otherwise (see
            `picture_doubts`).

    Attributes:
        beside: Number of pictures that a file holds side by side.
    """

    beside: int = 1

    def __init__(
        self,
        names: Sequence[str],
        files: Sequence[Paths],
        table: MaskTable,
        codes: ReadCodes = read_ids,
        labelled: bool = True,
        skipped: Mapping[str, str] | None = None,
        shown: Callable[[int], object] = int,
        picture: ReadImage = read_as_stored,
    ) -> None:
        super().__init__(names, labelled, skipped)
        self.files, self.table, self.codes, self.shown, self.picture = files, table, codes, shown, picture

    @override
    @property
    def paths(self) -> Sequence[Paths]:
        return self.files

    @override
    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        part = super().subset(rows, labelled)
        part.files = [self.files[i] if part.labelled else (self.files[i][0], None) for i in rows]
        return part

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """Count the image files by their size, from their first bytes.

        A file that cannot be read is not counted here; reading it raises the error.
        """
        sizes: Counter[str] = Counter()
        for i in rows:
            with suppress(CycadaError):
                width, height = picture_size(self.files[i][0], upright=self.picture is not read_as_stored)
                sizes[f"{width // self.beside} x {height}"] += 1
        return sizes

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Return the doubts about images and masks from the first bytes of their files, and by their names.

        Masks of palette indices are also compared with each other: their palettes should be the same.
        """
        doubts: dict[str, list[str]] = {}
        first: tuple[Path, list[int]] | None = None
        for i in rows:
            image, mask = self.files[i]
            if of_image := picture_doubts(image, beside_mask=self.picture is read_as_stored):
                doubts[str(image)] = of_image
            if (
                not self.labelled
                or mask is None
                or self.codes not in (read_ids, read_colours, read_first_channel)
            ):
                continue
            if of_mask := picture_doubts(mask, beside_mask=True, is_mask=True):
                doubts[str(mask)] = of_mask
            if self.codes is not read_ids:
                continue
            if {1, 255} <= set(self.table.known) and _has_one_bit(mask):
                doubts.setdefault(str(mask), []).append(
                    "it has one bit a pixel, of which white is read as the id 1, not as 255"
                )
            palette, hidden = _palette(mask)
            if hidden:
                doubts.setdefault(str(mask), []).append(
                    "some of its values are transparent; they are read as class ids like all others"
                )
            if palette and first and any(a != b for a, b in zip(palette, first[1], strict=False)):
                doubts.setdefault(str(mask), []).append(
                    f"its palette has other colours than that of {first[0].name}; "
                    f"the indices are read as class ids, so if the colours are what counts, "
                    f"give the classes as colours"
                )
            first = first or (palette and (mask, palette)) or None
        return join_doubts(doubts, find_masks_among(image for image, _ in self.files))

    def palette_colours(self, rows: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
        """Return the colour of each class in the palette of the first mask that has one.

        It is empty where no mask is read as the indices of a palette. A class of several ids has the colour
        of the lowest.
        """
        if not self.labelled or self.codes is not read_ids:
            return {}
        for mask in (self.files[i][1] for i in rows):
            if mask is not None and (colours := _palette(mask)[0]):
                known = [i for i in reversed(self.table.known) if 3 * i + 2 < len(colours)]
                classes = {int(self.table.class_of[i]): tuple(colours[3 * i : 3 * i + 3]) for i in known}
                return {k: colour for k, colour in classes.items() if k != IGNORE}
        return {}

    @override
    def check_headers(self, i: int) -> None:
        image, mask = self.files[i]
        upright = self.picture is not read_as_stored
        size = picture_size(image, upright)
        if self.labelled and mask is not None and mask != image:
            self._require_one_size(i, size, picture_size(mask, upright))

    def _require_one_size(self, i: int, image: tuple[int, int], mask: tuple[int, int]) -> None:
        """Raise CycadaError where the (width, height) of image i and of its mask differ."""
        if image == mask:
            return
        hint = ""
        if picture_size(self.files[i][0]) == mask:
            hint = ". Turned by its EXIF orientation the image would fit the mask: save it upright"
        sizes = [f"{width} x {height}" for width, height in (image, mask)]
        raise _bad(
            self.files[i],
            f"found an image of {sizes[0]} and a mask of {sizes[1]} pixels, expected the same size{hint}",
        )

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image_path, mask_path = self.files[i]
        image = _readable(self.picture, image_path, "image", self.files[i])
        if not self.labelled or mask_path is None:
            return image, None
        codes = _readable(self.codes, mask_path, "mask", self.files[i])
        self._require_one_size(i, (image.shape[1], image.shape[0]), (codes.shape[1], codes.shape[0]))
        try:
            return image, self.table(codes, self.shown)
        except ValueError as error:
            raise _bad(self.files[i], str(error)) from None

    def without_bad(self) -> Self:
        """Return the pairs that can be read; the others are in its `skipped`, each with the error.

        Every file is read once, on all cores, and nothing is kept in memory.
        """

        def fault(i: int) -> str:
            try:
                self.pair(i)
            except CycadaError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = list(pool.map(fault, range(len(self))))
        good = self.subset([i for i, error in enumerate(faults) if not error])
        good.skipped = {**self.skipped, **{self.names[i]: error for i, error in enumerate(faults) if error}}
        return good


Pairs = TypeVar("Pairs", bound=FilePairs)


def _bad(files: Paths, what: str) -> CycadaError:
    image, mask = files
    return CycadaError(f"{image}{f' with {mask}' if mask and mask != image else ''}: {what}.")


def _palette(mask: Path) -> tuple[list[int] | None, bool]:
    """Return the palette of a mask file, or None, and whether some of its values are transparent."""
    try:
        with open_picture(mask) as image:
            return image.getpalette() if image.mode == "P" else None, image.has_transparency_data
    except UNREADABLE:
        return None, False


def _has_one_bit(mask: Path) -> bool:
    try:
        with open_picture(mask) as image:
            return image.mode == "1"
    except UNREADABLE:
        return False


def _readable(read: Callable[[Path], np.ndarray], path: Path, kind: str, files: Paths) -> np.ndarray:
    try:
        return read(path)
    except UNREADABLE as error:
        article = "an" if kind == "image" else "a"
        raise _bad(
            files, f"found {article} {kind} that is not readable ({error}). Mend or remove it"
        ) from None


def find_pairs(  # noqa: PLR0913, PLR0917 (each is an option of its caller)
    domain: SegmentationDomain,
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    where: tuple[Path, Path],
    table: MaskTable,
    codes: ReadCodes = read_ids,
    skip_bad: bool = False,
    shown: Callable[[int], object] = int,
    left_out: Mapping[str, str] | None = None,
) -> FilePairs:
    """Return the dataset of images and masks that have the same key.

    Args:
        domain: The domain, for the errors.
        images: Image files by their key, which becomes the name of the pair.
        masks: Mask files by their key.
        where: Folder of the images and folder of the masks.
        table: Maps the values of the mask files to classes.
        codes: Reads a mask file.
        skip_bad: Leave out pairs that are incomplete or cannot be read, instead of raising an error.
        shown: Turns a mask value into what errors show of it.
        left_out: Files beside the pairs that are not read, each with the reason. None lists what in the two
            folders is no picture.

    Raises:
        CycadaError: A folder is empty, or, unless `skip_bad`, an image has no mask or a mask has no image.
    """
    if not images:
        raise _nothing(domain, where[0], "images")
    if not masks:
        raise _nothing(domain, where[1], f"masks for the {len(images)} images of {where[0]}")
    unmatched = {
        key: f"{path}: found an image without a mask, expected one in {where[1]}."
        for key, path in images.items()
        if key not in masks
    }
    unmatched |= {
        key: f"{path}: found a mask without an image, expected one in {where[0]}."
        for key, path in masks.items()
        if key not in images
    }
    if unmatched and not skip_bad:
        advice = "Complete or remove them, or set skip_bad=true."
        alone = [[files[key] for key in files if key in unmatched] for files in (images, masks)]
        called = " and ".join(files[0].name for files in alone if files)
        if not set(images) & set(masks):
            advice = f"No image has the name of a mask; they are called {called}. Give both the same name."
        elif all(alone):
            advice = f"Those that may belong together are called {called}: give both the same name. {advice}"
        file, partners = (alone[0][0], where[1]) if alone[0] else (alone[1][0], where[0])
        raise CycadaError(
            f"{next(iter(unmatched.values()))}{_unread(file, partners)} "
            f"Files without a partner: {len(unmatched)}, of {len(images)} images and {len(masks)} masks. "
            f"{advice}"
        )
    names = sorted(set(images) & set(masks))
    pairs = FilePairs(
        names, [(images[n], masks[n]) for n in names], table, codes, skipped=unmatched, shown=shown
    )
    pairs.left_out = find_left_out(*where) if left_out is None else left_out
    return require_nonempty(domain, pairs.without_bad() if skip_bad else pairs, where[0])


def _unread(file: Path, folder: Path) -> str:
    """Return a sentence about what has the stem of a file in a folder and is not read; empty without any."""
    unread = [(path, why) for path, why in list_pictures(folder).left_out.items() if path.stem == file.stem]
    return f" {unread[0][0].name} is not read: {unread[0][1]}." if unread else ""


def find_left_out(*folders: Path, ending: str = "") -> dict[str, str]:
    """Return the files in these folders that are not read, each with the reason.

    Args:
        folders: The folders.
        ending: Ending of the names, in lower case, of the pictures that are read.
    """
    left_out: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        content = list_pictures(folder)
        left_out |= {str(path): why for path, why in content.left_out.items()}
        left_out |= {
            str(path): f"its name does not end in {ending}"
            for path in content.pictures
            if not path.name.lower().endswith(ending)
        }
    return left_out


def png_by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Return the PNG files of a folder whose stems end in `ending`, in any case, by the rest of the stem."""
    paths = (path for path in list_pictures(folder).pictures if path.suffix.lower() == ".png")
    return by_stem((path for path in paths if path.stem.lower().endswith(ending.lower())), ending)


def _nothing(domain: SegmentationDomain, where: Path, what: str) -> Absent:
    """Return the error for a folder without the expected files; it says what is there instead."""
    error = domain.missing(where, f"{what} ({', '.join(domain.files)})")
    return Absent(f"{error} {describe_folder(where)}")


def require_nonempty(domain: SegmentationDomain, pairs: Pairs, where: Path) -> Pairs:
    """Return the pairs, or raise CycadaError where none is left."""
    if not pairs.names:
        first = next(iter(pairs.skipped.values()), "")
        raise CycadaError(
            f"Domain '{domain.name}': found no pair in {where} that can be used; "
            f"{len(pairs.skipped)} are bad. {first}"
        )
    return pairs


def find_unlabelled(
    domain: SegmentationDomain,
    images: Mapping[str, Path],
    where: Path,
    skip_bad: bool = False,
    picture: ReadImage = read_as_stored,
    left_out: Mapping[str, str] | None = None,
) -> FilePairs:
    """Return the dataset of images that have no masks, or whose masks are not to be read.

    Args:
        domain: The domain, for the errors.
        images: Image files by their names.
        where: Folder of the images.
        skip_bad: Leave out images that cannot be read.
        picture: Reads an image file.
        left_out: Files beside the images that are not read, as in `find_pairs`.

    Raises:
        CycadaError: There are no images.
    """
    if not images:
        raise _nothing(domain, where, "images")
    names = sorted(images)
    pairs = FilePairs(
        names,
        [(images[n], None) for n in names],
        MaskTable({IGNORE: IGNORE}),
        labelled=False,
        picture=picture,
    )
    pairs.left_out = find_left_out(where) if left_out is None else left_out
    return require_nonempty(domain, pairs.without_bad(), where) if skip_bad else pairs


def by_stem(paths: Iterable[Path], ending: str = "") -> dict[str, Path]:
    """Return paths by their file names without suffix and `ending`.

    The names are in Unicode's composed form (NFC): some file systems store an accent as a character of its
    own, so that an image and its mask would not find each other.

    Raises:
        CycadaError: Two files have the same name.
    """
    files: dict[str, Path] = {}
    for path in sorted(paths):
        ends = path.stem.lower().endswith(ending.lower())
        name = unicodedata.normalize("NFC", path.stem[: len(path.stem) - len(ending)] if ends else path.stem)
        other = files.setdefault(name, path)
        if other != path:
            raise CycadaError(
                f"{other} and {path}: found two files of one name, expected one. Remove the other."
            )
    return files
