"""A table as data: what Markdown, LaTeX, HTML and CSV are written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

NONE = "–"


@dataclass(frozen=True)
class Table:
    """heads: one a column, the first names the row. bold: (row, column). notes: what has to be read along with it."""

    key: str
    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    bold: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = field(default_factory=tuple)
