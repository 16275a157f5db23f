"""Domains whose images have one label each."""

from __future__ import annotations

import math
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from cycada.core.errors import Absent, CycadaError
from cycada.core.registry import Registry
from cycada.data.convert import Resize
from cycada.data.labelled_images import ClassificationSet, ImageDataset

Split = Literal["train", "test"]
DIGITS = tuple("0123456789")
ROOT_HINT = " The data root comes from data.root, the variable CYCADA_DATA, or is ./data."
"""End of the message about absent files."""


@dataclass(frozen=True)
class Wanted:
    """Settings of an experiment that a domain may need in addition to its own options.

    Attributes:
        size: Side of the square images in pixels (data.size).
        resize: How images are brought to this size (data.resize).
        labels: Whether the training images need labels; those of an unlabelled target do not.
        memory: Largest size in megabytes of a set that is kept in memory. A larger set is read from its files
            when its images are needed, if the domain `streams`.
        classes: Class names of the source, for a target that does not name its own.
    """

    size: int
    resize: Resize = "bilinear"
    labels: bool = True
    classes: tuple[str, ...] = ()
    memory: float = math.inf


class Domain(ABC):
    """Domain whose images have one label each.

    A subclass sets the attributes below, implements `load` and registers itself with `@domains("name")`. Its
    keyword-only constructor arguments are the options that a config may set.

    Attributes:
        title: Name of the domain as a report prints it; the registered name where it is empty.
        classes: Names of the classes, in the order of the labels.
        channels: Channels of the images in the files.
        size: Side of the images in the files, in pixels.
        counts: Number of images in each official split; empty where it depends on the user's files.
        splits: The splits.
        unlabelled: The split whose images, without labels, are the target's training images.
        flip_safe: Whether a mirrored image still shows its class.
        crops_to_size: Whether pictures are cropped to a centred part before they are resized, as
            `fit_picture` does; otherwise the whole picture is resized.
        downloads: Whether `load` can download absent files.
        streams: Whether images that do not fit into memory can be read when they are needed.
        classes_from_files: Whether the class names are read with the data. They are then part of the data's
            fingerprint.
        value_range: Type and range of the pixel values.
        files: Files expected under the data root.
        how_to_get: Sentence that says how to get them.
    """

    title: ClassVar[str] = ""
    classes: tuple[str, ...] = DIGITS
    channels: ClassVar[int]
    size: ClassVar[int]
    counts: Mapping[Split, int] = {}
    splits: tuple[str, ...] = ("train", "test")
    unlabelled: str = "train"
    flip_safe: bool = False
    crops_to_size: ClassVar[bool] = False
    downloads: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    classes_from_files: bool = False
    value_range: ClassVar[str] = "uint8 0..255"
    files: ClassVar[tuple[str, ...]] = ()
    how_to_get: ClassVar[str] = ""

    def prepare(self, wanted: Wanted) -> None:  # noqa: B027
        """Take the settings of the experiment before `load`; a domain that needs none of them ignores them.

        Args:
            wanted: The settings.

        Raises:
            CycadaError: An option of the domain contradicts them.
        """

    @abstractmethod
    def load(self, root: Path, split: Split, download: bool) -> ClassificationSet:
        """Return all images of a split.

        Args:
            root: Data root, which the paths of `files` are relative to.
            split: The split.
            download: Whether absent files may be downloaded.

        Raises:
            Absent: The files are not there.
            CycadaError: They cannot be read. The message names the path, what was found and what is expected.
        """

    def open(self, root: Path, split: Split, download: bool, labels: bool = True) -> ClassificationSet:
        """Return a split as `load` does; `labels` has no effect, as `Wanted` says what is needed."""
        return self.load(root, split, download)

    def count(self, root: Path, split: Split, download: bool) -> int:
        """Return the number of images that `load` returns for a split, without reading them where possible.

        Args:
            root: Data root.
            split: The split.
            download: As for `load`.

        Raises:
            Absent: The files are not there, and their number of images is not the same for everybody.
            CycadaError: They cannot be read.
        """
        return self.counts[split] if split in self.counts else len(self.load(root, split, download))

    def stored_files(self, root: Path, split: Split) -> Sequence[Path] | None:
        """Return all files and folders that `load` may read for a split, also those that are not there.

        While none of them changes, a finished experiment is reused without reading its data.

        Args:
            root: Data root.
            split: The split.

        Returns:
            The paths; empty where no file of the user is read, and None where they are not known, so that the
            data are read at every run.
        """
        return None

    def searched_folders(self, root: Path) -> Sequence[Path]:
        """Return the folders in and below which every picture is read, whatever it is called."""
        return ()

    def missing(self, root: Path, expected: str) -> Absent:
        """Return the error for absent files: the folder, what is expected there and how to get it."""
        found = f"Domain '{self.name}': no data in {root.resolve()}. Expected there: {expected}."
        return Absent(f"{found} {self.how_to_get}".rstrip() + ROOT_HINT)

    def damaged(self, file: Path, error: Exception, expected: str) -> CycadaError:
        """Return the error for a file that cannot be read: its path, its size and what is expected."""
        size = file.stat().st_size if file.is_file() else 0
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        return CycadaError(
            f"Domain '{self.name}': {file.resolve()} is damaged or another file: "
            f"found {size:,} bytes ({reason}), expected {expected}. Get it again."
        )

    @property
    def name(self) -> str:
        """Name under which the domain is registered, or of its class where it is not registered."""
        return next((n for n in domains if domains[n] is type(self)), type(self).__name__)


