"""The command `cycada record`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.options import Reported, Results
from cycada.cli.values import PATH
from cycada.core.console import make_plain_console


def record(
    what: Reported,
    results: Results = Path("results"),
    to: Annotated[
        Path | None,
        typer.Option("--to", parser=PATH, help="The folder of records, instead of results/records."),
    ] = None,
) -> None:
    """Save what a report needs from finished runs as small records, which can be committed."""
    from cycada.runs.records import record as write_records
    from cycada.runs.records import size_of

    records = write_records(what, results, to)
    table = Table(title=f"Records in {records.folder}")
    for column in ("run", "stage", "", "kB"):
        table.add_column(column, justify="right" if column == "kB" else "left")
    for word, folders in (("written", records.written), ("there", records.kept)):
        for folder in folders:
            stage = folder.read_json("manifest.json")["stage"]
            table.add_row(folder.id, stage, word, f"{size_of(folder) / 1000:.1f}")
    make_plain_console().print(table)
    for line in records.left_out:
        print(f"note: {line}", file=sys.stderr)
    print(
        f"{len(records.written)} records written, {len(records.kept)} were there: {records.bytes / 1000:.0f} "
        f"kB. Next: cycada report {' '.join(what)} --results {records.folder}"
    )
