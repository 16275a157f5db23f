"""Draw the pairs of pictures that a participant sees side by side."""

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
    """A photo and a generated picture, as files."""

    real: Path
    fake: Path


def draw_pairs(
    real: Path, methods: Mapping[str, Path], pairing: Pairing, practice: int, scored: int, seed: int
) -> dict[str, tuple[list[Pair], list[Pair]]]:
    """Draw the pairs of each method; no picture is in two pairs of a method.

    Args:
        real: The folder of photos.
        methods: The name of each method -> the folder of its pictures.
        pairing: "same" for a photo and its translation, which have the same name without the ending; all
            methods get the same photos, so that they are compared on the same scenes. "random" for any photo
            and any picture of the method, with different names as far as there are enough.
        practice: The number of practice pairs.
        scored: The number of scored pairs.
        seed: The seed of the draw.

    Returns:
        Method -> its practice pairs and its scored pairs.

    Raises:
        CycadaError: There are too few pictures.
    """
    photos = list_by_name(real)
    made = {method: list_by_name(folder) for method, folder in methods.items()}
    count = practice + scored
    random = np.random.default_rng(seed)
    if pairing == "same":
        common = sorted(set(photos).intersection(*made.values()))
        _enough(common, count, practice, scored, real, methods, photos, made)
        names = [common[i] for i in random.permutation(len(common))[:count]]
        drawn = {method: [Pair(photos[n], files[n]) for n in names] for method, files in made.items()}
    else:
        for folder, files in ((real, photos), *((methods[m], made[m]) for m in made)):
            if len(files) < count:
                raise CycadaError(
                    f"{folder}: found {len(files)} pictures, expected {_sum(count, practice, scored)}."
                )
        names = [sorted(photos)[i] for i in random.permutation(len(photos))[:count]]
        drawn = {method: _random_pairs(names, photos, files, random) for method, files in made.items()}
    return {method: (pairs[:practice], pairs[practice:]) for method, pairs in drawn.items()}


def list_by_name(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by their names without the ending.

    Raises:
        CycadaError: There are no pictures, or two with the same name.
    """
    if not folder.is_dir():
        raise CycadaError(f"{folder}: no such folder of pictures.")
    pictures: dict[str, Path] = {}
    for file in image_files(folder):
        if file.stem in pictures:
            raise CycadaError(
                f"{folder}: found {pictures[file.stem].name} and {file.name}, expected one picture of each "
                "name. Remove one of them."
            )
        pictures[file.stem] = file
    if not pictures:
        raise CycadaError(
            f"{folder}: found no pictures, expected files ending in {', '.join(SUFFIXES)}. "
            f"{describe_folder(folder)}"
        )
    return pictures


def _random_pairs(
    names: Sequence[str], photos: Mapping[str, Path], made: Mapping[str, Path], random: np.random.Generator
) -> list[Pair]:
    """Pair photos with generated pictures, of other scenes as far as possible.

    A scene that is shown twice, once real and once generated, would help whoever remembers it.
    """
    shuffled = [sorted(made)[i] for i in random.permutation(len(made))]
    others = sorted(shuffled, key=lambda name: name in set(names))[: len(names)]
    return [
        Pair(photos[a], made[b])
        for a, b in zip(names, (others[i] for i in random.permutation(len(others))), strict=True)
    ]


def _enough(
    common: Sequence[str],
    count: int,
    practice: int,
    scored: int,
    real: Path,
    methods: Mapping[str, Path],
    photos: Mapping[str, Path],
    made: Mapping[str, Mapping[str, Path]],
) -> None:
    """Raise CycadaError where fewer than `count` names are in all folders."""
    if len(common) >= count:
        return
    folders = "\n".join(
        f"  {name}: {len(files)} pictures, such as {next(iter(files.values())).name}"
        for name, files in ((real, photos), *((methods[m], made[m]) for m in made))
    )
    raise CycadaError(
        f"Found {len(common)} names that are in all folders, expected "
        f"{_sum(count, practice, scored)}:\n{folders}\n"
        "Give translations the names of their photos, or use --pairing random, or fewer --trials."
    )


def _sum(count: int, practice: int, scored: int) -> str:
    return f"{count} ({practice} for practice and {scored} to be scored)"
