"""The four digit domains of the adaptation papers, read from the official files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torchvision.datasets as tv

from cycada.data.domain import Domain, Examples, Split, domains, examples
from cycada.errors import CycadaError


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """`images` and, where there, `labels` of an .npz file. Raises CycadaError that names the file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "images" not in arrays:
                raise CycadaError(f"{path}: found the arrays {sorted(arrays)}, expected 'images' (and 'labels').")
            return arrays["images"], arrays.get("labels")
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise CycadaError(f"{path}: not a readable .npz file ({error}).") from error


class OfficialDigits(Domain):
    """A domain that torchvision reads from official files."""

    def _failed(self, root: Path, there: list[Path], count: int, error: Exception) -> CycadaError:
        """Tell files that are damaged from files that are absent. there: those of this split that are there; count: how many it takes."""
        if len(there) < count:
            return self.missing(root, ", ".join(self.files))
        return self.damaged(min(there, key=lambda path: path.stat().st_size), error)


@domains("mnist")
class Mnist(OfficialDigits):
    """LeCun et al. 1998: 60,000 + 10,000 grey 28 x 28. `drop: [a, b]` leaves training images a..b-1 out."""

    channels, size = 1, 28
    files = ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/t10k-images-idx3-ubyte", "and their labels-idx1-ubyte files")
    how_to_get = "data.download=true fetches them where there is a network."

    def __init__(self, *, drop: tuple[int, int] | None = None) -> None:
        self.drop = drop

    def load(self, root: Path, split: Split, download: bool) -> Examples:
        try:
            files = tv.MNIST(str(root), train=split == "train", download=download)
        except Exception as error:
            part = "train" if split == "train" else "t10k"
            raise self._failed(root, list((root / "MNIST" / "raw").glob(f"{part}-*")), 2, error) from error
        images, labels = files.data.numpy(), files.targets.numpy()
        if self.drop and split == "train":
            keep = np.r_[0 : self.drop[0], self.drop[1] : len(images)]
            images, labels = images[keep], labels[keep]
        return examples(images, labels, 10, f"{root}/MNIST ({split})")


@domains("usps")
class Usps(OfficialDigits):
    """Hull 1994: 7,291 + 2,007 grey 16 x 16. The files hold [-1, 1]; torchvision turns that into 0..255."""

    channels, size = 1, 16
    files = ("usps.bz2", "usps.t.bz2")
    how_to_get = "data.download=true fetches them where there is a network."

    def load(self, root: Path, split: Split, download: bool) -> Examples:
        try:
            files = tv.USPS(str(root), train=split == "train", download=download)
        except Exception as error:
            raise self._failed(root, list(root.glob("usps.bz2" if split == "train" else "usps.t.bz2")), 1, error) from error
        return examples(np.asarray(files.data), np.asarray(files.targets), 10, f"{root}/usps ({split})")


@domains("svhn")
class Svhn(OfficialDigits):
    """Netzer et al. 2011: 73,257 + 26,032 colour 32 x 32 (svhn/*_32x32.mat); or, where those are absent, the subset in

    svhn/train.npz and svhn/test.npz. Label 10 of the files is 0.
    """

    channels, size = 3, 32
    files = ("svhn/train_32x32.mat", "svhn/test_32x32.mat", "or a subset as svhn/train.npz, svhn/test.npz")
    how_to_get = "data.download=true fetches the official files where there is a network."

    def load(self, root: Path, split: Split, download: bool) -> Examples:
        folder = root / "svhn"
        subset = folder / f"{split}.npz"
        if download or (folder / f"{split}_32x32.mat").exists():
            try:
                files = tv.SVHN(str(folder), split=split, download=download)
            except Exception as error:
                raise self._failed(root, list(folder.glob(f"{split}_32x32.mat")), 1, error) from error
            return examples(files.data.transpose(0, 2, 3, 1), np.asarray(files.labels), 10, str(folder))
        if not subset.exists():
            raise self.missing(root, ", ".join(self.files))
        images, labels = read_npz(subset)
        return examples(images, labels, 10, str(subset))


@domains("mnist_m")
class MnistM(Domain):
    """Ganin & Lempitsky 2015: MNIST digits on patches of photos, colour 32 x 32, from mnist_m/train.npz and test.npz.

    Without a test.npz the last fifth of train.npz is the test split and the rest is for training. As image i is MNIST
    digit i, a source `mnist` should then drop those digits: `{name: mnist, drop: [12000, 15000]}` for 15,000 images.
    """

    channels, size = 3, 32
    files = ("mnist_m/train.npz (images, labels)", "optionally mnist_m/test.npz")
    how_to_get = "Convert the release's images into these arrays; the original addresses are gone."

    def load(self, root: Path, split: Split, download: bool) -> Examples:
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
