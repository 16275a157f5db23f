"""SYNTHIA-RAND-CITYSCAPES: rendered street scenes with 16 of the classes of Cityscapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import override

from cycada.core.bounds import Count, PathText
from cycada.core.errors import CycadaError
from cycada.data.masks import read_first_channel
from cycada.data.pairs import find_left_out, find_pairs, find_unlabelled, png_by_stem
from cycada.data.readers.cityscapes import make_mask_table, select_classes
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains

IDS = {
    "sky": 1, "building": 2, "road": 3, "sidewalk": 4, "fence": 5, "vegetation": 6, "pole": 7, "car": 8,
    "traffic sign": 9, "person": 10, "bicycle": 11, "motorcycle": 12, "traffic light": 15, "rider": 17,
    "bus": 19, "wall": 21,
}  # fmt: skip
"""Id of each class, from README.txt of the release. Ignored, as in the usual tables: 0 void, 13 parking, 14
road work, 16 terrain, 18 truck, 20 train (16, 18 and 20 never occur) and 22 lane marking."""


@segmentation_domains("synthia")
class SynthiaRandCityscapes(SegmentationDomain):
    """SYNTHIA, 9,400 rendered frames with 16 Cityscapes classes.

    This is its subset SYNTHIA-RAND-CITYSCAPES. Ros et al., "The SYNTHIA Dataset: A Large Collection of
    Synthetic Images for Semantic Segmentation of Urban Scenes", CVPR 2016; 1280 x 760 pixels.

    Files: RGB/*.png and GT/LABELS/*.png below `folder`.

    Labels: a mask for each image, a 16-bit colour PNG file with the class in the first channel and the
    instance in the second.

    Args:
        folder: Folder below the data root.
        classes: 16, or 13 without wall, fence and pole.
        test: Number of frames, the last by name, that are for testing. The release has no splits.
        skip_bad: Leave out pairs that are damaged or incomplete. This reads every file once.
    """

    title = "SYNTHIA"
    files = ("RGB/*.png", "GT/LABELS/*.png")
    how_to_get = "Unpack SYNTHIA_RAND_CITYSCAPES.rar from synthia-dataset.net there."

    def __init__(
        self,
        *,
        folder: PathText = "RAND_CITYSCAPES",
        classes: Literal[16, 13] = 16,
        test: Count = 400,
        skip_bad: bool = False,
    ) -> None:
        self.folder, self.test, self.skip_bad = folder, test, skip_bad
        self.classes, self.palette = select_classes(classes)
        self.counts = {"train": 9_400 - test, "test": test}

    def mask_values(self, root: Path) -> Sequence[int]:
        """Return the id of each class."""
        return [IDS[name] for name in self.classes]

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split, whether there are masks or not."""
        images = root / self.folder / "RGB"
        image_paths, _ = self._of_split(split, images, png_by_stem(images), {})
        left_out = find_left_out(images, ending=".png")
        return find_unlabelled(self, image_paths, images, self.skip_bad, left_out=left_out)

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = root / self.folder / "RGB", root / self.folder / "GT" / "LABELS"
        image_paths, mask_paths = self._of_split(split, images, png_by_stem(images), png_by_stem(masks))
        return find_pairs(
            self,
            image_paths,
            mask_paths,
            (images, masks),
            make_mask_table(IDS, self.classes, range(23)),
            read_first_channel,
            self.skip_bad,
            left_out=find_left_out(images, masks, ending=".png"),
        )

    def _of_split(
        self, split: str, folder: Path, images: dict[str, Path], masks: dict[str, Path]
    ) -> tuple[dict[str, Path], dict[str, Path]]:
        """Return the image and mask files of a split, of all those in `folder`."""
        names = sorted(images.keys() | masks.keys())
        cut = len(names) - self.test
        if names and cut <= 0:
            raise CycadaError(
                f"{folder}: found {len(names)} frames, "
                f"expected more than the {self.test} of the option 'test'."
            )
        wanted = set(names[:cut] if split == "train" else names[cut:])
        images, masks = ({n: p for n, p in files.items() if n in wanted} for files in (images, masks))
        return images, masks
