"""Overview and check of the data on disk: the tables and contact sheets of `cycada data`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw

from cycada.core.errors import CycadaError
from cycada.core.files import prepare_folder, write_atomically
from cycada.core.registry import option_defaults
from cycada.core.types import IGNORE, ignore_index
from cycada.data.domain import Domain, domains
from cycada.data.image_set import Image, ImageSet, Mask
from cycada.data.segmentation import Palette, SegmentationDomain, segmentation_domains
from cycada.data.software import software

SHEET = "cycada data check"
"""The command that writes contact sheets."""


@dataclass
class DatasetReport:
    """Findings of a check of images and masks.

    Attributes:
        counts: (K,) int64, the number of pixels of each class.
        seen: (K,) int64, the number of masks that show each class.
        ignored: Number of pixels with the value to be ignored.
        read: Number of images that could be read.
        labelled: Number of these that have a mask.
        sizes: Number of images of each size, by 'W x H'.
        faults: The error of each pair that could not be read.
        sound: Index of each pair that could be read.
    """

    counts: np.ndarray
    seen: np.ndarray
    ignored: int = 0
    read: int = 0
    labelled: int = 0
    sizes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    sound: list[int] = field(default_factory=list)

    @staticmethod
    def nothing(classes: int) -> DatasetReport:
        """Return the report before anything is read."""
        return DatasetReport(np.zeros(classes, np.int64), np.zeros(classes, np.int64))


@dataclass(frozen=True)
class Section:
    """Section of a contact sheet: images of one dataset under a title.

    Attributes:
        title: The title.
        dataset: The dataset.
        rows: Indices of the images to show.
    """

    title: str
    dataset: ImageSet
    rows: Sequence[int]


def check_pairs(dataset: ImageSet, classes: int, rows: list[int]) -> DatasetReport:
    """Read images and masks one after the other and report what they hold; of others the first bytes.

    Args:
        dataset: The dataset.
        classes: Number of classes K.
        rows: Indices of the pairs to read.

    Returns:
        The findings. The error of a pair that cannot be read is among them; it is not raised.
    """
    report = DatasetReport.nothing(classes)
    for i in sorted(set(range(len(dataset))) - set(rows)):
        try:
            dataset.check_headers(i)
        except CycadaError as error:
            report.faults.append(str(error))
    for i in rows:
        try:
            image, mask = dataset.pair(i)
        except CycadaError as error:
            report.faults.append(str(error))
            continue
        report.read += 1
        report.sound.append(i)
        report.sizes[f"{image.shape[1]} x {image.shape[0]}"] += 1
        if mask is not None:
            ignored = ignore_index(classes)
            count = np.bincount(mask.ravel(), minlength=max(classes, IGNORE + 1))
            report.labelled += 1
            report.counts += count[:classes]
            report.seen += count[:classes] > 0
            report.ignored += int(count[ignored]) if ignored >= 0 else 0
    return report


def list_domains(root: Path) -> list[tuple[str, str, str, str]]:
    """Return for each domain its name, kind of labels, files under the root and what is there."""
    rows = [
        (name, "labels", ", ".join(d.files) or "none", _count_images(d, root)) for name, d in domains.items()
    ]
    for name, entry in segmentation_domains.items():
        plain = default_instance(entry)
        if isinstance(plain, SegmentationDomain):  # otherwise a phrase: some options have no default
            status, kind = _count_pairs(plain, root), f"masks, {len(plain.classes)}"
        else:
            status, kind = str(plain), "masks" if entry.labelled else "none"
        folder = getattr(plain, "folder", "")
        files = ", ".join(f"{folder}/{f}" if folder else f for f in entry.files)
        rows.append((name, kind, files or "none", status))
    return rows


def default_instance(entry: type[Domain] | type[SegmentationDomain]) -> Domain | SegmentationDomain | str:
    """Return a domain with its default options, or a phrase that names the options which have no default."""
    needed = [name for name, default in option_defaults(entry).items() if default is inspect.Parameter.empty]
    return f"wherever its options say: {', '.join(needed)}" if needed else entry()


def _count_images(entry: type[Domain], root: Path) -> str:
    plain = default_instance(entry)
    if not isinstance(plain, Domain):  # a phrase: some options have no default
        return str(plain)
    if not entry.files:
        return "needs no files"
    # _each passes any str; here its strings are the two splits.
    return _each(("train", "test"), lambda split: len(plain.load(root, split, False)))  # type: ignore[arg-type]


def _count_pairs(plain: SegmentationDomain, root: Path) -> str:
    return _each(plain.splits, lambda split: len(plain.load(root, split)))


def _each(splits: Sequence[str], count: Callable[[str], int]) -> str:
    """Return 'train 367, test 101', or 'train 367; missing: test', with the errors of other splits."""
    present, missing = [], []
    for split in splits:
        try:
            present.append(f"{split} {count(split)}")
        except CycadaError as error:
            if "no data in" in str(error):
                missing.append(split)
            else:
                present.append(f"{split}: {error}")
    if not present:
        return "missing"
    return ", ".join(present) + (f"; missing: {', '.join(missing)}" if missing else "")


def write_contact_sheet(
    sections: Sequence[Section], classes: tuple[str, ...], palette: Palette, path: Path, width: int = 320
) -> None:
    """Write a contact sheet: one row for each pair, with the image, the coloured mask and both blended.

    Args:
        sections: The images to show, each section under its title.
        classes: Names of the classes, for the legend at the bottom.
        palette: Colour of each class; where it is empty, only the images are shown, without legend.
        path: Picture file to write.
        width: Width of an image in the sheet, in pixels.
    """
    strips = []
    for section in sections:
        strips.append(_title(section.title, width))
        strips += [_strip(*section.dataset.pair(i), palette, width) for i in section.rows]
    total = max(s.shape[1] for s in strips)
    legend = [_legend(classes, palette, total)] if palette else []
    strips = [
        np.pad(s, ((0, 4), (0, total - s.shape[1]), (0, 0)), constant_values=255) for s in (*strips, *legend)
    ]
    prepare_folder(path.parent)
    with write_atomically(path) as part:
        Pil.fromarray(np.concatenate(strips)).save(
            part, format=Pil.registered_extensions().get(path.suffix.lower()), exif=software(SHEET)
        )


def colour_mask(mask: Mask, palette: Palette) -> Image:
    """Return a mask (H, W) in the colours of its classes, (H, W, 3) uint8; ignored pixels are black."""
    table = np.zeros((max(256, len(palette)), 3), np.uint8)
    table[: len(palette)] = palette
    image: Image = table[mask]
    return image


def _strip(image: Image, mask: Mask | None, palette: Palette, width: int) -> Image:
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    picture = np.asarray(
        Pil.fromarray(image).resize(
            size, Pil.Resampling.BILINEAR if image.shape[1] > width else Pil.Resampling.NEAREST
        )
    )
    if mask is None or not palette:
        return picture
    colours = np.asarray(Pil.fromarray(colour_mask(mask, palette)).resize(size, Pil.Resampling.NEAREST))
    return np.concatenate([picture, colours, picture // 2 + colours // 2], 1)


def _title(text: str, width: int) -> Image:
    picture = Pil.new("RGB", (width, 16), "white")
    ImageDraw.Draw(picture).text((2, 2), text, fill="black")
    return np.asarray(picture)


def _legend(classes: tuple[str, ...], palette: Palette, width: int) -> Image:
    """Return the names of the classes in boxes of their colours, on as many lines as they need."""
    boxes, x, y = [], 0, 0
    for name, colour in zip(classes, palette, strict=True):
        wide = 7 * len(name) + 14
        if x and x + wide > width:
            x, y = 0, y + 18
        boxes.append((x, y, wide, name, colour))
        x += wide
    picture = Pil.new("RGB", (width, y + 18), "white")
    pen = ImageDraw.Draw(picture)
    for x, y, wide, name, colour in boxes:
        pen.rectangle((x, y, x + wide - 2, y + 16), fill=tuple(colour))
        pen.text((x + 6, y + 2), name, fill="black" if sum(colour) > 330 else "white")
    return np.asarray(picture)
