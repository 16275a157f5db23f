"""Pictures of the same thing in two domains: side by side in one file, or in two folders under equal names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

import numpy as np

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.types import IGNORE
from cycada.data.masks import MaskTable
from cycada.data.pairs import FilePairs, by_stem, left_out_of, require_nonempty
from cycada.data.palettes import CMP_FACADES, Colour, nearest_colour
from cycada.data.picture import describe_folder, image_files, picture_size, read_picture
from cycada.data.readers.cityscapes import CLASSES as CITYSCAPES
from cycada.data.readers.mask_folder import read_class_map
from cycada.data.scenes import Image, Mask, SceneDomain, SegmentationDataset, scene_domains

Side = Literal["left", "right"]
SIDES = ("left", "right")
Both = tuple[Path, Path]
"""The files of the left and of the right picture; of those side by side the same file twice."""
ClassColours = Mapping[str, Sequence[Colour]]
"""Class -> its colours, in order; `ignore` are those that count nowhere."""

BUILT_IN: Mapping[str, ClassColours] = {
    "cmp_facades": {name: [colour] for name, colour in CMP_FACADES.items()},
    "cityscapes": {name: [colour] for name, colour in CITYSCAPES.items()}
    | {
        "ignore": [
            (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180), (150, 100, 100), (150, 120, 90),
            (0, 0, 90), (0, 0, 110),
        ]
    },
}  # fmt: skip
"""The ignored colours of Cityscapes: static, dynamic, ground, parking, rail track, guard rail, bridge, tunnel, caravan, trailer
(cityscapesscripts, helpers/labels.py)."""


@dataclass(frozen=True)
class LabelMap:
    """Which picture of a pair is a label map in colours, and what they mean: the place of a colour in `colours` -> class."""

    side: Side
    colours: Sequence[Colour]
    table: MaskTable

    @staticmethod
    def of(side: Side, classes: ClassColours) -> LabelMap:
        names = [name for name in classes if name != "ignore"]
        known = [
            (colour, IGNORE if name == "ignore" else names.index(name))
            for name, of in classes.items()
            for colour in of
        ]
        return LabelMap(
            side, [colour for colour, _ in known], MaskTable({place: k for place, (_, k) in enumerate(known)})
        )


class PairedFiles(FilePairs):
    """One picture of each pair. both: name -> its files. origin: the folders that the pairs are from, one or two.

    aligned: whether both pictures of a pair are looked at to have one size. Of two folders a picture without a partner is twice in `both`.
    """

    aligned: bool = True

    def __init__(
        self,
        both: Mapping[str, Both],
        origin: tuple[Path, ...],
        show: Side,
        labels: LabelMap | None,
        skipped: Mapping[str, str],
    ) -> None:
        table = labels.table if labels else MaskTable({IGNORE: IGNORE})
        codes = partial(_decoded, labels, origin) if labels else _no_mask
        files = [(_of(two, show), _of(two, labels.side) if labels else None) for two in both.values()]
        picture = partial(_half, show, origin)
        super().__init__(list(both), files, table, codes, labels is not None, skipped, picture=picture)
        self.both, self.origin, self.show, self.beside = both, origin, show, 3 - len(origin)
        self.left_out = left_out_of(*dict.fromkeys(file.parent for two in both.values() for file in two))

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Of the headers, and whether a file looks like one picture instead of two side by side."""
        found = {file: list(doubts) for file, doubts in super().doubts(rows).items()}
        for i in rows if len(self.origin) == 1 else ():
            file = self.files[i][0]
            width, height = picture_size(file)
            if width // 2 < height and width % 2 == 0:
                found.setdefault(str(file), []).append(
                    f"its halves are {width // 2} x {height} pixels, taller than wide; it may be one picture instead of two side by side"
                )
        return found

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        left, right = self.both[self.names[i]]
        if (
            self.aligned
            and left != right
            and (sizes := [picture_size(file) for file in (left, right)])[0] != sizes[1]
        ):
            found = " and ".join(f"{width} x {height}" for width, height in sizes)
            raise CycadaError(
                f"{left} with {right}: found pictures of {found} pixels, expected the same size."
            )
        return super().pair(i)

    def true_translation(self, other: SegmentationDataset) -> Self | None:
        """The other picture of every pair, where `other` are such pictures of the same folders."""
        if not isinstance(other, PairedFiles) or other.origin != self.origin or other.show == self.show:
            return None
        if len(self.origin) == 2 and any(left == right for left, right in self.both.values()):
            return None
        partner = copy.copy(self)
        partner.show, partner.picture = other.show, partial(_half, other.show, self.origin)
        partner.files = [
            (_of(self.both[n], other.show), mask) for n, (_, mask) in zip(self.names, self.files, strict=True)
        ]
        return partner


def _of(both: Both, side: Side) -> Path:
    return both[SIDES.index(side)]


