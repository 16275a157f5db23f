"""Escape text for Markdown, HTML, LaTeX and CSV, so that no character of it has a special meaning there."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup

TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "*": "$^*$",
    "|": "$|$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "–": "--",
    "−": "$-$",
    "…": r"\ldots{}",
}
"""Character -> how LaTeX writes it."""
MARKDOWN = re.compile(r"[\\`*$~|]|(?<=\])(?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""Special characters inside a line; brackets count only before another, underscores at the edge of a word."""
CODE = re.compile(r"(`[^`]+`)")
"""Code between backticks."""


def markdown_cell(text: str) -> str:
    """Escape text for a table's cell or a heading.

    Tags are escaped, because a renderer would pass them on, and line breaks become spaces, because they end
    the row.
    """
    marked = MARKDOWN.sub(lambda match: f"\\{match.group()}", _one_line(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def markdown_prose(text: str) -> str:
    """Escape a sentence in which code between backticks stays code."""
    parts = CODE.split(_one_line(text))
    return "".join(
        part if i % 2 else markdown_cell(part) if part.strip() else part for i, part in enumerate(parts)
    )


def html_prose(text: str) -> Markup:
    """Escape a sentence for HTML; code between backticks is set as code."""
    parts = CODE.split(text)
    return Markup().join(
        Markup("<code>{}</code>").format(p[1:-1]) if i % 2 else p for i, p in enumerate(parts)
    )


def markdown_row(cells: Iterable[str]) -> str:
    """Join cells that are Markdown already into one row of a table."""
    return "| " + " | ".join(cells) + " |"


def tex(text: str) -> str:
    """Escape text for LaTeX."""
    escaped = "".join(TEX.get(c, c) for c in _one_line(text))
    # a bracket at the beginning would be read as an option of the line break before it
    return "{}" + escaped if escaped.startswith("[") else escaped


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return a CSV file, in which None is empty, floats have six decimals, and no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def csv_cell(cell: object) -> object:
    """Return a cell, with an apostrophe before text that a spreadsheet would take for a formula."""
    if isinstance(cell, str):
        text = _one_line(cell)
        return f"'{text}" if text.lstrip(" ")[:1] in tuple("=+-@") and not _number(text) else text
    return "" if cell is None else round(cell, 6) if isinstance(cell, float) else cell


def _number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text) is not None


def _one_line(text: str) -> str:
    """Replace line breaks and other separators by spaces; spaces stay as they are."""
    return re.sub(r"[\r\n\t\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)
