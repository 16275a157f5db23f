"""The pictures that a command is given: a folder with its sub-folders, one file, or a list of paths."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.data.picture import SUFFIXES, FolderContent, describe_folder, list_pictures

MASKS, OVERLAYS, BY_CLASS = "masks", "overlays", "by_class"
"""Folders of pictures in the folder of the results."""
ABOUT = "predict.json"
"""File in the folder of the results that says what made them."""
MADE_BY = "cycada predict"
"""What this file names as its maker."""


@dataclass(frozen=True)
class Sources:
    """Picture files with the names that results give them.

    Attributes:
        files: Each file by its name: the path below the folder, or the line of the list.
        root: A folder that all files lie in, however deep: of a list its own folder, if that is one.
        left_out: Files beside the pictures that are not read, each with the reason.
    """

    files: Mapping[str, Path]
    root: Path
    left_out: Mapping[str, str] = field(default_factory=dict)


def check_path(name: str, value: object) -> None:
    """Raise CycadaError where the pictures that a function is given are no path.

    Args:
        name: The parameter.
        value: What was given.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise CycadaError(
            f"{name}: found a {type(value).__name__}, expected the path of a folder or picture. Pictures in "
            "memory, or a list of files, go to load_model(RUN).predict."
        )


def find_sources(images: Path, out: Path) -> Sources:
    """Find the pictures of a folder, of one file, or of a list of paths.

    Args:
        images: A folder, which is searched with its sub-folders; a picture; or a text file with one path per
            line, relative to the current folder or else to the folder of the list.
        out: The folder of the results, which is not searched.

    Raises:
        CycadaError: There is no such folder or file, or there are no pictures.
    """
    if images.is_dir():
        if out.resolve() == images.resolve():
            raise CycadaError(f"{out}: the results would lie among the pictures. Choose another folder.")
        return _of_folder(images, out.resolve())
    if not images.exists():
        raise CycadaError(f"{images.resolve()}: no such folder, image, or list of paths.")
    if images.suffix.lower() in SUFFIXES:
        return Sources({str(images): images}, images.parent)
    return _of_list(images)


def leave_out_results(content: FolderContent, *kept: Path) -> FolderContent:
    """Return the content of a folder without the results of `cycada predict` that lie somewhere below it.

    Masks, overlays and links of another call would be read as pictures.

    Args:
        content: What was found in the folder.
        kept: Folders that are kept though they may be such results: the one that was searched, whose pictures
            are meant, and the one that the call itself writes to.
    """
    same = {folder.resolve() for folder in kept}
    made = {path.parent for path in content.left_out if path.name == ABOUT and _is_made_here(path)}
    results = {folder for folder in made if folder.resolve() not in same}

    def outside(paths: Iterable[Path]) -> list[Path]:
        return [path for path in paths if results.isdisjoint(path.parents)]

    left_out = {path: content.left_out[path] for path in outside(content.left_out)}
    return FolderContent(
        outside(content.pictures),
        left_out | dict.fromkeys(sorted(results), f"a folder with results of {MADE_BY}"),
    )


def _is_made_here(about: Path) -> bool:
    try:
        found = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("made_by") == MADE_BY


def _of_folder(folder: Path, out: Path) -> Sources:
    content = leave_out_results(list_pictures(folder, recursive=True), folder, out)
    ours = [path for path in content.pictures if out.is_relative_to(folder.resolve()) and _below(path, out)]
    pictures = [path for path in content.pictures if path not in set(ours)]
    if not pictures:
        raise CycadaError(
            f"{folder.resolve()}: found no images in this folder or below it, expected files ending in "
            f"{', '.join(SUFFIXES)}. {describe_folder(folder)}"
        )
    left_out = {str(path): why for path, why in content.left_out.items() if not _below(path, out)}
    left_out |= {
        str(path): "it lies in the folder of the results"
        for path in ours
        if not any(_below(path, out / name) for name in (MASKS, OVERLAYS, BY_CLASS))
    }
    return Sources({path.relative_to(folder).as_posix(): path for path in pictures}, folder, left_out)


def _below(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder) or path.resolve().is_relative_to(folder)


def _of_list(listing: Path) -> Sources:
    try:
        lines = [line.strip() for line in listing.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise CycadaError(
            f"{listing}: found neither an image ({', '.join(SUFFIXES)}) nor a text file with one path per "
            f"line ({error})."
        ) from None
    files: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    seen: dict[Path, str] = {}
    for line in filter(None, lines):
        path = Path(line)
        if not path.exists() and (listing.parent / path).exists():
            path = listing.parent / path
        absolute = Path(os.path.abspath(path))
        if absolute in seen:
            left_out[line] = f"the same file as {seen[absolute]}"
        else:
            seen[absolute] = line
            files[line] = path
    if not files:
        raise CycadaError(f"{listing}: found no paths, expected one a line.")
    # The folder that the files have in common would change with the list, and so would the names of masks.
    root = Path(os.path.abspath(listing.parent))
    if not all(path.is_relative_to(root) for path in seen):
        root = Path(os.path.commonpath([path.parent for path in seen]))
    return Sources(files, root, left_out)
