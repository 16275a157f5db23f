"""Search for pictures that stand in several sets, by which a score may be better than it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cycada.core.files import bytes_digest, file_digest
from cycada.data import ImageSet
from cycada.data.segmentation import SegmentationDataset

TAIL = 4096
"""How many bytes at the end of a file are compared before whole files are."""


def find_shared_pictures(sets: Mapping[str, ImageSet]) -> tuple[list[str], list[str]]:
    """Compare the sets of an experiment, picture by picture.

    Args:
        sets: `source train`, `source test`, `target train` and `target test`, as far as they are known.

    Returns:
        Warnings, and remarks: that unlabelled target images are trained on and scored is usual.
    """
    warnings: list[str] = []
    remarks: list[str] = []
    for name, known, what, said in (
        ("source test", "source train", "the training pictures", warnings),
        ("target test", "target train", "the training pictures", remarks),
        ("target test", "source train", "the source's training pictures, whose labels are learnt", warnings),
        ("target train", "source train", "the source's training pictures", warnings),
    ):
        one, other = sets.get(known), sets.get(name)
        if one is None or other is None or (name.endswith("test") and not other.labelled):
            continue
        if name.startswith("target") and known.startswith("source") and _shows_one_of_two(other):
            continue
        if count := count_shared(one, other):
            said.append(f"{name}: {count} of {len(other)} pictures are also among {what}.")
    return warnings, remarks


def count_shared(known: ImageSet, other: ImageSet) -> int:
    """Return how many pictures of `other` are also in `known`: equal pixels, or equal files with masks."""
    if isinstance(known, SegmentationDataset) and isinstance(other, SegmentationDataset):
        return _count_same_files([i for i, _ in known.paths], [i for i, _ in other.paths])
    identities = set(known.identities())
    return sum(identity in identities for identity in other.identities())


def _shows_one_of_two(examples: ImageSet) -> bool:
    """Return whether each file holds two pictures, of which the other one may belong to the other side."""
    inner = examples.original if isinstance(examples, SegmentationDataset) else examples
    return getattr(inner, "beside", 1) > 1


def _count_same_files(known: Sequence[Path], others: Sequence[Path]) -> int:
    """Return how many of `others` are among the known files, or have the content of one.

    Whole files are read only where size and end are those of another file.
    """
    places = {path.resolve() for path in known}
    same = {path for path in others if path.resolve() in places}
    suspects, known_suspects = [path for path in others if path not in same], list(known)
    for trait in (_size, _tail, file_digest):
        of_known = _traits(known_suspects, trait)
        of_others = _traits(suspects, trait)
        shared = set(of_known.values()) & set(of_others.values())
        suspects = [path for path in suspects if of_others.get(path) in shared]
        known_suspects = [path for path in known_suspects if of_known.get(path) in shared]
    return len(same) + len(suspects)


def _traits(paths: Iterable[Path], trait: Callable[[Path], object]) -> dict[Path, object]:
    """Return a trait of each file that can be read."""
    found: dict[Path, object] = {}
    for path in paths:
        with suppress(OSError):
            found[path] = trait(path)
    return found


def _size(path: Path) -> int:
    return path.stat().st_size


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return bytes_digest(file.read())