domains: Registry[type[Domain]] = Registry("domain")


def prepare_domain(domain: Domain, wanted: Wanted, side: str) -> None:
    """Pass the settings of an experiment to a domain before it is read.

    Args:
        domain: The domain.
        wanted: The settings.
        side: 'source' or 'target', for the error.

    Raises:
        CycadaError: An option of the domain contradicts them. The message names the side.
    """
    try:
        domain.prepare(wanted)
    except CycadaError as error:
        raise CycadaError(f"data.{side}: {error}") from None


def check_loaded(found: object, classes: Sequence[str], where: str) -> ClassificationSet:
    """Return what a domain has loaded, if it is a set of images as networks and losses expect it.

    The toolkit's own domains check their files; what a plug-in returns might be anything.

    Args:
        found: The value that `load` returned.
        classes: Names of the domain's classes.
        where: The domain and the split, for the errors.

    Raises:
        CycadaError: It is no set of images, its images or labels have another shape, type or range, or two
            classes have one name.
    """
    class_names(classes, where)
    if not isinstance(found, ClassificationSet):
        raise CycadaError(f"{where}: found a {type(found).__name__}, expected an ImageDataset.")
    if not isinstance(found, ImageDataset):
        return found
    images, labels = found.images, found.labels
    dtype, shape = _kind(images)
    if dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape:
        raise CycadaError(
            f"{where}: found images of {_described(images)}, expected torch.uint8 of shape (N, C, H, W) "
            "with N > 0, and C = 1 or 3."
        )
    if labels is None:
        return found
    if _kind(labels) != (torch.int64, (len(images),)):
        raise CycadaError(
            f"{where}: found labels of {_described(labels)}, expected torch.int64 of shape ({len(images)},)."
        )
    if labels.min() < 0 or labels.max() >= len(classes):
        raise CycadaError(
            f"{where}: found labels from {labels.min()} to {labels.max()}, expected 0 to {len(classes) - 1}, "
            "the places of the domain's `classes`."
        )
    return found


def _kind(value: object) -> tuple[torch.dtype | None, tuple[int, ...]]:
    """Return the type and shape of a tensor; None and () of anything else."""
    return (value.dtype, tuple(value.shape)) if isinstance(value, Tensor) else (None, ())


def _described(value: object) -> str:
    dtype, shape = _kind(value)
    return f"{dtype} of shape {shape}" if dtype else f"the type {type(value).__name__}"


def class_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Return the names of classes in Unicode's composed form (NFC).

    Some file systems store an accent as a character of its own, so that equal names would differ.

    Args:
        names: The names.
        where: File or option that they come from, for the error.

    Raises:
        CycadaError: Two names are equal, or one is empty.
    """
    composed = tuple(unicodedata.normalize("NFC", str(name)) for name in names)
    if repeated := sorted(name for name, times in Counter(composed).items() if times > 1):
        raise CycadaError(f"{where}: found the class {repeated[0]!r} twice, expected every class once.")
    if not all(name.strip() for name in composed):
        raise CycadaError(f"{where}: found a class without a name, expected one for every class.")
    return composed
