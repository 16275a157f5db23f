"""The four digit domains of the papers on adaptation: MNIST, USPS, SVHN and MNIST-M."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from typing_extensions import override

from cycada.core.bounds import Index
from cycada.core.errors import CycadaError
from cycada.data.domain import Domain, Split, domains
from cycada.data.labelled_images import ImageDataset, make_image_dataset
from cycada.data.picture import describe_absent
from cycada.data.readers.npz import read_npz


class OfficialDigits(Domain):
    """Domain that torchvision reads from official files, whose number of images is known."""

    def failed(
        self, root: Path, split: Split, files: Mapping[Path, Callable[[Path], object]], error: Exception
    ) -> CycadaError:
        """Return the error for files that could not be read, which tells absent files from damaged ones.

        Args:
            root: Data root.
            split: The split.
            files: Each file of the split, with a function that reads it. The first one that fails is named.
            error: The error that torchvision raised.
        """
        absent = [path for path in files if not path.is_file()]
        if absent:
            packed = " It is there packed, as .gz: unpack it" if Path(f"{absent[0]}.gz").is_file() else ""
            name = absent[0].relative_to(root)
            return self.missing(
                root,
                f"{', '.join(self.files)}. {name.name} is not there"
                f"{f'.{packed}' if packed else f'; {describe_absent(root, str(name))}'}",
            )
        for path, read in files.items():
            try:
                read(path)
            except Exception as other:  # torchvision raises whatever its parsers stumble over
                return self.damaged(path, other, self.expected(split))
        return self.damaged(next(iter(files)), error, self.expected(split))

    def expected(self, split: Split) -> str:
        """Return a phrase that says what a file of a split should hold."""
        return f"{self.counts[split]:,} images of {self.size} x {self.size}"

    def check_complete(
        self, path: Path, split: Split, images: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the arrays, or raise CycadaError if number or size is not that of the official split."""
        sides = images.shape[1:3]
        if len(images) != self.counts[split] or len(labels) != len(images) or sides != (self.size, self.size):
            found = f"it holds {len(images):,} images of {sides[1]} x {sides[0]} and {len(labels):,} labels"
            raise self.damaged(path, ValueError(found), self.expected(split))
        return images, labels


def _takes_path(read: Callable[[str], object]) -> Callable[[Path], object]:
    return lambda path: read(str(path))


