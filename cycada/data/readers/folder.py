"""The domain of a user's own pictures in folders, one for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from typing_extensions import override

from cycada.core.bounds import PathText
from cycada.core.errors import CycadaError, nearest
from cycada.core.files import bytes_digest
from cycada.core.sizes import Pixels
from cycada.data.convert import Resize
from cycada.data.domain import Domain, Split, Wanted, class_names, domains
from cycada.data.doubts import find_masks_among, join_doubts
from cycada.data.image_files import ImageFiles, read_ahead
from cycada.data.labelled_images import (
    ClassificationSet,
    Origin,
    check_brightest,
    make_image_dataset,
)
from cycada.data.picture import (
    SUFFIXES,
    describe_absent,
    describe_folder,
    is_hidden,
    list_everything,
    list_pictures,
    picture_doubts,
    picture_size,
    read_picture,
)
from cycada.data.preprocess import fit_picture


@domains("folder")
class Folder(Domain):
    """Your own pictures in folders, one sub-folder for each class.

    In a config: `{name: folder, train: photos/train, test: photos/test}`.

    Files: pictures of any size and kind. They are turned upright (EXIF), cropped to a centred square and
    resized to data.size by data.resize; with 'pad' they are centred on black, not cropped, and none may be
    larger. Grey and palettes become RGB, and transparent pixels are put on white. A file that is not a
    picture is an error that names it. The images are sorted by their pixels, so that the names of files and
    folders do not decide the order of training. A set larger than data.hold megabytes at data.size, and any
    set where data.workers is above 0, is read from its files at every step; the batches are the same.

    Labels: the sub-folder of a picture; deeper folders belong to it. The training folder of a target may be
    arranged in any way: all pictures in and below it are read, without labels.

    Args:
        train: Folder of the training images, relative to the data root.
        test: Folder of the test images.
        size: Not needed: images are read at data.size. Earlier versions had it; another number than data.size
            is an error.
        classes: Names of the sub-folders in the order of the labels; by default their sorted names.
        flip_safe: Whether a mirrored image still shows its class.
    """

    channels, size = 3, 32
    crops_to_size = True
    streams = True
    classes_from_files = True

    def __init__(
        self,
        *,
        train: PathText,
        test: PathText,
        size: Pixels | None = None,
        classes: list[str] | None = None,
        flip_safe: bool = False,
    ) -> None:
        self.flip_safe = flip_safe
        self.paths, self.given_size = {"train": train, "test": test}, size
        self.classes = class_names(classes or (), "the option 'classes' of the domain folder")
        self.wanted = Wanted(size or self.size)

    def prepare(self, wanted: Wanted) -> None:
        """Take size and classes from the experiment, or raise CycadaError where the option `size` differs."""
        if self.given_size not in (None, wanted.size):
            raise CycadaError(
                f"Domain 'folder': found the option size: {self.given_size} beside data.size: {wanted.size}, "
                f"expected one of the two. Pictures are read at data.size. Take the option out."
            )
        self.wanted = wanted
        self.classes = self.classes or wanted.classes

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Return the number of picture files, none of which is opened."""
        files, left_out = self._files(root, split)
        return len(_require_files(files, left_out, root / self.paths[split]))

    @override
    def stored_files(self, root: Path, split: Split) -> list[Path]:
        return list_everything(root / self.paths[split])

    @override
    def searched_folders(self, root: Path) -> list[Path]:
        return [root / path for path in self.paths.values()]

    @override
    def load(self, root: Path, split: Split, download: bool) -> ClassificationSet:
        files, left_out = self._files(root, split)
        return self._read(files, left_out, root / self.paths[split])

    def _files(self, root: Path, split: Split) -> tuple[list[tuple[Path, int]], dict[Path, str]]:
        """Return the files of a split with labels (-1 without one), and what is not read, with reasons."""
        folder = root / self.paths[split]
        if not folder.is_dir():
            raise self.missing(
                root,
                f"the folder {self.paths[split]} (the option '{split}' of the domain folder); "
                f"{describe_absent(root, self.paths[split])}",
            )
        if split == "train" and not self.wanted.labels:
            content = list_pictures(folder, recursive=True)
            return [(path, -1) for path in content.pictures], dict(content.left_out)
        sub_folders = sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
        if not sub_folders:
            content = list_pictures(folder)
            return [(path, -1) for path in content.pictures], dict(content.left_out)
        names = class_names([p.name for p in sub_folders], str(folder))
        self.classes = self.classes or tuple(sorted(names))
        if unknown := sorted(set(names) - set(self.classes)):
            raise CycadaError(
                f"{folder}: found the class folders {unknown[:20]}, expected only {list(self.classes)[:20]}, "
                f"the classes of the source or of the option 'classes'. Rename them, or move them away."
                f"{nearest(unknown[0], self.classes) if len(self.classes) <= 20 else ''}"
            )
        beside = list_pictures(folder)
        class_folders = set(sub_folders)  # a set, as there may be thousands
        left_out = {p: why for p, why in beside.left_out.items() if p not in class_folders}
        left_out |= dict.fromkeys(beside.pictures, "beside the class folders, so of no class")
        files, label_of = [], {name: k for k, name in enumerate(self.classes)}
        for name, path in zip(names, sub_folders, strict=True):
            content = list_pictures(path, recursive=True)
            left_out |= content.left_out
            files += [(file, label_of[name]) for file in content.pictures]
        return files, left_out

    def _read(
        self, files: list[tuple[Path, int]], left_out: Mapping[Path, str], folder: Path
    ) -> ClassificationSet:
        """Return the images of files with labels (-1 without one), sorted by their pixels."""
        _require_files(files, left_out, folder)
        side = self.wanted.size
        in_memory = len(files) * self.channels * side**2 / 2**20 <= self.wanted.memory
        read = partial(read_square, side, self.wanted.resize)
        pictures: list[np.ndarray] = []
        digests, brightest = [], 0
        for picture in read_ahead(read, [path for path, _ in files]):
            digests.append(bytes_digest(picture.tobytes()))
            brightest = max(brightest, int(picture.max()))
            if in_memory:
                pictures.append(picture)
        order = sorted(range(len(files)), key=lambda i: (digests[i], files[i][1]))
        labels = np.array([files[i][1] for i in order])
        origin = Origin(
            Counter("{} x {}".format(*picture_size(path)) for path, _ in files),
            files=[str(files[i][0]) for i in order],
            digests=[digests[i] for i in order],
            left_out={str(path): why for path, why in left_out.items()},
            doubts=join_doubts(
                {str(path): doubts for path, _ in files if (doubts := picture_doubts(path))},
                find_masks_among(path for path, _ in files),
            ),
        )
        if not in_memory:
            check_brightest(brightest, str(folder))
            return ImageFiles(
                [files[i][0] for i in order],
                None if labels[0] < 0 else torch.from_numpy(labels.astype(np.int64)),
                read,
                folder,
                origin,
                (side, side),
            )
        images = np.stack([pictures[i] for i in order])
        return make_image_dataset(
            images, None if labels[0] < 0 else labels, len(self.classes), str(folder), origin
        )


def read_square(side: int, resize: Resize, path: Path) -> np.ndarray:
    """Return a picture as a square, (side, side, 3) uint8.

    Args:
        side: Height and width in pixels.
        resize: How it is brought to this size: 'pad', or the interpolation.
        path: The picture file.

    Raises:
        CycadaError: The file cannot be read, or 'pad' was asked to make it smaller.
    """
    picture = read_picture(path)
    try:
        return fit_picture(picture, (side, side), resize)
    except CycadaError as error:
        raise CycadaError(f"{path}: {error}") from None


def _require_files(
    files: list[tuple[Path, int]], left_out: Mapping[Path, str], folder: Path
) -> list[tuple[Path, int]]:
    """Return the files, or raise CycadaError where there are none."""
    if not files:
        content = describe_folder(folder)
        if left_out:
            first = "; ".join(
                f"{path.relative_to(folder)}: {why}" for path, why in list(left_out.items())[:3]
            )
            more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
            content = f"Found there: {first}{more}."
        raise CycadaError(
            f"{folder}: found no images, expected files ending in {', '.join(SUFFIXES)}. {content}"
        )
    return files
