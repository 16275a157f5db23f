"""The domain of a user's own arrays in .npz files, and the reader of such files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from typing_extensions import override

from cycada.core.bounds import PathText, Width
from cycada.core.errors import CycadaError
from cycada.data.domain import Domain, Split, class_names, domains
from cycada.data.labelled_images import ImageDataset, Origin, make_image_dataset
from cycada.data.picture import describe_absent


@domains("npz")
class Npz(Domain):
    """Your own images and labels as arrays in .npz files.

    In a config: `{name: npz, train: a.npz, test: b.npz, classes: [cat, dog]}`.

    Files: one .npz file for each split, with the arrays images, (N, H, W) or (N, H, W, C) with C = 1 or 3,
    uint8 in 0..255 or floating point in [0, 1], and labels, (N,) integers.

    Labels: 0 to K - 1. The training file of a target need not have labels.

    Args:
        train: File of the training images, relative to the data root.
        test: File of the test images.
        classes: Names of the classes, or their number.
        flip_safe: Whether a mirrored image still shows its class.
    """

    channels, size = 3, 32

    def __init__(
        self, *, train: PathText, test: PathText, classes: list[str] | Width = 10, flip_safe: bool = False
    ) -> None:
        self.flip_safe = flip_safe
        self.paths = {"train": train, "test": test}
        self.classes = class_names(
            range(classes) if isinstance(classes, int) else classes, "the option 'classes' of the domain npz"
        )

    @override
    def stored_files(self, root: Path, split: Split) -> list[Path]:
        return [root / self.paths[split]]

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        path = root / self.paths[split]
        if not path.exists():
            raise self.missing(
                root,
                f"{self.paths[split]} (the option '{split}' of the domain npz); "
                f"{describe_absent(root, self.paths[split])}",
            )
        images, labels = read_npz(path)
        sizes = {f"{images.shape[2]} x {images.shape[1]}": len(images)} if images.ndim > 2 else {}
        origin = Origin(sizes, left_out=_other_arrays(path), ordered=True)
        return make_image_dataset(images, labels, len(self.classes), str(path), origin)


def _other_arrays(path: Path) -> dict[str, str]:
    """Return the arrays of an .npz file that are not read: a name may be misspelt."""
    with np.load(path, allow_pickle=False) as arrays:
        others = sorted(set(arrays.files) - {"images", "labels"})
    return {f"{path}: {name}": f"the array '{name}', as images and labels alone are read" for name in others}


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays `images` and, if it exists, `labels` of an .npz file.

    Raises:
        CycadaError: The file cannot be read or has no images.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise CycadaError(
                    f"{path}: found the arrays {sorted(arrays)}, expected 'images' (and 'labels')."
                )
            return arrays["images"], arrays.get("labels")
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:300]
        if "context manager" in reason:  # what np.load returns of an .npy file is none
            raise CycadaError(
                f"{path}: found one array alone, as of np.save, expected 'images' and 'labels' of np.savez."
            ) from None
        if reason.startswith("Object arrays"):
            raise CycadaError(
                f"{path}: found an array of Python objects, expected arrays of numbers. Pictures of "
                "different sizes become objects: resize them first, or use the domain 'folder'."
            ) from None
        raise CycadaError(
            f"{path}: not a readable .npz file, it is damaged or of another kind ({reason}). Get it again."
        ) from error