@domains("mnist")
class Mnist(OfficialDigits):
    """MNIST, 70,000 handwritten digits, grey, 28 x 28 pixels.

    60,000 images are for training, 10,000 for testing. LeCun et al., "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE 1998.

    Files: the four uncompressed idx files in MNIST/raw/.

    Labels: 0 to 9.

    Args:
        drop: [a, b] leaves out the training images a to b - 1.
    """

    title = "MNIST"
    channels, size = 1, 28
    counts: Mapping[Split, int] = {"train": 60_000, "test": 10_000}
    files = (
        "MNIST/raw/train-images-idx3-ubyte",
        "MNIST/raw/t10k-images-idx3-ubyte",
        "and their labels-idx1-ubyte files",
    )
    downloads = True
    how_to_get = "data.download=true fetches them where there is a network."

    def __init__(self, *, drop: tuple[Index, Index] | None = None) -> None:
        most = self.counts["train"]
        if drop and not (drop[0] < drop[1] <= most and drop[1] - drop[0] < most):
            raise CycadaError(
                f"drop: found {list(drop)}, expected [a, b] with a below b and b at most {most}: images "
                f"a..b-1 are left out, and some have to stay."
            )
        self.drop = drop

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Return the number of images without those that `drop` leaves out."""
        rows = range(self.counts[split])
        if not self.drop or split == "test":
            return len(rows)
        return len(rows[: self.drop[0]]) + len(rows[self.drop[1] :])

    @override
    def stored_files(self, root: Path, split: Split) -> list[Path]:
        part = "train" if split == "train" else "t10k"
        return [root / "MNIST" / "raw" / f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        from torchvision import datasets

        paths = self.stored_files(root, split)
        try:
            files = datasets.MNIST(str(root), train=split == "train", download=download)
        except Exception as error:
            readers = (datasets.mnist.read_image_file, datasets.mnist.read_label_file)
            raise self.failed(
                root, split, dict(zip(paths, map(_takes_path, readers), strict=True)), error
            ) from error
        incomplete = paths[len(files.data) == self.counts[split]]
        images, labels = self.check_complete(incomplete, split, files.data.numpy(), files.targets.numpy())
        if self.drop and split == "train":
            keep = np.r_[0 : self.drop[0], self.drop[1] : len(images)]
            images, labels = images[keep], labels[keep]
        return make_image_dataset(images, labels, 10, f"{root}/MNIST ({split})")


@domains("usps")
class Usps(OfficialDigits):
    """USPS, 9,298 handwritten digits, grey, 16 x 16 pixels.

    7,291 images are for training, 2,007 for testing. Hull, "A database for handwritten text recognition
    research", TPAMI 1994.

    Files: usps.bz2 and usps.t.bz2. Their values are in [-1, 1]; torchvision converts them to 0..255.

    Labels: 0 to 9.
    """

    title = "USPS"
    channels, size = 1, 16
    counts: Mapping[Split, int] = {"train": 7_291, "test": 2_007}
    files = ("usps.bz2", "usps.t.bz2")
    downloads = True
    how_to_get = "data.download=true fetches them where there is a network."

    @override
    def stored_files(self, root: Path, split: Split) -> list[Path]:
        return [root / ("usps.bz2" if split == "train" else "usps.t.bz2")]

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        from torchvision import datasets

        (path,) = self.stored_files(root, split)
        try:
            files = datasets.USPS(str(root), train=split == "train", download=download)
        except Exception as error:
            raise self.failed(root, split, {path: Path.stat}, error) from error
        images, labels = self.check_complete(path, split, np.asarray(files.data), np.asarray(files.targets))
        return make_image_dataset(images, labels, 10, str(path))


@domains("svhn")
class Svhn(OfficialDigits):
    """SVHN, 99,289 house-number digits, colour, 32 x 32 pixels.

    73,257 images are for training, 26,032 for testing. Netzer et al., "Reading Digits in Natural Images with
    Unsupervised Feature Learning", NIPS workshop 2011.

    Files: svhn/train_32x32.mat and svhn/test_32x32.mat. Where they are absent, svhn/train.npz and
    svhn/test.npz are read, which may be subsets, with the arrays images (N, 32, 32, 3) and labels (N,).

    Labels: 0 to 9; the label 10 of the official files is 0.
    """

    title = "SVHN"
    channels, size = 3, 32
    counts: Mapping[Split, int] = {"train": 73_257, "test": 26_032}
    files = (
        "svhn/train_32x32.mat",
        "svhn/test_32x32.mat",
        "svhn/train.npz (or a subset)",
        "svhn/test.npz (or a subset)",
    )
    downloads = True
    how_to_get = "data.download=true fetches the official files where there is a network."

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Return the number of official images, or of those in the .npz file where that is read."""
        official, subset = self._paths(root, split)
        if download or official.exists():
            return self.counts[split]
        return len(self._subset(root, subset)[0])

    @override
    def stored_files(self, root: Path, split: Split) -> tuple[Path, Path]:
        return self._paths(root, split)

    def _paths(self, root: Path, split: Split) -> tuple[Path, Path]:
        """Return the official file of a split, and the file of the subset."""
        return root / "svhn" / f"{split}_32x32.mat", root / "svhn" / f"{split}.npz"

    def _subset(self, root: Path, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        if not path.exists():
            raise self.missing(root, ", ".join(self.files))
        return read_npz(path)

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        official, subset = self._paths(root, split)
        if download or official.exists():
            from torchvision import datasets

            try:
                files = datasets.SVHN(str(official.parent), split=split, download=download)
            except Exception as error:
                raise self.failed(root, split, {official: Path.stat}, error) from error
            return make_image_dataset(
                files.data.transpose(0, 2, 3, 1), np.asarray(files.labels), 10, str(official)
            )
        images, labels = self._subset(root, subset)
        return make_image_dataset(images, labels, 10, str(subset))


@domains("mnist_m")
class MnistM(Domain):
    """MNIST-M, MNIST blended with photos, colour, 32 x 32 pixels.

    The digits are blended with patches of photos. Ganin and Lempitsky, "Unsupervised Domain Adaptation by
    Backpropagation", ICML 2015. The release has 59,001 images for training and 9,001 for testing.

    Files: mnist_m/train.npz and mnist_m/test.npz with the arrays images (N, 32, 32, 3) and labels (N,).
    Without test.npz, the last fifth of train.npz is for testing and the rest for training. As image i is
    MNIST digit i, the source `mnist` should then leave those digits out: `{name: mnist, drop: [12000,
    15000]}` for 15,000 images.

    Labels: 0 to 9.
    """

    title = "MNIST-M"
    channels, size = 3, 32
    counts: Mapping[Split, int] = {"train": 59_001, "test": 9_001}
    files = ("mnist_m/train.npz (images, labels)", "optionally mnist_m/test.npz")
    how_to_get = "Convert the release's images into these arrays; the original addresses are gone."

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Return the number of images in the file, which is often a subset of the release."""
        return len(self.load(root, split, download))

    @override
    def stored_files(self, root: Path, split: Split) -> tuple[Path, Path]:
        return root / "mnist_m" / "train.npz", root / "mnist_m" / "test.npz"

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        train, test = self.stored_files(root, split)
        file = test if split == "test" and test.exists() else train
        if not train.exists():
            raise self.missing(root, ", ".join(self.files))
        if test.exists():
            images, labels = read_npz(train if split == "train" else test)
        else:
            images, labels = read_npz(train)
            cut = len(images) * 4 // 5
            rows = slice(0, cut) if split == "train" else slice(cut, None)
            images, labels = images[rows], None if labels is None else labels[rows]
        return make_image_dataset(images, labels, 10, str(file))
