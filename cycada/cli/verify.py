"""The command `cycada verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.completion import run_ids
from cycada.cli.options import DataRootOfRuns, Json, Results
from cycada.core.console import make_plain_console
from cycada.core.errors import CycadaError


def verify(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            autocompletion=run_ids,
            help="Run folders of finished stages, or their ids under results/runs.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Verify all finished stages under results/runs.")
    ] = False,
    score: Annotated[
        bool, typer.Option(help="Score the weights again, too; --no-score only reads the files.")
    ] = True,
    results: Results = Path("results"),
    data_root: DataRootOfRuns = None,
    as_json: Json = False,
) -> None:
    """Score stored runs again and compare with what is stored. The exit code is 2 if anything differs."""
    from cycada.runs.verify import complaint, every_run
    from cycada.runs.verify import verify as verify_run

    names: list[str | Path] = [*(runs or ()), *(every_run(results) if every else ())]
    if not names:
        found = f"no finished stage under {results / 'runs'}" if every else "no run"
        raise CycadaError(
            f"verify: found {found}, expected the names of runs, or --all where there are finished stages."
        )
    verdicts = [verify_run(name, results, data_root, score) for name in names]
    if as_json:
        print(json.dumps({"sound": all(v.sound for v in verdicts), "runs": [v.as_dict() for v in verdicts]}))
    else:
        words = {True: "right", False: "WRONG", None: "not checked"}
        table = Table(title="Stored runs, read again" + (" and scored again" if score else ""))
        for column in ("run", "stage", "check", "result", "details"):
            table.add_column(column, overflow="fold")
        for v in verdicts:
            for i, (what, right, seen) in enumerate(v.checks):
                table.add_row(*((v.run, v.stage) if i == 0 else ("", "")), what, words[right], seen)
        make_plain_console().print(table)
    if message := complaint(verdicts):
        raise CycadaError(message)
