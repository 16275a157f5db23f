"""Cityscapes, and the 19 classes that street domains are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.core.types import IGNORE
from cycada.data.masks import MaskTable
from cycada.data.pairs import find_left_out, find_pairs, find_unlabelled, png_by_stem
from cycada.data.picture import image_files
from cycada.data.segmentation import Palette, SegmentationDataset, SegmentationDomain, segmentation_domains

CLASSES = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0), "vegetation": (107, 142, 35), "terrain": (152, 251, 152),
    "sky": (70, 130, 180), "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142),
    "truck": (0, 0, 70), "bus": (0, 60, 100), "train": (0, 80, 100), "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}  # fmt: skip
"""The 19 classes in the order of their trainIds, in the colours of the official script (cityscapesscripts,
helpers/labels.py)."""

LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The labelIds of these 19 classes, from the same script. All other ids from 0 to 33 are ignored."""

Subset = Literal[19, 16, 13]
WITHOUT: Mapping[int, tuple[str, ...]] = {
    19: (),
    16: ("terrain", "truck", "train"),
    13: ("terrain", "truck", "train", "wall", "fence", "pole"),
}
"""Classes left out of the 19: those that SYNTHIA does not have, and, of 13, three more (Tsai et al., CVPR
2018, section 5)."""


def select_classes(count: Subset) -> tuple[tuple[str, ...], Palette]:
    """Return the names and colours of the 19, 16 or 13 classes."""
    names = tuple(name for name in CLASSES if name not in WITHOUT[count])
    return names, tuple(CLASSES[name] for name in names)


def label_ids(classes: Sequence[str]) -> Sequence[int]:
    """Return the labelIds of some of the 19 classes, by their names."""
    ids = dict(zip(CLASSES, LABEL_IDS, strict=True))
    return [ids[name] for name in classes]


def make_mask_table(ids: Mapping[str, int], classes: Sequence[str], known: Sequence[int]) -> MaskTable:
    """Return the table from the values of mask files to classes.

    Args:
        ids: Value in the files of each class, by its name.
        classes: Names of the classes that are used, in order.
        known: All values that may occur. Those of no class are ignored.
    """
    return MaskTable(
        dict.fromkeys(known, IGNORE) | {ids[name]: k for k, name in enumerate(classes) if name in ids}
    )


@segmentation_domains("cityscapes")
class Cityscapes(SegmentationDomain):
    """Cityscapes, 3,475 frames of street scenes with 19 classes.

    2,975 labelled frames are for training, 500 for testing. Cordts et al., "The Cityscapes Dataset for
    Semantic Urban Scene Understanding", CVPR 2016; 2048 x 1024 pixels.

    Files: leftImg8bit/SPLIT/CITY/ with the images and gtFine/SPLIT/CITY/ with the masks, below `folder`.

    Labels: a mask of labelIds for each image of `train` and `test`. `test` is the official validation set,
    since the labels of the official test set (here `official_test`) are secret. `train_extra`, 19,998 frames,
    and `official_test`, 1,525 frames, are read without masks.

    Args:
        folder: Folder below the data root.
        classes: 19, or the 16 or 13 that are shared with SYNTHIA.
        extra: As a target, train on the images of `train_extra`, as the CyCADA paper does. A method that
            trains on target labels still uses `train`.
        skip_bad: Leave out pairs that are damaged or incomplete. This reads every file once.
    """

    title = "Cityscapes"
    splits = ("train", "test", "train_extra", "official_test")
    counts: Mapping[str, int] = {"train": 2_975, "test": 500, "train_extra": 19_998, "official_test": 1_525}
    files = (
        "leftImg8bit/{train,val,test,train_extra}/CITY/*_leftImg8bit.png",
        "gtFine/{train,val}/CITY/*_gtFine_labelIds.png",
    )
    how_to_get = (
        "Register at cityscapes-dataset.com; unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip "
        "there, for train_extra also leftImg8bit_trainextra.zip."
    )

    def __init__(
        self,
        *,
        folder: PathText = "cityscapes",
        classes: Subset = 19,
        extra: bool = False,
        skip_bad: bool = False,
    ) -> None:
        self.folder, self.skip_bad = folder, skip_bad
        self.unlabelled = "train_extra" if extra else "train"
        self.classes, self.palette = select_classes(classes)

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split, whether there are masks or not."""
        images, _ = self._folders(root, split)
        return find_unlabelled(
            self, _by_city(images, "_leftImg8bit"), images, self.skip_bad, left_out=_left_out(images)
        )

    def mask_values(self, root: Path) -> Sequence[int]:
        """Return the labelId of each class."""
        return label_ids(self.classes)

    def _folders(self, root: Path, split: str) -> tuple[Path, Path]:
        part = {"test": "val", "official_test": "test"}.get(split, split)
        return root / self.folder / "leftImg8bit" / part, root / self.folder / "gtFine" / part

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = self._folders(root, split)
        if split in ("train_extra", "official_test"):
            return self.images(root, split)
        image_paths = _by_city(images, "_leftImg8bit")
        ids = make_mask_table(dict(zip(CLASSES, LABEL_IDS, strict=True)), self.classes, range(34))
        return find_pairs(
            self,
            image_paths,
            _by_city(masks, "_gtFine_labelIds"),
            (images, masks),
            ids,
            skip_bad=self.skip_bad,
            left_out=_left_out(images),
        )


def _by_city(folder: Path, ending: str) -> dict[str, Path]:
    """Return the PNG files below the folders of cities whose names end so, by CITY/FRAME."""
    return {
        f"{city.name}/{frame}": path
        for city in _cities(folder)
        for frame, path in png_by_stem(city, ending).items()
    }


def _cities(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _left_out(images: Path) -> dict[str, str]:
    """Return what lies among the images and is not read.

    The folders of masks are not searched, as Cityscapes keeps other kinds of labels beside the masks.
    """
    cities = _cities(images)
    beside = {path: why for path, why in find_left_out(images).items() if Path(path) not in cities}
    beside |= {str(path): "it lies beside the folders of cities" for path in image_files(images)}
    return beside | find_left_out(*cities, ending="_leftimg8bit.png")
