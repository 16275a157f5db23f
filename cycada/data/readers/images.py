"""Domain of pictures without labels, one side of an unpaired translation."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.data.pairs import find_unlabelled
from cycada.data.picture import describe_absent, image_files, read_picture
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains


@segmentation_domains("images")
class Images(SegmentationDomain):
    """Your own pictures in folders, of any size, without labels.

    They may differ in size and kind. In a config: `{name: images, train: horse2zebra/trainA, test:
    horse2zebra/testA}`.

    Files: pictures, one folder for each split. They are turned upright (EXIF); grey, palettes and 16 bits
    become 8-bit colours, and transparent pixels are put on white. A file that is damaged, empty or smaller
    than 2 x 2 pixels is an error that names it.

    Labels: none.

    Args:
        train: Folder of the training images, relative to the data root.
        test: Folder of the test images.
        flip_safe: Whether a mirrored picture is a possible picture of the domain.
        skip_bad: Leave out pictures that cannot be read, and report their number. This reads every file once.
    """

    classes, palette, labelled = (), (), False
    files = ("TRAIN/*", "TEST/*")
    reads_upright = True

    def __init__(
        self, *, train: PathText, test: PathText, flip_safe: bool = True, skip_bad: bool = False
    ) -> None:
        self.folders, self.flip_safe, self.skip_bad = {"train": train, "test": test}, flip_safe, skip_bad

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        folder = root / self.folders[split]
        if not folder.is_dir():
            raise self.missing(
                root,
                f"the folder {self.folders[split]} (the option '{split}' of the domain images); "
                f"{describe_absent(root, self.folders[split])}",
            )
        return find_unlabelled(
            self, {path.name: path for path in image_files(folder)}, folder, self.skip_bad, read_picture
        )
