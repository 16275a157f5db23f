"""The command `cycada report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.options import Reported, Results
from cycada.cli.values import PATH
from cycada.core.console import make_plain_console


def report(
    what: Reported,
    results: Results = Path("results"),
    out: Annotated[
        Path | None,
        typer.Option(parser=PATH, help="The folder to write to, instead of results/reports/NAME."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="ROW", help="The row that all others are tested against.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the page.")] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write each figure as PDF, for a paper. This takes longer.")
    ] = False,
) -> None:
    """Write tables, tests and one HTML page from finished runs. The page is self-contained."""
    from cycada.report.report import report as make_report
    from cycada.sweeps.summary import describe_change

    written = make_report(what, results, out, against, title, pdf)
    table = Table(title=f"{written.results.heads[1]}, %, last step")
    for i, head in enumerate(written.results.heads[:5]):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in written.results.rows:
        table.add_row(*row[:5])
    make_plain_console().print(table)
    changes = [change for word in what if (change := describe_change(word, results))]
    for note in [*changes, *written.failures, *written.missing]:
        print(f"note: {note}", file=sys.stderr)
    print(f"Report: {written.folder / 'report.html'}")
