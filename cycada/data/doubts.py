"""Short summaries of remarks on many files: which were left out and why, and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

NAMED = 10
"""Number of classes or files that a line names before it gives the number of the others."""


def summarize_left_out(files: Mapping[str, str]) -> str:
    """Return one line with the number of files and, for each reason, the names of the first few.

    Args:
        files: File to the reason why it was left out. Reasons that differ in numbers or paths alone are one
            kind.
    """
    reasons: dict[str, list[tuple[str, str]]] = {}
    for name, why in files.items():
        reasons.setdefault(re.sub(r"\d+|\S*/\S+", "N", why), []).append((Path(name).name, why))
    parts = []
    for entries in list(reasons.values())[:NAMED]:
        names = ", ".join(name for name, _ in entries[:3])
        more = f" and {len(entries) - 3} more" if len(entries) > 3 else ""
        parts.append(f"{names}{more}: {entries[0][1]}")
    return f"{len(files)} ({'; '.join(parts)}{'; ...' if len(reasons) > NAMED else ''})"


def group_doubts(doubts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one sentence for each kind of doubt, with the number of files and the name of the first.

    Args:
        doubts: File to sentences about it. Sentences that differ in numbers or file names alone are one kind.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for file, sentences in doubts.items():
        for doubt in sentences:
            kinds.setdefault(re.sub(r"\d+|\S+\.\w+", "N", doubt), []).append((file, doubt))
    return [
        f"{len(entries)} file{'s' * (len(entries) > 1)}, such as {entries[0][0]}: {entries[0][1]}."
        for entries in kinds.values()
    ]


MASKS = {
    *("annotation", "annotations", "gt", "gtfine", "label", "labelids", "labels", "labeltrainids"),
    *("mask", "masks", "seg", "segmentation"),
}
"""Words in the names of files that hold the mask of a picture, in small letters."""
IMAGES = {"image", "images", "img", "leftimg8bit", "photo", "rgb"}
"""Words in the names of pictures, and of their folders, that their masks do not have."""


def find_masks_among(pictures: Iterable[Path]) -> dict[str, list[str]]:
    """Return a doubt about every picture whose name is that of a picture beside it and a word for masks.

    Such are `a_mask.png`, `a_mask_1.png` and `a_L.png` beside `a.png`,
    `mask-a.png` beside `image-a.jpg`, and `masks/a.png` beside `images/a.png`.

    Args:
        pictures: The files that are read as pictures.

    Returns:
        File to sentences about it.
    """
    words = {path: _words(path.stem.casefold()) for path in pictures}
    folders = {folder: _without_kind(folder) for folder in {path.parent for path in words}}
    whose = {(path.parent, *of): path for path, of in words.items() if MASKS.isdisjoint(of)}
    of_folder = {
        (folders[path.parent][0], *of): path
        for path, of in words.items()
        if MASKS.isdisjoint(of) and not folders[path.parent][1]
    }
    found: dict[str, list[str]] = {}
    for path, of in words.items():
        first = next((k for k, word in enumerate(of) if word in MASKS), len(of))
        stems = [[word for word in of if word not in MASKS], of[:first]]
        above, in_masks = folders[path.parent]
        beside = [whose[path.parent, *stem] for stem in stems if (path.parent, *stem) in whose]
        elsewhere = [of_folder[above, *stem] for stem in stems if (above, *stem) in of_folder]
        if beside and first < len(of):
            found[str(path)] = [
                f"it has the name of a mask of {beside[0].name}, and is read as a picture; "
                f"put masks into a folder of their own"
            ]
        elif elsewhere and in_masks:
            found[str(path)] = [
                f"it lies in a folder of masks and has the name of {elsewhere[0]}, and is read as a picture; "
                f"give the folder of the pictures alone"
            ]
    return found


def _without_kind(folder: Path) -> tuple[Path, bool]:
    """Return a folder without the parts that say pictures or masks, and whether one says masks."""
    kept, in_masks = [], False
    for part in folder.parts:
        words = set(re.split(r"[\W_]+", part.casefold()))
        in_masks |= bool(words) and words <= MASKS
        if not words <= MASKS | IMAGES:
            kept.append(part)
    return Path(*kept), in_masks


def _words(name: str) -> list[str]:
    """Return the words of a file's name in small letters; `a_l`, a mask of CamVid, has a plainer one."""
    name = re.sub(r"(?<=.)_l$", "_label", name)
    return [word for word in re.split(r"[\W_]+", name) if word and word not in IMAGES]


def join_doubts(*several: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return file to sentences about it, of all of these."""
    joined: dict[str, list[str]] = {}
    for doubts in several:
        for file, sentences in doubts.items():
            joined.setdefault(file, []).extend(sentences)
    return joined


def name_some(names: Sequence[str]) -> str:
    """Return the first names in a row, and how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
