"""A user's own data: arrays in .npz files, or image folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cycada.data.digits import read_npz
from cycada.data.domain import Domain, Examples, Split, domains, examples
from cycada.data.picture import SUFFIXES, image_files, read_picture
from cycada.errors import CycadaError


@domains("npz")
class Npz(Domain):
    """`{name: npz, train: a.npz, test: b.npz, classes: [cat, dog]}`: arrays images (N, H, W[, C]), labels (N,).

    images: uint8, or float in [0, 1]. labels may be absent from the training file of a target. Paths are relative to
    the data root. classes: names, or how many.
    """

    channels, size = 3, 32

    def __init__(self, *, train: str, test: str, classes: list[str] | int = 10, flip_safe: bool = False) -> None:
        self.flip_safe = flip_safe
        self.paths = {"train": train, "test": test}
        self.classes = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)

    def load(self, root: Path, split: Split, download: bool) -> Examples:
        path = root / self.paths[split]
        if not path.exists():
            raise self.missing(root, f"{self.paths[split]} (the option '{split}' of the domain npz)")
        images, labels = read_npz(path)
        return examples(images, labels, len(self.classes), str(path))


@domains("folder")
class Folder(Domain):
    """`{name: folder, train: photos/train, test: photos/test, size: 32}`: one sub-folder per class, in `classes` order

    (default: the names sorted). A folder with images and no sub-folders is unlabelled: enough to train on as a target.
    Images are turned upright (EXIF), cut to a centred square and scaled to `size`; palette and grey are converted, what is
    transparent stands on white. A file that is no image is an error that names it. Paths are relative to the data root.
    """

    channels, size = 3, 32

    def __init__(self, *, train: str, test: str, size: int = 32, classes: list[str] | None = None, flip_safe: bool = False) -> None:
        self.flip_safe = flip_safe
        self.paths, self.side = {"train": train, "test": test}, size
        self.classes = tuple(classes or ())

    def load(self, root: Path, split: Split, download: bool) -> Examples:
        folder = root / self.paths[split]
        if not folder.is_dir():
            raise self.missing(root, f"the folder {self.paths[split]} (the option '{split}' of the domain folder)")
        found = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
        self.classes = self.classes or found
        if unknown := set(found) - set(self.classes):
            raise CycadaError(f"{folder}: found the class folders {sorted(unknown)}, expected only {list(self.classes)}.")
        images: list[np.ndarray] = []
        labels: list[int] = []
        for label, name in enumerate(found and self.classes):
            for path in image_files(folder / name):
                images.append(_read(path, self.side))
                labels.append(label)
        if not found:
            images = [_read(path, self.side) for path in image_files(folder)]
        if not images:
            raise CycadaError(f"{folder}: found no images, expected files ending in {', '.join(SUFFIXES)}.")
        return examples(np.stack(images), np.array(labels) if found else None, len(self.classes), str(folder))


def _read(path: Path, side: int) -> np.ndarray:
    """(side, side, 3) uint8."""
    return np.asarray(ImageOps.fit(Image.fromarray(read_picture(path)), (side, side), Image.Resampling.BILINEAR))
