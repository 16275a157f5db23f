"""`cycada report`: gather, compute, and write report.html, table.md, table.tex, table.csv, table.json and figures/*.svg."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cycada.core import files
from cycada.metrics.many_classes import MANY
from cycada.render.table import Table
from cycada.render.text import latex, markdown
from cycada.report import provenance
from cycada.report.csv_table import csv_table
from cycada.report.gather import gather
from cycada.report.page import page, sections
from cycada.report.published import published
from cycada.report.record import relative_path
from cycada.report.rows import ReportData
from cycada.report.selection import choose_rows, choose_steps
from cycada.report.semantics import distances, shared
from cycada.report.sheets import (
    class_sheet,
    distance_sheet,
    drift_sheet,
    error_sheet,
    main,
    published_sheet,
    row_sheet,
    step_sheets,
)
from cycada.report.table import TableRow, lines


@dataclass(frozen=True)
class ReportFiles:
    """Where the report lies, its main table, and what it could not show."""

    folder: Path
    results: Table
    missing: list[str]
    failures: list[str]


def report(
    what: Sequence[str],
    results: Path | str = "results",
    out: Path | str | None = None,
    against: str | None = None,
    title: str | None = None,
) -> ReportFiles:
    """Report on sweeps, experiments (by name or YAML file) or runs (by id or folder), from what lies on disk.

    against: the row that the others are tested against. out: a folder, else `results/reports/NAME`. Raises CycadaError.
    """
    results = Path(results)
    found = gather(what, results, against)
    table = lines(found)
    sheets = {s.key: s for s in _sheets(found, table)}
    folder = Path(out) if out else results / "reports" / files.shortened(found.name)
    command = _command(what, against, title)
    missing = provenance.missing(found)
    heading = title or f"{found.name}: {' → '.join(found.records[0].titles)}"
    lead = headline(table, found.reference)
    facts = provenance.provenance(found, command)
    files.ready(folder)
    chapters = sections(found, table, sheets)
    html = page(heading, lead, found, chapters, facts, missing)
    files.ready(folder / "figures")
    for panel in (p for chapter in chapters for p in (*chapter.panels, *chapter.more)):
        files.write_text(folder / "figures" / f"{panel.key}.svg", panel.alone)
    files.write_text(
        folder / "table.json", json.dumps(provenance.as_json(found, table, command), indent=1) + "\n"
    )
    files.write_text(folder / "table.csv", csv_table(table))
    files.write_text(folder / "table.tex", latex(list(sheets.values())))
    files.write_text(
        folder / "table.md", markdown(heading, lead, list(sheets.values()), [*found.failures, *missing])
    )
    files.write_text(folder / "report.html", html)
    return ReportFiles(folder, sheets["results"], missing, found.failures)


def _sheets(found: ReportData, table: Sequence[TableRow]) -> list[Table]:
    """Those that have something to say."""
    sheets = [main(table, found.reference)]
    if entries := published(table):
        sheets.append(published_sheet(entries, found.metric))
    if steps := choose_steps(found.rows):
        sheets += step_sheets(steps)
    if choices := choose_rows(found.rows):
        sheets.append(row_sheet(choices, found.metric))
    if groups := [
        g for g in shared(found.rows, lambda outcome: outcome.translation) if any(r.drift for r in g.records)
    ]:
        sheets.append(drift_sheet(groups, found.metric))
    if apart := distances(found.rows):
        sheets.append(distance_sheet(apart))
    if found.metric.of_pixels:
        sheets.insert(1, class_sheet(table, found.reference))
    if len(found.records[-1].classes or ()) > MANY and (errors := error_sheet(found.row(found.reference))):
        sheets.append(errors)
    return sheets


def headline(table: Sequence[TableRow], reference: str) -> str:
    """The one sentence to take away."""
    line = next(line for line in table if line.row.name == reference)
    n = len(line.target.values)
    seeds = f"mean of {n} seeds ± standard error" if n > 1 else f"one seed ({next(iter(line.target.values))})"
    score = f"{line.target} %" + (f" {line.row.metric.word}" if line.row.metric.of_pixels else "")
    sentence = f"{reference} reaches {score} on target test images, last step, {seeds}."
    if line.gain:
        more = "" if line.gain.error is None else f" ± {line.gain.error:.1f}"
        sentence += f" That is {line.gain.mean:+.1f}{more} points over its own source-only network."
    if line.row.oracle:
        sentence += " It is an oracle, trained with target labels."
    return sentence


def _command(what: Sequence[str], against: str | None, title: str | None) -> str:
    """As one would type it again; folders outside the working directory by their last part alone."""
    words = [relative_path(w) for w in what]
    options = [
        x for name, value in (("--against", against), ("--title", title)) if value for x in (name, value)
    ]
    return shlex.join(["cycada", "report", *words, *options])
