"""The command `cycada quality`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.completion import run_ids
from cycada.cli.options import DataRootOfRuns, Json, Results
from cycada.core.console import make_plain_console


def quality(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            autocompletion=run_ids,
            help="Run folders of stages that translate, or their ids under results/runs.",
        ),
    ],
    scorer: Annotated[
        str | None,
        typer.Option(
            metavar="RUN[#ROLE]",
            autocompletion=run_ids,
            help="For the FCN score: a finished stage whose f_t was trained on the target's real photos "
            "(method target_only).",
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN[#ROLE]",
            autocompletion=run_ids,
            help="For FID, KID and the structure score: a file with Inception weights, or a finished stage "
            "with a classifier.",
        ),
    ] = None,
    results: Results = Path("results"),
    data_root: DataRootOfRuns = None,
    as_json: Json = False,
) -> None:
    """Measure the quality of translated images. FCN score, FID, KID and more are stored in quality.json."""
    from cycada.core.progress import Progress
    from cycada.image_quality.quality import quality as measure
    from cycada.image_quality.table import TITLES, as_plain, notes, quality_tables, row_names
    from cycada.report.record import Record
    from cycada.runs.reuse import find_run

    screen = Progress()
    folders = {(folder := find_run(run, results)).id: folder for run in runs}
    qualities = [
        measure(folder.path, scorer, extractor, data_root, results, screen) for folder in folders.values()
    ]
    settings = [Record(folder.path, results).settings() for folder in folders.values()]
    tables = quality_tables(zip(row_names(qualities, settings), qualities, strict=True))
    if as_json:
        print(json.dumps({"runs": qualities, "table": as_plain(tables)}))
        return
    for table in tables:
        shown = Table(title=TITLES[table.direction])
        # one column per run, because a terminal is too narrow for one row per run
        transposed = zip(table.heads, *map(table.cells, table.rows), strict=True)
        for i, head in enumerate(next(transposed)):
            shown.add_column("" if i == 0 else head, justify="left" if i == 0 else "right", overflow="fold")
        for cells in transposed:
            shown.add_row(*cells)
        make_plain_console().print(shown)
    for note in notes(qualities):
        print(note, file=sys.stderr)