def _half(side: Side, origin: tuple[Path, ...], path: Path) -> Image:
    image = read_picture(path)
    if len(origin) == 2:
        return image
    width = image.shape[1]
    if width % 2:
        raise CycadaError(
            f"{path}: found {width} pixels across, expected an even number: two pictures of one size side by side."
        )
    return image[:, : width // 2] if side == "left" else image[:, width // 2 :]


def _decoded(labels: LabelMap, origin: tuple[Path, ...], path: Path) -> np.ndarray:
    return nearest_colour(_half(labels.side, origin, path), labels.colours)


def _no_mask(path: Path) -> np.ndarray:
    raise AssertionError(path)


@scene_domains("paired")
class Paired(SceneDomain):
    """`{name: paired, train: facades/train, test: facades/val, show: right, labels: right, classes: cmp_facades}`: pix2pix's files,

    two pictures of one size side by side; or two folders with equal file names but for the suffix, `train: [photos/train,
    labels/train]`. show: the one that is this domain's; a source and a target that show the two sides of the same folders know each
    other's true translation. labels: the one that is a label map in colours, if any; every pixel is of the class whose colour is
    nearest. classes: `cmp_facades`, `cityscapes`, or a YAML file of colours as `mask_folder` has. part: every second training pair
    by name, so that source and target see disjoint ones (`even`, `odd`). skip_bad: pairs that are damaged or alone are left out and
    counted. Pictures are read as those of `images` are. Paths are relative to the data root.
    """

    files = ("TRAIN/*", "TEST/*")

    def __init__(
        self, *, train: PathText | tuple[PathText, PathText], test: PathText | tuple[PathText, PathText], show: Side,
        labels: Side | None = None, classes: PathText | None = None, part: Literal["all", "even", "odd"] = "all",
        flip_safe: bool = True, skip_bad: bool = False,
    ) -> None:  # fmt: skip
        if (labels is None) != (classes is None):
            raise CycadaError(
                f"Domain 'paired': found labels={labels} and classes={classes}, expected both or neither."
            )
        folders = {"train": train, "test": test}
        self.folders = {split: (of,) if isinstance(of, str) else of for split, of in folders.items()}
        self.show, self.labels, self.part = show, labels, part
        self.flip_safe, self.skip_bad, self.labelled = flip_safe, skip_bad, labels is not None
        self.class_source = classes
        self._know(BUILT_IN.get(classes or "", {}))

    def _know(self, classes: ClassColours) -> None:
        kept = {name: colours[0] for name, colours in classes.items() if name != "ignore"}
        self.classes, self.palette = tuple(kept), tuple(kept.values())

    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        return self._pairs(root, split, self._labels(root))

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """The pictures of this domain in a split; of two folders the other one may lack their partners, and nothing of it is opened."""
        self._labels(root)
        return self._pairs(root, split, None, partners=False)

    def _labels(self, root: Path) -> LabelMap | None:
        if not self.labels or not self.class_source:
            return None
        classes = class_colours(self.class_source, root)
        self._know(classes)
        self.classes_read = "" if self.class_source in BUILT_IN else repr(classes)
        return LabelMap.of(self.labels, classes)

    def _pairs(
        self, root: Path, split: str, labels: LabelMap | None, partners: bool = True
    ) -> SegmentationDataset:
        """The pairs of a split. partners: whether both pictures of a pair must be there."""
        origin = tuple((root / folder).resolve() for folder in self.folders[split])
        for folder, name in zip(origin, self.folders[split], strict=True):
            if not folder.is_dir():
                raise self.missing(root, f"the folder {name} (the option '{split}' of the domain paired)")
        folders = [root / folder for folder in self.folders[split]]
        both, alone = _matched(*folders)
        if alone and partners and not self.skip_bad:
            raise CycadaError(
                f"{next(iter(alone.values()))} {len(alone)} are alone. Complete or remove them, or set skip_bad=true."
            )
        if split == "train" and self.part != "all":
            both = dict(list(both.items())[self.part == "odd" :: 2])
        if not partners and alone:
            ours = by_stem(image_files(folders[SIDES.index(self.show)]))
            both = dict(
                sorted((both | {name: (ours[name], ours[name]) for name in alone if name in ours}).items())
            )
            alone = {}
        if not both:
            whose = f" of the same names in {origin[1]}" if len(origin) == 2 and partners else ""
            raise CycadaError(f"{self.missing(origin[0], f'pictures{whose}')} {describe_folder(folders[0])}")
        pairs = PairedFiles(both, origin, self.show, labels, alone)
        pairs.aligned = partners
        return require_nonempty(self, pairs.without_bad() if self.skip_bad else pairs, origin[0])


def _matched(left: Path, right: Path | None = None) -> tuple[dict[str, Both], dict[str, str]]:
    """name -> the files of both pictures, sorted; and of what is alone in one of two folders, what is missing."""
    one = {path.name: path for path in image_files(left)} if right is None else by_stem(image_files(left))
    if right is None:
        return {name: (path, path) for name, path in one.items()}, {}
    two = by_stem(image_files(right))
    alone = {name: f"{one[name]}: found nothing of this name in {right}." for name in one if name not in two}
    alone |= {name: f"{two[name]}: found nothing of this name in {left}." for name in two if name not in one}
    return {name: (one[name], two[name]) for name in sorted(set(one) & set(two))}, alone


def class_colours(classes: str, root: Path) -> ClassColours:
    """By the name of a built-in table, or a YAML file of colours under the data root. Raises CycadaError."""
    if classes in BUILT_IN:
        return BUILT_IN[classes]
    if not (root / classes).is_file():
        raise CycadaError(
            f"Domain 'paired': the classes '{classes}' are no file in {root.resolve()}.{nearest(classes, BUILT_IN)}"
        )
    codes = read_class_map(root / classes)
    found = {name: [code for code in of if isinstance(code, tuple)] for name, of in codes.items()}
    if not all(found.values()):
        raise CycadaError(
            f"{root / classes}: found class ids, expected colours: a picture's colours are what classes are known by."
        )
    return found
