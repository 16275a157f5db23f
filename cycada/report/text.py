"""Sheets as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from cycada.report.sheets import OTHERS, Sheet, averaged_over, mean_of
from cycada.report.table import Line

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "*": "$^*$", "|": "$|$",
    "±": r"$\pm$", "→": r"$\to$", "–": "--", "−": "$-$", "…": r"\ldots{}",
}  # fmt: skip


def markdown(title: str, lead: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    """All tables of the report in one Markdown file."""
    parts = [f"# {title}", lead]
    for sheet in sheets:
        rows = [[_strong(_pipe(c)) if (r, i) in sheet.bold else _pipe(c) for i, c in enumerate(row)] for r, row in enumerate(sheet.rows)]
        lines = [_md_row(map(_pipe, sheet.heads)), "|" + "---|" * len(sheet.heads), *map(_md_row, rows)]
        parts += [f"## {sheet.title}", "\n".join(lines), "\n".join(f"- {_star(n)}" for n in sheet.notes)]
    if notes:
        parts += ["## Missing", "\n".join(f"- {_star(n)}" for n in notes)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _md_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _pipe(text: str) -> str:
    return _star(text.replace("|", r"\|"))


def _star(text: str) -> str:
    """Text without a meaning of its own: Markdown passes tags on, and a new line would end a row."""
    plain = " ".join(text.split()) if "\n" in text or "\r" in text else text
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("*", r"\*")


def _strong(text: str) -> str:
    return f"**{text}**"


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


def tex(text: str) -> str:
    """Escaped."""
    return "".join(TEX.get(c, c) for c in text)


def csv_table(lines: Sequence[Line]) -> str:
    """One line a row of the main table, unrounded, in %; the seeds' own values in the last columns. Of scenes also what the mean

    is over, and the other scores."""
    pixels = lines[0].row.metric.of_pixels
    seeds = sorted({s for line in lines for s in line.target.values})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "row", "method", "oracle", "n", "mean", "standard_error", "source_mean", "gain", "gain_standard_error", "against",
            "difference", "difference_low", "difference_high", "p_bootstrap", "p_bootstrap_holm", "p_wilcoxon", "p_wilcoxon_holm",
            *(("test_images", "classes_averaged", *OTHERS) if pixels else ()), *(f"seed_{s}" for s in seeds),
        ]
    )  # fmt: skip
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
        writer.writerow(["" if c is None else round(c, 6) if isinstance(c, float) else _no_formula(c) for c in cells])
    return out.getvalue()


def _no_formula(cell: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front, as these programs write it themselves."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell


def _of_scenes(line: Line) -> list[object]:
    images, classes = averaged_over(line.row)
    others = (mean_of(line.row, key) for key in OTHERS)
    return [images, classes, *(m and m.mean for m in others)]
