"""Tables as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.render.escape import markdown_cell, markdown_prose, markdown_row, tex
from cycada.render.table import Table

SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""LaTeX that shrinks what follows to the width of the line where it is wider."""


def markdown(title: str, lead: str, sheets: Sequence[Table], notes: Sequence[str]) -> str:
    """Return one Markdown file with all tables.

    Args:
        title: The heading of the file.
        lead: The sentence below the heading.
        sheets: The tables.
        notes: What is missing, in words.
    """
    parts = [f"# {markdown_cell(title)}", markdown_prose(lead)]
    for sheet in sheets:
        rows = [
            [
                f"**{markdown_cell(c)}**" if (r, i) in sheet.bold else markdown_cell(c)
                for i, c in enumerate(row)
            ]
            for r, row in enumerate(sheet.rows)
        ]
        lines = [
            markdown_row(map(markdown_cell, sheet.heads)),
            "|" + "---|" * len(sheet.heads),
            *map(markdown_row, rows),
        ]
        parts += [f"## {markdown_cell(sheet.title)}", "\n".join(lines), _list(sheet.notes)]
    if notes:
        parts += ["## Missing", _list(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_prose(note)}" for note in notes)


def latex(sheets: Sequence[Table]) -> str:
    r"""Return one LaTeX table environment per table, for \input; it needs booktabs and graphicx.

    A table that is wider than the line is shrunk to it; others keep the size of their text.

    The caption is the title alone. The notes stand above the table as comments, from which an author takes
    into the caption what a reader needs.
    """
    parts = [r"% needs \usepackage{booktabs,graphicx}"]
    for sheet in sheets:
        rows = [
            " & ".join(rf"\textbf{{{tex(c)}}}" if (r, i) in sheet.bold else tex(c) for i, c in enumerate(row))
            + r" \\"
            for r, row in enumerate(sheet.rows)
        ]
        body = [
            *(f"% {' '.join(note.split())}" for note in sheet.notes),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{tex(sheet.title)}}}",
            rf"\label{{tab:{sheet.key.replace('_', '-')}}}",
            rf"{SHRINK}{{\begin{{tabular}}{{l{'r' * (len(sheet.heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(tex, sheet.heads)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
        parts.append("\n".join(body))
    return "\n\n".join(parts) + "\n"
