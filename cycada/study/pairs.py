"""Which pictures a participant sees side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cycada.core.errors import CycadaError
from cycada.data.picture import SUFFIXES, describe_folder, image_files

Pairing = Literal["same", "random"]


@dataclass(frozen=True)
class Pair:
    """Two files to choose from."""

    real: Path
    fake: Path


def draw_pairs(
    real: Path, methods: Mapping[str, Path], pairing: Pairing, practice: int, scored: int, seed: int
) -> dict[str, tuple[list[Pair], list[Pair]]]:
    """Method -> its practice pairs and its scored ones; no picture is in two pairs of a method.

    same: a photo and its translation, which have one name (but for the ending). All methods get the same photos, so that they are
    compared on the same scenes. random: any photo beside any picture of the method, of another name as far as there are enough.
    Raises CycadaError where there are too few.
    """
    photos = named(real)
    made = {method: named(folder) for method, folder in methods.items()}
    count = practice + scored
    random = np.random.default_rng(seed)
    if pairing == "same":
        common = sorted(set(photos).intersection(*made.values()))
        _enough(common, count, practice, scored, real, methods, photos, made)
        names = [common[i] for i in random.permutation(len(common))[:count]]
        drawn = {method: [Pair(photos[n], found[n]) for n in names] for method, found in made.items()}
    else:
        for folder, found in ((real, photos), *((methods[m], made[m]) for m in made)):
            if len(found) < count:
                raise CycadaError(
                    f"{folder}: found {len(found)} pictures, expected {_sum(count, practice, scored)}."
                )
        names = [sorted(photos)[i] for i in random.permutation(len(photos))[:count]]
        drawn = {method: _beside(names, photos, found, random) for method, found in made.items()}
    return {method: (pairs[:practice], pairs[practice:]) for method, pairs in drawn.items()}


def named(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by their names without ending. Raises CycadaError where there are none, or two of one name."""
    if not folder.is_dir():
        raise CycadaError(f"{folder}: no such folder of pictures.")
    found: dict[str, Path] = {}
    for file in image_files(folder):
        if file.stem in found:
            raise CycadaError(
                f"{folder}: found {found[file.stem].name} and {file.name}, expected one picture of a name. Remove one."
            )
        found[file.stem] = file
    if not found:
        raise CycadaError(
            f"{folder}: found no pictures, expected files ending in {', '.join(SUFFIXES)}. {describe_folder(folder)}"
        )
    return found


def _beside(
    names: Sequence[str], photos: Mapping[str, Path], made: Mapping[str, Path], random: np.random.Generator
) -> list[Pair]:
    """A scene that were shown twice, once real and once not, would help whoever remembers it."""
    shuffled = [sorted(made)[i] for i in random.permutation(len(made))]
    others = sorted(shuffled, key=lambda name: name in set(names))[: len(names)]
    return [
        Pair(photos[a], made[b])
        for a, b in zip(names, (others[i] for i in random.permutation(len(others))), strict=True)
    ]


def _enough(
    common: Sequence[str], count: int, practice: int, scored: int, real: Path, methods: Mapping[str, Path],
    photos: Mapping[str, Path], made: Mapping[str, Mapping[str, Path]],
) -> None:  # fmt: skip
    if len(common) >= count:
        return
    folders = "\n".join(
        f"  {name}: {len(found)} pictures, such as {next(iter(found.values())).name}"
        for name, found in ((real, photos), *((methods[m], made[m]) for m in made))
    )
    raise CycadaError(
        f"Found {len(common)} names that are in all folders, expected {_sum(count, practice, scored)}:\n{folders}\n"
        "Give translations the names of their photos, or ask for --pairing random, or for fewer --trials."
    )


def _sum(count: int, practice: int, scored: int) -> str:
    return f"{count} ({practice} for practice and {scored} to be scored)"
