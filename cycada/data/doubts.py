"""Sentences about many files: what was left out and why, and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

NAMED = 10
"""Classes or files that a line names before it says how many more there are."""


def listed(files: Mapping[str, str]) -> str:
    """Say how many files there are, and for every reason the first few names."""
    reasons: dict[str, list[tuple[str, str]]] = {}
    for name, why in files.items():
        reasons.setdefault(re.sub(r"\d+|\S*/\S+", "N", why), []).append((Path(name).name, why))
    some = []
    for found in list(reasons.values())[:NAMED]:
        names = ", ".join(name for name, _ in found[:3]) + (
            f" and {len(found) - 3} more" if len(found) > 3 else ""
        )
        some.append(f"{names}: {found[0][1]}")
    return f"{len(files)} ({'; '.join(some)}{'; ...' if len(reasons) > NAMED else ''})"


def grouped(doubts: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence for every kind of doubt, with the number of files and the first one's name."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for file, sentences in doubts.items():
        for doubt in sentences:
            kinds.setdefault(re.sub(r"\d+|\S+\.\w+", "N", doubt), []).append((file, doubt))
    return [
        f"{len(found)} file{'s' * (len(found) > 1)}, such as {found[0][0]}: {found[0][1]}."
        for found in kinds.values()
    ]
