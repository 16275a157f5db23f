"""The command `cycada sweep`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cycada import __version__
from cycada.cli.completion import config_files
from cycada.cli.options import Json, Overrides, Quiet
from cycada.cli.values import JOBS, PATH
from cycada.core.errors import CycadaError
from cycada.core.progress import Progress


def sweep(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP",
            parser=PATH,
            autocompletion=config_files,
            help="The YAML file of a sweep, or a shipped one by its name, such as sweeps/demo_methods.",
        ),
    ],
    overrides: Overrides = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds that replace those of the file, such as 0,1,2.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=JOBS,
            help="How many stages to train at once: by default 1, on a cluster 16. On one machine they "
            "share the threads equally.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Train on a cluster: slurm, or local for the same code on this machine. "
            "Needs cycada[cluster]."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained and how long it would take.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train variants of an experiment over several seeds. A stage that they share is trained only once."""
    screen = Progress(quiet=quiet)
    screen.info(f"cycada {__version__}: {file}")  # before PyTorch is imported, which takes seconds

    from cycada.cli.tracked_run import sweep as run_sweep
    from cycada.sweeps.dry_run import print_plan
    from cycada.sweeps.idle import find_idle
    from cycada.sweeps.plan import plan_sweep

    if dry_run:
        planned = plan_sweep(file, overrides or (), _numbers(seeds))
        for warning in find_idle(planned):
            screen.warn(f"{file}: {warning}")
        print_plan(planned, jobs or (16 if cluster else 1), as_json)
        return
    content = run_sweep(file, overrides or (), _numbers(seeds), jobs, cluster, screen)
    failed = [c for c in content["cells"] if c["status"] != "done"]
    if as_json:
        print(json.dumps(content))
    else:
        done = len(content["cells"]) - len(failed)
        print(f"{done} of {len(content['cells'])} cells are done. Next: cycada report {file}")
    if failed:
        lines = [
            f"  {c['variant']}, seed {c['seed']}: {c['error'] or 'needs a stage that failed'}" for c in failed
        ]
        raise CycadaError(
            "\n".join(
                [f"{len(failed)} of {len(content['cells'])} cells failed; all others are done.", *lines]
            )
        )


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise CycadaError(
            f"--seeds: found '{text}', expected whole numbers with commas between, such as 0,1,2."
        ) from None
