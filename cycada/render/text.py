"""Sheets as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.render.escape import csv_lines, markdown_cell, markdown_prose, markdown_row, tex
from cycada.report.sheets import OTHERS, Sheet, averaged_over, mean_of
from cycada.report.table import Line


def markdown(title: str, lead: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    """All tables of the report in one Markdown file."""
    parts = [f"# {markdown_cell(title)}", markdown_prose(lead)]
    for sheet in sheets:
        rows = [
            [f"**{markdown_cell(c)}**" if (r, i) in sheet.bold else markdown_cell(c) for i, c in enumerate(row)]
            for r, row in enumerate(sheet.rows)
        ]
        lines = [markdown_row(map(markdown_cell, sheet.heads)), "|" + "---|" * len(sheet.heads), *map(markdown_row, rows)]
        parts += [f"## {markdown_cell(sheet.title)}", "\n".join(lines), _list(sheet.notes)]
    if notes:
        parts += ["## Missing", _list(notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(notes: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_prose(note)}" for note in notes)


def latex(sheets: Sequence[Sheet]) -> str:
    r"""One table environment a sheet, for \input; needs \usepackage{booktabs}."""
    parts = [r"% needs \usepackage{booktabs}"]
    for sheet in sheets:
        rows = [
            " & ".join(rf"\textbf{{{tex(c)}}}" if (r, i) in sheet.bold else tex(c) for i, c in enumerate(row)) + r" \\"
            for r, row in enumerate(sheet.rows)
        ]
        body = [
            r"\begin{table}", r"\centering", rf"\caption{{{tex(sheet.title)}. {tex(' '.join(sheet.notes))}}}",
            rf"\label{{tab:{sheet.key.replace('_', '-')}}}", rf"\begin{{tabular}}{{l{'r' * (len(sheet.heads) - 1)}}}", r"\toprule",
            " & ".join(map(tex, sheet.heads)) + r" \\", r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}",
        ]  # fmt: skip
        parts.append("\n".join(body))
    return "\n\n".join(parts) + "\n"


def csv_table(lines: Sequence[Line]) -> str:
    """One line a row of the main table, unrounded, in %; the seeds' own values in the last columns. Of scenes also what the mean

    is over, and the other scores."""
    pixels = lines[0].row.metric.of_pixels
    seeds = sorted({s for line in lines for s in line.target.values})
    rows: list[Sequence[object]] = [
        (
            "row", "method", "oracle", "n", "mean", "standard_error", "source_mean", "gain", "gain_standard_error", "against",
            "difference", "difference_low", "difference_high", "p_bootstrap", "p_bootstrap_holm", "p_wilcoxon", "p_wilcoxon_holm",
            *(("test_images", "classes_averaged", *OTHERS) if pixels else ()), *(f"seed_{s}" for s in seeds),
        )
    ]  # fmt: skip
    for line in lines:
        gain, test = line.gain, line.test
        boot = test.bootstrap if test else None
        cells = [
            line.row.name, line.row.method, line.row.oracle, len(line.target.values), line.target.mean, line.target.error,
            line.source and line.source.mean, gain and gain.mean, gain and gain.error, test and test.against,
            test and test.difference and test.difference.mean, boot and 100 * boot.low, boot and 100 * boot.high,
            boot and boot.p, test and test.bootstrap_holm, test and test.wilcoxon, test and test.wilcoxon_holm,
            *(_of_scenes(line) if pixels else ()), *(line.target.values.get(s) for s in seeds),
        ]  # fmt: skip
        rows.append(cells)
    return csv_lines(rows)


def _of_scenes(line: Line) -> list[object]:
    images, classes = averaged_over(line.row)
    others = (mean_of(line.row, key) for key in OTHERS)
    return [images, classes, *(m and m.mean for m in others)]
