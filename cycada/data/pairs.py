"""SegmentationDataset in files: an image file and a mask file each, found by a common key, checked when they are read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from cycada.core.errors import Absent, CycadaError
from cycada.core.types import IGNORE
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
from cycada.data.scenes import Image, Mask, SceneDomain, SegmentationDataset

Paths = tuple[Path, Path | None]
ReadImage = Callable[[Path], Image]
"""An image file -> (H, W, 3) uint8."""


def read_as_stored(path: Path) -> Image:
    """Read an image beside a mask: (H, W, 3) uint8, not turned by its EXIF orientation, which would turn no mask.

    Raises one of UNREADABLE, so that whoever knows the mask can name both files.
    """
    with open_picture(path) as image:
        return pixels_of(image, upright=False)


class FilePairs(SegmentationDataset):
    """Pairs of files. `codes` reads a mask file, `table` says what its values mean, `picture` reads an image file.

    A picture is read as it is stored where a mask belongs to it, and upright elsewhere: see `picture_doubts`. beside: how many
    pictures a file holds, side by side.
    """

    beside: int = 1

    def __init__(
        self, names: Sequence[str], files: Sequence[Paths], table: MaskTable, codes: ReadCodes = read_ids,
        labelled: bool = True, skipped: Mapping[str, str] | None = None, shown: Callable[[int], object] = int,
        picture: ReadImage = read_as_stored,
    ) -> None:  # fmt: skip
        super().__init__(names, labelled, skipped)
        self.files, self.table, self.codes, self.shown, self.picture = files, table, codes, shown, picture

    @property
    def paths(self) -> Sequence[Paths]:
        return self.files

    def subset(self, rows: Sequence[int], labelled: bool | None = None) -> Self:
        part = super().subset(rows, labelled)
        part.files = [self.files[i] if part.labelled else (self.files[i][0], None) for i in rows]
        return part

    def sizes(self, rows: Sequence[int]) -> Mapping[str, int]:
        """From the first bytes of the image files; one that cannot be read is not counted: whoever reads it is told."""
        found: Counter[str] = Counter()
        for i in rows:
            with suppress(CycadaError):
                width, height = picture_size(self.files[i][0], upright=self.picture is not read_as_stored)
                found[f"{width // self.beside} x {height}"] += 1
        return found

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Of the headers of both files; for masks of indices also whether their palettes agree."""
        found: dict[str, list[str]] = {}
        first: tuple[Path, list[int]] | None = None
        for i in rows:
            image, mask = self.files[i]
            if some := picture_doubts(image, beside_mask=self.picture is read_as_stored):
                found[str(image)] = some
            if (
                not self.labelled
                or mask is None
                or self.codes not in (read_ids, read_colours, read_first_channel)
            ):
                continue
            if some := [doubt for doubt in picture_doubts(mask, beside_mask=True) if "16 bits" not in doubt]:
                found[str(mask)] = some
            if self.codes is not read_ids:
                continue
            palette, hidden = _palette(mask)
            if hidden:
                found.setdefault(str(mask), []).append(
                    "some of its values are transparent; they are read as class ids as all others are"
                )
            if palette and first and any(a != b for a, b in zip(palette, first[1], strict=False)):
                found.setdefault(str(mask), []).append(
                    f"its palette has other colours than that of {first[0].name}; the indices are read as class ids, so where the colours "
                    f"are what counts, give the classes as colours"
                )
            first = first or (palette and (mask, palette)) or None
        return found

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image_path, mask_path = self.files[i]
        image = _readable(self.picture, image_path, "image", self.files[i])
        if not self.labelled or mask_path is None:
            return image, None
        codes = _readable(self.codes, mask_path, "mask", self.files[i])
        if codes.shape != image.shape[:2]:
            sizes = [f"{a.shape[1]} x {a.shape[0]}" for a in (image, codes)]
            turned = picture_size(image_path) == codes.shape[::-1]
            hint = (
                ". Turned by its EXIF orientation the image would fit the mask: save it upright"
                if turned
                else ""
            )
            raise _bad(
                self.files[i],
                f"found an image of {sizes[0]} and a mask of {sizes[1]} pixels, expected the same size{hint}",
            )
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
        good = self.subset([i for i, wrong in enumerate(faults) if not wrong])
        good.skipped = {**self.skipped, **{self.names[i]: wrong for i, wrong in enumerate(faults) if wrong}}
        return good


