"""Domain of pictures in two versions, side by side in one file or in two folders with equal names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

import numpy as np
from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, list_some, nearest
from cycada.core.types import IGNORE
from cycada.data.image_set import Image, ImageSet, Mask
from cycada.data.masks import MaskTable
from cycada.data.pairs import FilePairs, by_stem, find_left_out, require_nonempty
from cycada.data.palettes import CMP_FACADES, Colour, is_grey, nearest_colour, share_of_other_colours
from cycada.data.picture import describe_absent, describe_folder, image_files, picture_size, read_picture
from cycada.data.readers.cityscapes import CLASSES as CITYSCAPES
from cycada.data.readers.mask_folder import read_class_map
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains

Side = Literal["left", "right"]
SIDES = ("left", "right")
Both = tuple[Path, Path]
"""Files of the left and of the right picture; the same file twice where they are side by side."""
ClassColours = Mapping[str, Sequence[Colour]]
"""Colours of each class, in order; those of `ignore` do not count."""

BUILT_IN: Mapping[str, ClassColours] = {
    "cmp_facades": {name: [colour] for name, colour in CMP_FACADES.items()},
    "cityscapes": {name: [colour] for name, colour in CITYSCAPES.items()}
    | {
        "ignore": [
            (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
            (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
        ]
    },
}  # fmt: skip
"""Class colours by the name that the option `classes` takes. The ignored colours of Cityscapes are static,
dynamic, ground, parking, rail track, guard rail, bridge, tunnel, caravan and trailer (cityscapesscripts,
helpers/labels.py)."""


COLOURS = 256
"""The largest number of colours that a label map may have."""
SHARE = 0.5
"""Share of the pixels of a label map from which on other colours are doubted: JPEG changes up to a third."""


@dataclass(frozen=True)
class LabelMap:
    """Picture of a pair that is a label map in colours, and the classes of the colours.

    Attributes:
        side: Which picture it is.
        colours: All colours of the label map.
        table: Maps the index of a colour in `colours` to its class.
    """

    side: Side
    colours: Sequence[Colour]
    table: MaskTable

    @staticmethod
    def of(side: Side, classes: ClassColours) -> LabelMap:
        """Return the label map of a side with the colours of its classes.

        Raises:
            CycadaError: A colour has two classes, or there are more than 256 colours.
        """
        names = [name for name in classes if name != "ignore"]
        known = [
            (colour, IGNORE if name == "ignore" else names.index(name))
            for name, values in classes.items()
            for colour in values
        ]
        if len(known) > COLOURS:
            raise CycadaError(
                f"Domain 'paired': found {len(known)} colours of classes, expected at most {COLOURS}."
            )
        colours = [colour for colour, _ in known]
        if twice := [colour for colour in colours if colours.count(colour) > 1]:
            owners = [name for name, values in classes.items() if twice[0] in values]
            raise CycadaError(
                f"Domain 'paired': found the colour {list(twice[0])} twice ({list_some(owners)}), expected a "
                "colour to belong to one class."
            )
        return LabelMap(side, colours, MaskTable({index: k for index, (_, k) in enumerate(known)}))


class PairedFiles(FilePairs):
    """Dataset of one picture of each pair, whose other picture may be its label map.

    Args:
        both: Files of each pair, by its name. A picture without a partner, in two folders, stands twice.
        origin: The one or two folders that the pairs are in.
        show: Which picture of a pair is the image.
        labels: The picture that is a label map, or None.
        skipped: Pairs that were left out, each with the reason.

    Attributes:
        aligned: Whether `pair` checks that both pictures have the same size.
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
        self.labels = labels
        self.left_out = find_left_out(*dict.fromkeys(file.parent for two in both.values() for file in two))

    def doubts(self, rows: Sequence[int]) -> Mapping[str, Sequence[str]]:
        """Return the doubts about the files.

        A file may hold one picture instead of two; a label map may be of other colours than its classes.
        """
        doubts = {file: list(sentences) for file, sentences in super().doubts(rows).items()}
        if self.labels and self.labelled:
            for file in (_of(self.both[self.names[i]], self.labels.side) for i in rows):
                with suppress(CycadaError):  # what cannot be read is named elsewhere
                    if doubt := _other_colours(self.labels, _half(self.labels.side, self.origin, file)):
                        doubts.setdefault(str(file), []).append(doubt)
        files = [self.files[i][0] for i in rows] if len(self.origin) == 1 else []
        sizes = {file: picture_size(file) for file in files}
        for file, (width, height) in sizes.items():
            if width // 2 < height and width % 2 == 0:
                doubts.setdefault(str(file), []).append(
                    f"its halves are {width // 2} x {height} pixels, taller than wide; "
                    f"it may be one picture instead of two side by side"
                )
        wide = [file for file, (width, height) in sizes.items() if width == 3 * height and width % 2 == 0]
        for file in wide if wide and not _meet_in_the_middle(wide) else ():
            doubts.setdefault(str(file), []).append(
                "it is three times as wide as high, and no two pictures seem to meet in its middle; it may "
                "be three pictures side by side instead of two"
            )
        return doubts

    @override
    def check_headers(self, i: int) -> None:
        left, right = self.both[self.names[i]]
        if len(self.origin) == 1:
            _check_halves(left, picture_size(left)[0])
        elif not self.aligned:
            super().check_headers(i)
        elif (sizes := [picture_size(file) for file in (left, right)])[0] != sizes[1]:
            found = " and ".join(f"{width} x {height}" for width, height in sizes)
            raise CycadaError(
                f"{left} with {right}: found pictures of {found} pixels, expected the same size."
            )

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        if self.aligned and len(self.origin) == 2:
            self.check_headers(i)
        return super().pair(i)

    def true_translation(self, other: ImageSet) -> Self | None:
        """Return the other picture of each pair, where `other` has those pictures of the same folders."""
        # Only pictures of the same pairs are each other's translations.
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
    _check_halves(path, width)
    return image[:, : width // 2] if side == "left" else image[:, width // 2 :]


def _check_halves(path: Path, width: int) -> None:
    """Raise CycadaError where a picture has no two halves of one size."""
    if width % 2:
        raise CycadaError(
            f"{path}: found {width} pixels across, expected an even number: "
            f"two pictures of one size side by side."
        )


def _decoded(labels: LabelMap, origin: tuple[Path, ...], path: Path) -> np.ndarray:
    return nearest_colour(_half(labels.side, origin, path), labels.colours)


def _other_colours(labels: LabelMap, picture: Image) -> str | None:
    """Return a doubt about a label map that does not have the colours of its classes, or None."""
    if is_grey(picture) and not is_grey(np.asarray(labels.colours)):
        return "its label map is grey, and the classes have colours; it may hold class ids"
    share = share_of_other_colours(picture, labels.colours)
    if share <= SHARE:
        return None
    return (
        f"{share:.0%} of the pixels of its label map are far from all colours of the classes; they may be "
        "those of another palette, or of the other side"
    )


def _no_mask(path: Path) -> np.ndarray:
    raise AssertionError(path)


@segmentation_domains("paired")
class Paired(SegmentationDomain):
    """Pictures in two versions, such as the pairs of pix2pix.

    The domain is one of the two. In a config: `{name: paired, train: facades/train, test: facades/val, show:
    right, labels: right, classes: cmp_facades}`. Where source and target show the two sides of the same
    folders, each knows the true translation of the other.

    Files: pictures of two halves of one size, left and right; or two folders with equal file names except for
    the suffix, `train: [photos/train, labels/train]`, the left and the right one. Pictures are read as in the
    domain `images`.

    Labels: none, or a mask from the picture that is a label map in colours: each pixel belongs to the class
    with the nearest colour.

    Args:
        train: Folder, or the left and the right folder, of the training pairs, relative to the data root.
        test: Folder or folders of the test pairs.
        show: Side whose pictures are the images of the domain.
        labels: Side that is a label map, if any.
        classes: Colours of the label map: 'cmp_facades', 'cityscapes', or a YAML file of colours as in
            `mask_folder`.
        part: 'even' or 'odd' use every second training pair by name, so that source and target get different
            pairs.
        flip_safe: Whether a mirrored picture is a possible picture of the domain.
        skip_bad: Leave out pairs that are damaged or incomplete, and report their number. This reads every
            file once.
    """

    files = ("TRAIN/*", "TEST/*")
    reads_upright = True

    def __init__(
        self,
        *,
        train: PathText | tuple[PathText, PathText],
        test: PathText | tuple[PathText, PathText],
        show: Side,
        labels: Side | None = None,
        classes: PathText | None = None,
        part: Literal["all", "even", "odd"] = "all",
        flip_safe: bool = True,
        skip_bad: bool = False,
    ) -> None:
        if (labels is None) != (classes is None):
            raise CycadaError(
                f"Domain 'paired': found labels={labels} and classes={classes}, expected both or neither."
            )
        folders = {"train": train, "test": test}
        self.folders = {
            split: (paths,) if isinstance(paths, str) else paths for split, paths in folders.items()
        }
        self.show, self.labels, self.part = show, labels, part
        self.flip_safe, self.skip_bad, self.labelled = flip_safe, skip_bad, labels is not None
        self.class_source = classes
        self._set_classes(BUILT_IN.get(classes or "", {}))

    def _set_classes(self, classes: ClassColours) -> None:
        kept = {name: colours[0] for name, colours in classes.items() if name != "ignore"}
        self.classes, self.palette = tuple(kept), tuple(kept.values())

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        return self._pairs(root, split, self._labels(root))

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the pictures of this domain in a split.

        Of two folders, the other one may lack their partners; none of its files is opened.
        """
        self._labels(root)
        return self._pairs(root, split, None, partners=False)

    def mask_values(self, root: Path) -> Sequence[Colour]:
        """Return the first colour of each class of the label map."""
        self._labels(root)
        return list(self.palette)

    def _labels(self, root: Path) -> LabelMap | None:
        if not self.labels or not self.class_source:
            return None
        classes = class_colours(self.class_source, root)
        self._set_classes(classes)
        self.classes_read = "" if self.class_source in BUILT_IN else repr(classes)
        return LabelMap.of(self.labels, classes)

    def _pairs(
        self, root: Path, split: str, labels: LabelMap | None, partners: bool = True
    ) -> SegmentationDataset:
        """Return the pairs of a split; `partners` says whether both pictures of a pair must be there."""
        origin = tuple((root / folder).resolve() for folder in self.folders[split])
        for folder, name in zip(origin, self.folders[split], strict=True):
            if not folder.is_dir():
                raise self.missing(
                    root,
                    f"the folder {name} (the option '{split}' of the domain paired); "
                    f"{describe_absent(root, name)}",
                )
        folders = [root / folder for folder in self.folders[split]]
        both, unmatched = _matched(*folders)
        if unmatched and partners and not self.skip_bad:
            advice = "Complete or remove them, or set skip_bad=true."
            firsts = [min(image_files(folder), default=None) for folder in folders]
            if not both and all(firsts):
                called = " and ".join(path.name for path in firsts if path)
                advice = f"They are called {called}. Give both pictures of a pair the same name."
            raise CycadaError(
                f"{next(iter(unmatched.values()))} Pictures without a partner: {len(unmatched)}. {advice}"
            )
        if split == "train" and self.part != "all":
            both = dict(list(both.items())[self.part == "odd" :: 2])
        if not partners and unmatched:
            shown = by_stem(image_files(folders[SIDES.index(self.show)]))
            both |= {name: (shown[name], shown[name]) for name in unmatched if name in shown}
            both, unmatched = dict(sorted(both.items())), {}
        if not both:
            whose = f" of the same names in {origin[1]}" if len(origin) == 2 and partners else ""
            raise CycadaError(f"{self.missing(origin[0], f'pictures{whose}')} {describe_folder(folders[0])}")
        pairs = PairedFiles(both, origin, self.show, labels, unmatched)
        pairs.aligned = partners
        return require_nonempty(self, pairs.without_bad() if self.skip_bad else pairs, origin[0])


def _matched(left: Path, right: Path | None = None) -> tuple[dict[str, Both], dict[str, str]]:
    """Return the files of both pictures by name, sorted, and an error for each picture without a partner."""
    if right is None:
        return {path.name: (path, path) for path in image_files(left)}, {}
    one, two = by_stem(image_files(left)), by_stem(image_files(right))
    unmatched = {n: f"{one[n]}: found nothing of this name in {right}." for n in one if n not in two}
    unmatched |= {n: f"{two[n]}: found nothing of this name in {left}." for n in two if n not in one}
    return {name: (one[name], two[name]) for name in sorted(set(one) & set(two))}, unmatched


def _meet_in_the_middle(files: Sequence[Path]) -> bool:
    """Return whether pictures change far more at half of their width than at a third and at two thirds.

    Two pictures of 3 : 2 have the shape of three squares, and differ from these in that.
    """
    steps = []
    for file in files:
        with suppress(CycadaError):  # what cannot be read is named elsewhere
            pixels = read_picture(file, channels=1).astype(np.float32)
            places = (pixels.shape[1] * part // 6 for part in (2, 3, 4))
            steps.append([np.abs(pixels[:, x] - pixels[:, x - 1]).mean() for x in places])
    first, middle, second = np.mean(steps, axis=0) if steps else (0, 1, 0)
    return bool(middle > 2 * max(first, second))


def class_colours(classes: str, root: Path) -> ClassColours:
    """Return the colours of each class.

    Args:
        classes: Name of a built-in table, or a YAML file of colours.
        root: Data root, which the file is relative to.

    Raises:
        CycadaError: There is no such table or file, or the file holds class ids.
    """
    if classes in BUILT_IN:
        return BUILT_IN[classes]
    if not (root / classes).is_file():
        raise CycadaError(
            f"Domain 'paired': the classes '{classes}' are no file in {root.resolve()}."
            f"{nearest(classes, BUILT_IN)}"
        )
    codes = read_class_map(root / classes)
    colours = {name: [code for code in values if isinstance(code, tuple)] for name, values in codes.items()}
    if not all(colours.values()):
        raise CycadaError(
            f"{root / classes}: found class ids, expected colours: "
            f"classes are recognised by the colours of a picture."
        )
    return colours
