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
IMAGES = {"image", "img", "leftimg8bit", "photo", "rgb"}
"""Words in the names of pictures that their masks do not have."""


def find_masks_among(pictures: Iterable[Path]) -> dict[str, list[str]]:
    """Return a doubt about every picture whose name is that of a picture beside it and a word for masks.

    Such are `a_mask.png`, `a_mask_1.png` and `a_L.png` beside `a.png`,
    and `mask-a.png` beside `image-a.jpg`.

    Args:
        pictures: The files that are read as pictures.

    Returns:
        File to sentences about it.
    """
    words = {path: _words(path.stem.casefold()) for path in pictures}
    whose = {(path.parent, *of): path for path, of in words.items() if MASKS.isdisjoint(of)}
    found: dict[str, list[str]] = {}
    for path, of in words.items():
        first = next((k for k, word in enumerate(of) if word in MASKS), len(of))
        rest = [word for word in of if word not in MASKS]
        owner = whose.get((path.parent, *rest)) or whose.get((path.parent, *of[:first]))
        if first < len(of) and owner:
            found[str(path)] = [
                f"it has the name of a mask of {owner.name}, and is read as a picture; "
                f"put masks into a folder of their own"
            ]
    return found


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
