"""GTA5: street scenes of a computer game with the classes of Cityscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError
from cycada.data.pairs import find_pairs, find_unlabelled, left_out_of, png_by_stem
from cycada.data.readers.cityscapes import CLASSES, LABEL_IDS, Subset, subset, table
from cycada.data.scenes import SceneDomain, SegmentationDataset, scene_domains

MAT_PARTS = {"train": "trainIds", "test": "valIds", "official_test": "testIds"}
"""split -> the array of split.mat, of frame numbers counted from 1."""
MAT_COUNTS = {"train": 12_403, "test": 6_382, "official_test": 6_181}
"""split -> how many frame numbers these are."""


@scene_domains("gta5")
class Gta5(SceneDomain):
    """Richter et al. 2016 (Playing for Data): 24,966 frames of 1914 x 1052 with masks, unzipped into images/ and labels/.

    The masks are PNGs with a palette whose indices are Cityscapes' labelIds (34: licence plate), or the same as grey.
    lists: which frames. None: all of them for training (the CyCADA paper's 24,966) and no test split. `split.mat`, the
    release's file: 12,403 for training, its validation frames for testing. A text file with `{split}` in its name, such as
    `{split}.txt`: one frame a line. A few validation frames have masks of another size than the image (the CyCADA code
    leaves out the positions 96, 173, 175, 334 and 353 of that list): `skip_bad` finds them, at the price of reading all.
    test: false: no test split whatever the list, so that nothing is scored on the source.
    """

    files = ("images/*.png", "labels/*.png", "split.mat (optional)")
    how_to_get = "Ten archives of images and ten of labels from the authors' page (download.visinf.tu-darmstadt.de/data/from_games)."

    def __init__(
        self, *, folder: PathText = "gta5", lists: PathText | None = None, classes: Subset = 19, test: bool = True, skip_bad: bool = False
    ) -> None:  # fmt: skip
        self.folder, self.lists, self.skip_bad = folder, lists, skip_bad
        self.classes, self.palette = subset(classes)
        known = (
            ("train",) if lists is None else tuple(MAT_PARTS) if lists.endswith(".mat") else ("train", "test")
        )
        self.splits = tuple(split for split in known if test or split != "test")
        self.counts = {"train": 24_966} if lists is None else MAT_COUNTS if lists.endswith(".mat") else {}

    def load(self, root: Path, split: str) -> SegmentationDataset:
        if split == "test" and self.lists is None:
            raise CycadaError(
                "Domain 'gta5': there is no test split without the option lists. Set lists=split.mat, or lists={split}.txt."
            )
        return super().load(root, split)

    def images(self, root: Path, split: str) -> SegmentationDataset:
        """The images of a split; there may be masks or not."""
        images = root / self.folder / "images"
        found, _ = self._listed(root, split, png_by_stem(images), {})
        return find_unlabelled(self, found, images, self.skip_bad, left_out=left_out_of(images, ending=".png"))

    def scenes(self, root: Path, split: str) -> SegmentationDataset:
        images, masks = root / self.folder / "images", root / self.folder / "labels"
        found, known = self._listed(root, split, png_by_stem(images), png_by_stem(masks))
        ids = table(dict(zip(CLASSES, LABEL_IDS, strict=True)), self.classes, range(35))
        return find_pairs(
            self,
            found,
            known,
            (images, masks),
            ids,
            skip_bad=self.skip_bad,
            left_out=left_out_of(images, masks, ending=".png"),
        )

    def _listed(
        self, root: Path, split: str, found: dict[str, Path], known: dict[str, Path]
    ) -> tuple[dict[str, Path], dict[str, Path]]:
        """The files of the frames that the option `lists` names."""
        images = root / self.folder / "images"
        if self.lists is not None and found:
            file = root / self.folder / self.lists.replace("{split}", split)
            wanted = _from_mat(file, MAT_PARTS[split]) if file.suffix == ".mat" else _from_text(file)
            if absent := [name for name in wanted if name not in found and name not in known]:
                raise CycadaError(
                    f"{file}: found {len(wanted)} frames of which {len(absent)} are not there, such as {images / absent[0]}.png. "
                    "Unpack all archives, or give another list."
                )
            found, known = ({n: files[n] for n in wanted if n in files} for files in (found, known))
        return found, known


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
    """One frame a line: a number, a name, or a path whose stem is the name."""
    try:
        lines = file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise CycadaError(f"{file}: not a readable list of frames ({error}).") from None
    if not lines:
        raise CycadaError(f"{file}: found no frames, expected one name a line.")
    return [Path(line).stem.zfill(5) for line in lines]
