"""Text as Markdown, LaTeX and CSV have it where it shall mean nothing but itself: what every table file is written with."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "*": "$^*$", "|": "$|$",
    "±": r"$\pm$", "→": r"$\to$", "–": "--", "−": "$-$", "…": r"\ldots{}",
}  # fmt: skip
MARKDOWN = re.compile(r"[\\`*$~|]|(?<=\])(?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
"""What has a meaning inside a line: a bracket only before another, an underscore only at the edge of a word."""
CODE = re.compile(r"(`[^`]+`)")


def markdown_cell(text: str) -> str:
    """Text for a table's cell or a heading. A renderer would pass tags on, and a new line would end the row."""
    marked = MARKDOWN.sub(lambda found: f"\\{found.group()}", _one_line(text))
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def markdown_prose(text: str) -> str:
    """A sentence, in which code between backticks stays code."""
    parts = CODE.split(_one_line(text))
    return "".join(
        part if i % 2 else markdown_cell(part) if part.strip() else part for i, part in enumerate(parts)
    )


def markdown_row(cells: Iterable[str]) -> str:
    """Cells that are Markdown already, as one row of a table."""
    return "| " + " | ".join(cells) + " |"


def tex(text: str) -> str:
    """Text for LaTeX; a bracket at the beginning would be an option of the line break before it."""
    escaped = "".join(TEX.get(c, c) for c in _one_line(text))
    return "{}" + escaped if escaped.startswith("[") else escaped


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """A CSV file: None is empty, floats have six decimals, a row is a line, and no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def _csv_cell(cell: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front, as these programs write it themselves."""
    if isinstance(cell, str):
        text = _one_line(cell)
        return f"'{text}" if text.lstrip(" ")[:1] in tuple("=+-@") and not _number(text) else text
    return "" if cell is None else round(cell, 6) if isinstance(cell, float) else cell


def _number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text) is not None


def _one_line(text: str) -> str:
    """With spaces for line breaks and what else would begin a line or a paragraph; the spaces that are there stay."""
    return re.sub(r"[\r\n\t\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)
