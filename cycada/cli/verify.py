"""The command `cycada verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cycada.cli.values import PATH
from cycada.core.errors import CycadaError


def verify(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Run folders of finished stages, or their ids under results/runs."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All finished stages under results/runs.")] = False,
    score: Annotated[
        bool, typer.Option(help="Score the weights again, too; --no-score reads files alone.")
    ] = True,
    results: Annotated[Path, typer.Option(parser=PATH, help="Where runs are.")] = Path("results"),
    data_root: Annotated[
        Path | None, typer.Option(parser=PATH, help="The data root, over the runs' own.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last thing on stdout.")
    ] = False,
) -> None:
    """Read stored runs again, score their weights again, and compare with what is stored. Exit code 2 where something differs."""
    from cycada.runs.verify import complaint, every_run
    from cycada.runs.verify import verify as verify_run

    names: list[str | Path] = [*(runs or ()), *(every_run(results) if every else ())]
    if not names:
        expected = f"no finished stage under {results / 'runs'}" if every else "none"
        raise CycadaError(
            f"verify: found {expected}, expected the names of runs, or --all where there are some."
        )
    found = [verify_run(name, results, data_root, score) for name in names]
    if as_json:
        print(json.dumps({"sound": all(f.sound for f in found), "runs": [f.as_dict() for f in found]}))
    else:
        words = {True: "right", False: "WRONG", None: "not checked"}
        table = Table(title="Stored runs, read again" + (" and scored again" if score else ""))
        for column in ("run", "stage", "what", "", "seen"):
            table.add_column(column, overflow="fold")
        for f in found:
            for i, (what, right, seen) in enumerate(f.checks):
                table.add_row(*((f.run, f.stage) if i == 0 else ("", "")), what, words[right], escape(seen))
        Console(highlight=False).print(table)
    if said := complaint(found):
        raise CycadaError(said)
