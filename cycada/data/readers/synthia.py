"""SYNTHIA-RAND-CITYSCAPES: rendered street scenes with the classes of Cityscapes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cycada.core.bounds import Count, PathText
from cycada.core.errors import CycadaError
from cycada.data.masks import read_first_channel
from cycada.data.pairs import find_pairs, find_unlabelled, left_out_of, png_by_stem
from cycada.data.readers.cityscapes import subset, table
from cycada.data.scenes import SceneDomain, SegmentationDataset, scene_domains

IDS = {
    "sky": 1, "building": 2, "road": 3, "sidewalk": 4, "fence": 5, "vegetation": 6, "pole": 7, "car": 8, "traffic sign": 9,
    "person": 10, "bicycle": 11, "motorcycle": 12, "traffic light": 15, "rider": 17, "bus": 19, "wall": 21,
}  # fmt: skip
"""Class -> id, from the release's README.txt. Ignored: 0 void, 13 parking, 14 road work, 16 terrain, 18 truck, 20 train (16,
18 and 20 never occur) and 22 lane marking, as in the usual tables."""


@scene_domains("synthia")
class SynthiaRandCityscapes(SceneDomain):
    """Ros et al. 2016 (SYNTHIA-RAND-CITYSCAPES): 9,400 frames of 1280 x 760 in RGB/ and GT/LABELS/, 16-bit colour PNGs

    with the class in the first channel and the instance in the second. classes: 16, or 13 (without wall, fence, pole).
    test: the last so many frames by name, kept out of training; the release has no split of its own.
    """

    files = ("RGB/*.png", "GT/LABELS/*.png")
    how_to_get = "Unpack SYNTHIA_RAND_CITYSCAPES.rar from synthia-dataset.net there."

    def __init__(
        self, *, folder: PathText = "RAND_CITYSCAPES", classes: Literal[16, 13] = 16, test: Count = 400, skip_bad: bool = False
    ) -> None:  # fmt: skip
        self.folder, self.test, self.skip_bad = folder, test, skip_bad
        self.classes, self.palette = subset(classes)
        self.counts = {"train": 9_400 - test, "test": test}

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """The images of a split; there may be masks or not."""
        images = root / self.folder / "RGB"
        found, _ = self._of_split(split, images, png_by_stem(images), {})
        return find_unlabelled(self, found, images, self.skip_bad, left_out=left_out_of(images, ending=".png"))

    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = root / self.folder / "RGB", root / self.folder / "GT" / "LABELS"
        found, known = self._of_split(split, images, png_by_stem(images), png_by_stem(masks))
        ids = table(IDS, self.classes, range(23))
        left_out = left_out_of(images, masks, ending=".png")
        return find_pairs(
            self, found, known, (images, masks), ids, read_first_channel, self.skip_bad, left_out=left_out
        )

    def _of_split(
        self, split: str, images: Path, found: dict[str, Path], known: dict[str, Path]
    ) -> tuple[dict[str, Path], dict[str, Path]]:
        names = sorted(found.keys() | known.keys())
        cut = len(names) - self.test
        if names and cut <= 0:
            raise CycadaError(
                f"{images}: found {len(names)} frames, expected more than the {self.test} of the option 'test'."
            )
        wanted = set(names[:cut] if split == "train" else names[cut:])
        found, known = ({n: p for n, p in files.items() if n in wanted} for files in (found, known))
        return found, known
