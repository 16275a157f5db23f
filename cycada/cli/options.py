"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.completion import config_files, settings
from cycada.cli.values import PATH

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        autocompletion=settings,
        help="Settings that replace those of the file, such as stages.pixel.steps=100.",
    ),
]
ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        parser=PATH,
        autocompletion=config_files,
        help="The YAML file of an experiment, or a shipped recipe by its name, such as demo.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every value that is reported, not the losses alone.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
Results = Annotated[Path, typer.Option(parser=PATH, help="The folder of all results.")]
DataRoot = Annotated[Path, typer.Option("--root", envvar="CYCADA_DATA", parser=PATH, help="The data root.")]
DataRootOfRuns = Annotated[
    Path | None, typer.Option("--data-root", parser=PATH, help="The data root, instead of the runs' own.")
]
Reported = Annotated[
    list[str],
    typer.Argument(
        metavar="WHAT...", help="Sweeps or experiments (by name or YAML file), or runs (by id or folder)."
    ),
]