Pairs = TypeVar("Pairs", bound=FilePairs)


def _bad(files: Paths, what: str) -> CycadaError:
    image, mask = files
    return CycadaError(f"{image}{f' with {mask}' if mask and mask != image else ''}: {what}.")


def _palette(mask: Path) -> tuple[list[int] | None, bool]:
    """Red, green, blue of every entry, and whether values are transparent, from the first bytes; None where there is no palette."""
    try:
        with open_picture(mask) as image:
            return image.getpalette() if image.mode == "P" else None, image.has_transparency_data
    except UNREADABLE:
        return None, False


def _readable(read: Callable[[Path], np.ndarray], path: Path, kind: str, files: Paths) -> np.ndarray:
    try:
        return read(path)
    except UNREADABLE as error:
        raise _bad(
            files,
            f"found {'an' if kind == 'image' else 'a'} {kind} that is not readable ({error}). Mend or remove it",
        ) from None


def find_pairs(
    domain: SceneDomain, images: Mapping[str, Path], masks: Mapping[str, Path], where: tuple[Path, Path], table: MaskTable,
    codes: ReadCodes = read_ids, skip_bad: bool = False, shown: Callable[[int], object] = int,
    left_out: Mapping[str, str] | None = None,
) -> FilePairs:  # fmt: skip
    """Files by their key (which is the pair's name) -> pairs. `where`: the folders of images and of masks.

    left_out: what lies there and is not read; None: what is no picture in these two folders.

    Raises CycadaError on an empty folder, and on an image without mask or a mask without image unless `skip_bad`.
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
        raise CycadaError(
            f"{next(iter(unmatched.values()))} {len(unmatched)} files of {len(images)} images and {len(masks)} masks are alone. "
            f"Complete or remove them, or set skip_bad=true."
        )
    names = sorted(set(images) & set(masks))
    pairs = FilePairs(
        names, [(images[n], masks[n]) for n in names], table, codes, skipped=unmatched, shown=shown
    )
    pairs.left_out = left_out_of(*where) if left_out is None else left_out
    return require_nonempty(domain, pairs.without_bad() if skip_bad else pairs, where[0])


def left_out_of(*folders: Path, ending: str = "") -> dict[str, str]:
    """Say what lies in these folders and is no picture that is read. ending: that of the names of those that are."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        content = list_pictures(folder)
        found |= {str(path): why for path, why in content.left_out.items()}
        found |= {
            str(path): f"its name does not end in {ending}"
            for path in content.pictures
            if not path.name.lower().endswith(ending)
        }
    return found


def png_by_stem(folder: Path) -> dict[str, Path]:
    """The PNG files of a folder, as `by_stem`."""
    return by_stem(path for path in list_pictures(folder).pictures if path.suffix.lower() == ".png")


def _nothing(domain: SceneDomain, where: Path, what: str) -> Absent:
    """The answer to a folder without the files that are expected there: it says what is there instead."""
    error = domain.missing(where, f"{what} ({', '.join(domain.files)})")
    return Absent(f"{error} {describe_folder(where)}")


def require_nonempty(domain: SceneDomain, pairs: Pairs, where: Path) -> Pairs:
    """The pairs. Raises CycadaError where none is left."""
    if not pairs.names:
        first = next(iter(pairs.skipped.values()), "")
        raise CycadaError(
            f"Domain '{domain.name}': found no pair in {where} that can be used; {len(pairs.skipped)} are bad. {first}"
        )
    return pairs


def unlabelled(
    domain: SceneDomain, images: Mapping[str, Path], where: Path, skip_bad: bool = False, picture: ReadImage = read_as_stored,
    left_out: Mapping[str, str] | None = None,
) -> FilePairs:  # fmt: skip
    """Images that have no masks, or whose masks are not wanted. Raises CycadaError where there are none. left_out: as `find_pairs`."""
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
    pairs.left_out = left_out_of(where) if left_out is None else left_out
    return require_nonempty(domain, pairs.without_bad(), where) if skip_bad else pairs


def by_stem(paths: Iterable[Path], ending: str = "") -> dict[str, Path]:
    """File name without its suffix and `ending` -> path. Raises CycadaError where two files would share a name."""
    found: dict[str, Path] = {}
    for path in sorted(paths):
        other = found.setdefault(path.stem.removesuffix(ending), path)
        if other != path:
            raise CycadaError(
                f"{other} and {path}: found two files of one name, expected one. Remove the other."
            )
    return found
