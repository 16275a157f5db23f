"""The four digit domains of the adaptation papers, read from the official files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torchvision.datasets as tv

from cycada.core.bounds import Index
from cycada.core.errors import CycadaError
from cycada.data.domain import Domain, ImageDataset, Split, domains, examples


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """`images` and, where there, `labels` of an .npz file. Raises CycadaError that names the file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise CycadaError(
                    f"{path}: found the arrays {sorted(arrays)}, expected 'images' (and 'labels')."
                )
            return arrays["images"], arrays.get("labels")
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        what = " ".join(str(error).split())[:300]
        raise CycadaError(
            f"{path}: not a readable .npz file, it is damaged or of another kind ({what}). Get it again."
        ) from error


class OfficialDigits(Domain):
    """A domain that torchvision reads from official files, all copies of which have as many images."""

    def failed(
        self, root: Path, split: Split, files: Mapping[Path, Callable[[Path], object]], error: Exception
    ) -> CycadaError:
        """Tell files that are damaged from files that are absent.

        Args:
            root: Where they are looked for.
            split: Which part it is.
            files: Every file of the split, and what reads it alone: the first that cannot be read is named.
            error: What was raised when all were read.
        """
        absent = [path for path in files if not path.is_file()]
        if absent:
            packed = " It is there packed, as .gz: unpack it." if Path(f"{absent[0]}.gz").is_file() else ""
            return self.missing(
                root, f"{', '.join(self.files)}. {absent[0].name} is not there.{packed}".rstrip(".")
            )
        for path, read in files.items():
            try:
                read(path)
            except Exception as other:  # torchvision raises whatever its parsers stumble over
                return self.damaged(path, other, self.expected(split))
        return self.damaged(next(iter(files)), error, self.expected(split))

    def expected(self, split: Split) -> str:
        """What a split's file holds, in words."""
        return f"{self.counts[split]:,} images of {self.size} x {self.size}"

    def whole(
        self, path: Path, split: Split, images: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The arrays. Raises CycadaError that names the file where they are not those of the official split."""
        sides = images.shape[1:3]
        if len(images) != self.counts[split] or len(labels) != len(images) or sides != (self.size, self.size):
            found = f"it holds {len(images):,} images of {sides[1]} x {sides[0]} and {len(labels):,} labels"
            raise self.damaged(path, ValueError(found), self.expected(split))
        return images, labels


def _of_text(read: Callable[[str], object]) -> Callable[[Path], object]:
    return lambda path: read(str(path))


@domains("mnist")
class Mnist(OfficialDigits):
    """LeCun et al. 1998: 60,000 + 10,000 grey 28 x 28. `drop: [a, b]` leaves training images a..b-1 out."""

    channels, size = 1, 28
    counts: Mapping[Split, int] = {"train": 60_000, "test": 10_000}
    files = (
        "MNIST/raw/train-images-idx3-ubyte",
        "MNIST/raw/t10k-images-idx3-ubyte",
        "and their labels-idx1-ubyte files",
    )
    how_to_get = "data.download=true fetches them where there is a network."

    def __init__(self, *, drop: tuple[Index, Index] | None = None) -> None:
        if drop and drop[0] >= drop[1]:
            raise CycadaError(
                f"drop: found {list(drop)}, expected [a, b] with a below b: images a..b-1 are left out."
            )
        self.drop = drop

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Count without the digits that are left out."""
        digits = range(self.counts[split])
        return (
            len(digits)
            if not self.drop or split == "test"
            else len(digits[: self.drop[0]]) + len(digits[self.drop[1] :])
        )

    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        part = "train" if split == "train" else "t10k"
        paths = [root / "MNIST" / "raw" / f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        try:
            files = tv.MNIST(str(root), train=split == "train", download=download)
        except Exception as error:
            readers = (tv.mnist.read_image_file, tv.mnist.read_label_file)
            raise self.failed(
                root, split, dict(zip(paths, map(_of_text, readers), strict=True)), error
            ) from error
        short = paths[len(files.data) == self.counts[split]]
        images, labels = self.whole(short, split, files.data.numpy(), files.targets.numpy())
        if self.drop and split == "train":
            keep = np.r_[0 : self.drop[0], self.drop[1] : len(images)]
            images, labels = images[keep], labels[keep]
        return examples(images, labels, 10, f"{root}/MNIST ({split})")


@domains("usps")
class Usps(OfficialDigits):
    """Hull 1994: 7,291 + 2,007 grey 16 x 16. The files hold [-1, 1]; torchvision turns that into 0..255."""

    channels, size = 1, 16
    counts: Mapping[Split, int] = {"train": 7_291, "test": 2_007}
    files = ("usps.bz2", "usps.t.bz2")
    how_to_get = "data.download=true fetches them where there is a network."

    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        path = root / ("usps.bz2" if split == "train" else "usps.t.bz2")
        try:
            files = tv.USPS(str(root), train=split == "train", download=download)
        except Exception as error:
            raise self.failed(root, split, {path: Path.stat}, error) from error
        images, labels = self.whole(path, split, np.asarray(files.data), np.asarray(files.targets))
        return examples(images, labels, 10, str(path))


@domains("svhn")
class Svhn(OfficialDigits):
    """Netzer et al. 2011: 73,257 + 26,032 colour 32 x 32 (svhn/*_32x32.mat); or, where those are absent, the subset in

    svhn/train.npz and svhn/test.npz. Label 10 of the files is 0.
    """

    channels, size = 3, 32
    counts: Mapping[Split, int] = {"train": 73_257, "test": 26_032}
    files = (
        "svhn/train_32x32.mat",
        "svhn/test_32x32.mat",
        "svhn/train.npz (or a subset)",
        "svhn/test.npz (or a subset)",
    )
    how_to_get = "data.download=true fetches the official files where there is a network."

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Count the official images, or those of the subset where it is what is read."""
        official, subset = self._paths(root, split)
        if download or official.exists():
            return self.counts[split]
        return len(self._subset(root, subset)[0])

    def _paths(self, root: Path, split: Split) -> tuple[Path, Path]:
        """The official file of a split, and that of the subset."""
        return root / "svhn" / f"{split}_32x32.mat", root / "svhn" / f"{split}.npz"

    def _subset(self, root: Path, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        if not path.exists():
            raise self.missing(root, ", ".join(self.files))
        return read_npz(path)

    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        official, subset = self._paths(root, split)
        if download or official.exists():
            try:
                files = tv.SVHN(str(official.parent), split=split, download=download)
            except Exception as error:
                raise self.failed(root, split, {official: Path.stat}, error) from error
            return examples(files.data.transpose(0, 2, 3, 1), np.asarray(files.labels), 10, str(official))
        images, labels = self._subset(root, subset)
        return examples(images, labels, 10, str(subset))


@domains("mnist_m")
class MnistM(Domain):
    """Ganin & Lempitsky 2015: MNIST digits on patches of photos, colour 32 x 32, from mnist_m/train.npz and test.npz.

    The release has 59,001 + 9,001. Without a test.npz the last fifth of train.npz is the test split and the rest is for training. As
    image i is MNIST digit i, a source `mnist` should then drop those digits: `{name: mnist, drop: [12000, 15000]}` for 15,000 images.
    """

    channels, size = 3, 32
    counts: Mapping[Split, int] = {"train": 59_001, "test": 9_001}
    files = ("mnist_m/train.npz (images, labels)", "optionally mnist_m/test.npz")
    how_to_get = "Convert the release's images into these arrays; the original addresses are gone."

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Count what is in the files: subsets are common."""
        return len(self.load(root, split, download))

    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        train, test = root / "mnist_m" / "train.npz", root / "mnist_m" / "test.npz"
        file = test if split == "test" and test.exists() else train
        if not train.exists():
            raise self.missing(root, ", ".join(self.files))
        if test.exists():
            images, labels = read_npz(train if split == "train" else test)
        else:
            images, labels = read_npz(train)
            cut = len(images) * 4 // 5
            part = slice(0, cut) if split == "train" else slice(cut, None)
            images, labels = images[part], None if labels is None else labels[part]
        return examples(images, labels, 10, str(file))
