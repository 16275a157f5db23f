"""The report as files: report.html, table.md, .tex, .csv and .json, and each figure as SVG."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cycada.core import files
from cycada.core.errors import list_some
from cycada.core.texts import listed
from cycada.metrics.many_classes import MANY
from cycada.render.table import Table
from cycada.render.text import latex, markdown
from cycada.report import provenance
from cycada.report.cache import Cache
from cycada.report.csv_table import csv_table
from cycada.report.gather import gather
from cycada.report.page import page, sections
from cycada.report.published import published
from cycada.report.record import relative_path
from cycada.report.rows import ReportData
from cycada.report.selection import choose_rows, choose_steps
from cycada.report.selection_sheets import row_sheet, step_sheets
from cycada.report.semantics import distances, shared
from cycada.report.sheets import (
    class_sheet,
    distance_sheet,
    drift_sheet,
    error_sheet,
    published_sheet,
    results_sheet,
    without_empty_columns,
)
from cycada.report.table import TableRow, lines


@dataclass(frozen=True)
class ReportFiles:
    """The files of a report, and what it says.

    Attributes:
        folder: The folder of the report.
        results: Its main table.
        missing: What it could not show, in words.
        failures: Runs that did not finish, in words.
    """

    folder: Path
    results: Table
    missing: list[str]
    failures: list[str]


def report(
    what: str | Path | Sequence[str],
    results: Path | str = "results",
    out: Path | str | None = None,
    against: str | None = None,
    title: str | None = None,
    pdf: bool = False,
) -> ReportFiles:
    """Write a report about finished sweeps, experiments or runs, from their files alone.

    Args:
        what: Sweeps and experiments, by name or YAML file, and runs, by id or folder; one, or several.
        results: The folder of all results.
        out: The folder to write to; by default `results/reports/NAME`.
        against: The row that the others are tested against; by default the sweep's `compare_to`, or full
            CyCADA.
        title: The heading of the page.
        pdf: Whether to write each figure as PDF, too, which takes as long as all else. Without it, PDFs of an
            earlier report in the same folder are removed, because they may show other numbers.

    Raises:
        CycadaError: Nothing was found, or the rows are about different domains or scores.
    """
    results, what = Path(results), listed(what)
    data = gather(what, results, against)
    table = lines(data)
    cache = Cache(results / "cache")
    sheets = {s.key: s for s in _sheets(data, table, cache)}
    folder = Path(out) if out else results / "reports" / files.shorten_name(data.name)
    command = _command(what, against, title, pdf)
    missing = provenance.missing(data)
    if data.read_from_records:  # not in table.json, which is the same from records and from run folders
        missing.append(data.read_from_records)
    heading = title or f"{data.name}: {' → '.join(data.records[0].titles)}"
    lead = headline(table, data)
    facts = provenance.provenance(data, command)
    files.prepare_folder(folder)
    chapters = sections(data, table, sheets, cache, pdf)
    html = page(heading, lead, data, chapters, facts, missing)
    files.prepare_folder(folder / "figures")
    for panel in (p for chapter in chapters for p in (*chapter.panels, *chapter.more)):
        files.write_text(folder / "figures" / f"{panel.key}.svg", panel.alone)
        if panel.pdf:
            files.write_bytes(folder / "figures" / f"{panel.key}.pdf", panel.pdf)
        else:
            (folder / "figures" / f"{panel.key}.pdf").unlink(missing_ok=True)
    files.write_text(
        folder / "table.json", json.dumps(provenance.as_json(data, table, command), indent=1) + "\n"
    )
    files.write_text(folder / "table.csv", csv_table(table))
    files.write_text(folder / "table.tex", latex(list(sheets.values())))
    files.write_text(
        folder / "table.md", markdown(heading, lead, list(sheets.values()), [*data.failures, *missing])
    )
    files.write_text(folder / "report.html", html)
    return ReportFiles(folder, sheets["results"], missing, data.failures)


def _sheets(data: ReportData, table: Sequence[TableRow], cache: Cache) -> list[Table]:
    """Return the tables that have any contents, in their order on the page."""
    sheets = [results_sheet(table, data.reference)]
    if entries := published(table):
        sheets.append(published_sheet(entries, data.metric))
    # of a single evaluation nothing can be chosen
    if steps := [s for s in choose_steps(data.rows) if s.evaluations > 1]:
        sheets += step_sheets(steps)
    if choices := choose_rows(data.rows):
        sheets.append(row_sheet(choices, data.metric))
    if groups := [
        g for g in shared(data.rows, lambda outcome: outcome.translation) if any(r.drift for r in g.records)
    ]:
        sheets.append(drift_sheet(groups, data.metric))
    if apart := distances(data.rows, cache):
        sheets.append(distance_sheet(apart))
    if data.metric.over_classes:
        sheets.insert(1, class_sheet(table, data.reference))
    if len(data.records[-1].classes or ()) > MANY and (errors := error_sheet(data.row(data.reference))):
        sheets.append(errors)
    return [without_empty_columns(sheet) for sheet in sheets]


def headline(table: Sequence[TableRow], data: ReportData) -> str:
    """Return the summary of the report in a few sentences: the best comparable row, its score and its gain.

    Oracles and rows that were scored under other conditions than the reference do not compete; where no row
    is left, it is the reference.
    """
    reference = next(line for line in table if line.row.name == data.reference)
    competitors = [line for line in table if not line.row.oracle and line.row.name not in data.not_comparable]
    line = max(competitors, key=lambda line: line.target.mean, default=reference)
    n = len(line.target.values)
    seeds = f"mean of {n} seeds ± standard error" if n > 1 else f"seed {next(iter(line.target.values))} only"
    score = f"{line.target} %" + (f" {line.row.metric.word}" if line.row.metric.over_classes else "")
    target = line.row.outcomes[0].last.titles[1]
    sentences = [
        f"{line.row.name} reaches {score} on target test images, {target}, at the last step ({seeds})."
    ]
    if line.gain:
        more = "" if line.gain.error is None else f" ± {line.gain.error:.1f}"
        sentences.append(
            f"That is {line.gain.mean:+.1f}{more} points compared with its own source-only network."
        )
    if len(competitors) > 1:
        others = f" out of {len(table)}" if len(competitors) < len(table) else ""
        comparable = f"the {len(competitors)} comparable rows{others}"
        best = f"{line.target.mean:.1f}"
        same = [c.row.name for c in competitors if c is not line and f"{c.target.mean:.1f}" == best]
        rank = (
            f"{list_some(same)} reach{'' if len(same) > 1 else 'es'} the same, and none of {comparable} is "
            "higher"
            if same
            else f"It is the best of {comparable}"
        )
        sentences.append(
            f"{rank}: those that were trained without target labels and scored on the same test images in "
            "the same way."
        )
    if len({c.row.seeds for c in competitors}) > 1:
        sentences.append("Not all of these rows have the same seeds, so their means differ by chance, too.")
    if line is not reference:
        sentences.append(f"The reference, {data.reference}, reaches {reference.target} %.")
    if line.row.oracle:
        sentences.append("It is an oracle, which was trained with target labels.")
    return " ".join(sentences)


def _command(what: Sequence[str], against: str | None, title: str | None, pdf: bool) -> str:
    """Return the command that makes this report again; of absolute paths only the last part is kept."""
    words = [relative_path(w) for w in what]
    options = [
        x for name, value in (("--against", against), ("--title", title)) if value for x in (name, value)
    ]
    return shlex.join(["cycada", "report", *words, *options, *(["--pdf"] if pdf else [])])
