"""A table as data, from which Markdown, LaTeX, HTML and CSV are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

NONE = "–"
"""A cell without a value."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        key: Its name in files and anchors.
        title: Its heading.
        heads: The head of each column; the first column names the row.
        rows: The cells of each row.
        bold: (row, column) of the cells in bold.
        notes: Sentences that have to be read together with the table.
    """

    key: str
    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    bold: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = field(default_factory=tuple)
