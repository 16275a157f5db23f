"""The command `cycada quality`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cycada.cli.values import PATH


def quality(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Run folders of stages that translate, or their ids under results/runs."
        ),
    ],
    scorer: Annotated[
        str | None,
        typer.Option(
            metavar="RUN[#ROLE]",
            help="For the FCN score: a finished stage whose f_t knows the target's real photos (target_only).",
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN[#ROLE]",
            help="For FID, KID, structure: an Inception file, or a finished stage's classifier.",
        ),
    ] = None,
    results: Annotated[Path, typer.Option(parser=PATH, help="Where runs are.")] = Path("results"),
    data_root: Annotated[
        Path | None, typer.Option(parser=PATH, help="The data root, over the runs' own.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last thing on stdout.")
    ] = False,
) -> None:
    """Measure translations: FCN score, labels from photos, FID, KID, diversity, structure. Kept in the runs' quality.json."""
    from cycada.core.progress import Progress
    from cycada.image_quality.quality import quality as measure
    from cycada.image_quality.table import TITLES, as_plain, notes, quality_tables, row_names

    screen = Progress()
    found = [measure(run, scorer, extractor, data_root, results, screen) for run in runs]
    tables = quality_tables(zip(row_names(found), found, strict=True))
    if as_json:
        print(json.dumps({"runs": found, "table": as_plain(tables)}))
        return
    for table in tables:
        shown = Table(title=TITLES[table.direction])
        turned = zip(
            table.heads, *map(table.cells, table.rows), strict=True
        )  # a terminal is too narrow for a row a run
        for i, head in enumerate(next(turned)):
            shown.add_column("" if i == 0 else head, justify="left" if i == 0 else "right", overflow="fold")
        for cells in turned:
            shown.add_row(*cells)
        Console(highlight=False).print(shown)
    for note in notes(found):
        print(note, file=sys.stderr)
