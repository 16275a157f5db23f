"""Short summaries of remarks on many files: which were left out and why, and what is in doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
