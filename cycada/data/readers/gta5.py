"""GTA5: street scenes from a computer game, with the classes of Cityscapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError
from cycada.data.pairs import find_left_out, find_pairs, find_unlabelled, png_by_stem
from cycada.data.readers.cityscapes import (
    CLASSES,
    LABEL_IDS,
    Subset,
    label_ids,
    make_mask_table,
    select_classes,
)
from cycada.data.segmentation import SegmentationDataset, SegmentationDomain, segmentation_domains

MAT_PARTS = {"train": "trainIds", "test": "valIds", "official_test": "testIds"}
"""Array of split.mat with the frame numbers of each split, counted from 1."""
MAT_COUNTS = {"train": 12_403, "test": 6_382, "official_test": 6_181}
"""Number of frames in each of these arrays."""


@segmentation_domains("gta5")
class Gta5(SegmentationDomain):
    """GTA5, 24,966 frames of a game with Cityscapes' 19 classes.

    The game is Grand Theft Auto V. Richter et al., "Playing for Data: Ground Truth from Computer Games", ECCV
    2016; 1914 x 1052 pixels.

    Files: images/*.png and labels/*.png below `folder`.

    Labels: a mask for each image, a PNG file with a palette whose indices are Cityscapes' labelIds (34 is a
    licence plate), or the same ids as grey. A few validation frames have masks of another size than their
    images; the code of the CyCADA paper leaves out the positions 96, 173, 175, 334 and 353 of that list, and
    `skip_bad` finds them.

    Args:
        folder: Folder below the data root.
        lists: File, in `folder`, that lists the frames of the splits. None uses all frames for training, as
            the CyCADA paper does, and has no test split. 'split.mat', a file of the release, has 12,403
            frames for training and its validation frames for testing. A text file with `{split}` in its name,
            such as '{split}.txt', has one frame a line.
        classes: 19, or the 16 or 13 that are shared with SYNTHIA.
        test: False leaves out the test split, so that nothing is scored on the source.
        skip_bad: Leave out pairs that are damaged or incomplete. This reads every file once.
    """

    title = "GTA5"
    files = ("images/*.png", "labels/*.png", "split.mat (optional)")
    how_to_get = (
        "Ten archives of images and ten of labels from the authors' page "
        "(download.visinf.tu-darmstadt.de/data/from_games)."
    )

    def __init__(
        self,
        *,
        folder: PathText = "gta5",
        lists: PathText | None = None,
        classes: Subset = 19,
        test: bool = True,
        skip_bad: bool = False,
    ) -> None:
        self.folder, self.lists, self.skip_bad = folder, lists, skip_bad
        self.classes, self.palette = select_classes(classes)
        listed = (
            ("train",) if lists is None else tuple(MAT_PARTS) if lists.endswith(".mat") else ("train", "test")
        )
        self.splits = tuple(split for split in listed if test or split != "test")
        self.counts = {"train": 24_966} if lists is None else MAT_COUNTS if lists.endswith(".mat") else {}

    def mask_values(self, root: Path) -> Sequence[int]:
        """Return the labelId of each class."""
        return label_ids(self.classes)

    @override
    def load(self, root: Path, split: str) -> SegmentationDataset:
        if split == "test" and self.lists is None:
            raise CycadaError(
                "Domain 'gta5': there is no test split without the option lists. "
                "Set lists=split.mat, or 'lists=\"{split}.txt\"' with both kinds of quotes."
            )
        return super().load(root, split)

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """Return the images of a split, whether there are masks or not."""
        images = root / self.folder / "images"
        image_paths, _ = self._frames_of_list(root, split, png_by_stem(images), {})
        left_out = find_left_out(images, ending=".png")
        return find_unlabelled(self, image_paths, images, self.skip_bad, left_out=left_out)

    @override
    def load_split(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = root / self.folder / "images", root / self.folder / "labels"
        image_paths, mask_paths = self._frames_of_list(root, split, png_by_stem(images), png_by_stem(masks))
        ids = make_mask_table(dict(zip(CLASSES, LABEL_IDS, strict=True)), self.classes, range(35))
        return find_pairs(
            self,
            image_paths,
            mask_paths,
            (images, masks),
            ids,
            skip_bad=self.skip_bad,
            left_out=find_left_out(images, masks, ending=".png"),
        )

    def _frames_of_list(
        self, root: Path, split: str, images: dict[str, Path], masks: dict[str, Path]
    ) -> tuple[dict[str, Path], dict[str, Path]]:
        """Return the image and mask files of the frames of a split that the option `lists` names."""
        if self.lists is not None and images:
            file = root / self.folder / self.lists.replace("{split}", split)
            wanted = _from_mat(file, MAT_PARTS[split]) if file.suffix == ".mat" else _from_text(file)
            if absent := [name for name in wanted if name not in images and name not in masks]:
                example = root / self.folder / "images" / f"{absent[0]}.png"
                raise CycadaError(
                    f"{file}: found {len(wanted)} frames of which {len(absent)} are not there, "
                    f"such as {example}. Unpack all archives, or give another list."
                )
            images, masks = ({n: files[n] for n in wanted if n in files} for files in (images, masks))
        return images, masks


def _from_mat(file: Path, key: str) -> list[str]:
    from scipy.io import loadmat  # comes with scikit-learn; slow to import

    try:
        arrays = loadmat(file)
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise CycadaError(f"{file}: not a readable .mat file ({error}).") from None
    if key not in arrays:
        names = sorted(n for n in arrays if not n.startswith("__"))
        raise CycadaError(f"{file}: found the arrays {names}, expected '{key}'.")
    return [f"{number:05d}" for number in np.asarray(arrays[key]).ravel().tolist()]


def _from_text(file: Path) -> list[str]:
    """Return the frames of a list with one a line: a number, a name, or a path whose stem is the name."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise CycadaError(f"{file}: not a readable list of frames ({error}).") from None
    if not lines:
        raise CycadaError(f"{file}: found no frames, expected one name a line.")
    return [Path(line).stem.zfill(5) for line in lines]
