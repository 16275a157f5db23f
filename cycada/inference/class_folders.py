"""A folder for each class with links to its pictures, or copies where the file system has no links."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.core.files import write_atomically


def folder_names(classes: Sequence[str]) -> Mapping[str, str]:
    """Return the folder of each class: its name, or `class_K` where that is no safe and unique file name."""
    folded = [name.casefold() for name in classes]
    return {
        name: name
        if re.fullmatch(r"\w[\w .()+-]*(?<![ .])", name)
        and not re.fullmatch(r"class_\d+", name.casefold())  # it may be the folder of another class
        and folded.count(name.casefold()) == 1
        else f"class_{k}"
        for k, name in enumerate(classes)
    }


Classified = Iterable[tuple[Path, Path, str]]
"""The file of each picture, its path inside the class's folder, and its class."""


def link_by_class(pictures: Classified, folder: Path, classes: Sequence[str]) -> None:
    """Link pictures into the folders of their classes. Links that are there already stay.

    Args:
        pictures: The pictures.
        folder: The folder of the classes' folders.
        classes: The names of the classes.

    Raises:
        CycadaError: Another file has the name of a link.
    """
    names = folder_names(classes)
    for file, inside, label in pictures:
        to = folder / names[label] / inside
        if os.path.lexists(to):
            if not _is_picture(to, file):
                raise CycadaError(
                    f"{to}: there is another file of this name, expected a link to {file}. Remove it, or "
                    "choose another folder."
                )
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            to.symlink_to(file.resolve())
        except OSError:  # a file system without links
            with write_atomically(to) as temporary:
                shutil.copy2(file, temporary)


def unlink_others(pictures: Classified, folder: Path, classes: Sequence[str]) -> None:
    """Remove all links but those of pictures whose class is known, as it may have been another one before.

    Copies stay, since nothing tells them from files of the user's.

    Args:
        pictures: The pictures whose links stay.
        folder: The folder of the classes' folders, which may be absent.
        classes: The names of the classes.
    """
    if not folder.is_dir():
        return
    names = folder_names(classes)
    files = {folder / names[label] / inside: file for file, inside, label in pictures}
    for name in names.values():
        for link in (folder / name).rglob("*"):
            if link.is_symlink() and not (link in files and _is_picture(link, files[link])):
                link.unlink()


def _is_picture(to: Path, file: Path) -> bool:
    """Return whether a link or a copy is that of a picture."""
    try:
        return to.samefile(file) or filecmp.cmp(to, file, shallow=False)
    except OSError:
        return False
