"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typing_extensions import override

from cycada.cli.completion import config_files, settings
from cycada.cli.values import PATH
from cycada.core.errors import CycadaError
from cycada.core.sources import import_plugin, look_for_modules_in


class SettingsCommand(TyperCommand):
    """A command that takes settings as KEY=VALUE, and says so where one is given as an option."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        options = (word.partition("=")[0] for word in args if word.startswith("--"))
        unknown = next((option for option in options if option not in known and option != "--"), None)
        if unknown and not ctx.resilient_parsing:  # as shells do for completion
            raise CycadaError(
                f"{self.name}: there is no option {unknown}. Settings are given without dashes, as "
                f"KEY=VALUE, such as seed=3 or stages.pixel.steps=100; `{ctx.command_path} --help` shows the "
                "options."
            )
        return super().parse_args(ctx, args)


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
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE",
        help="A plug-in that an exported network needs. May be repeated. A run imports its own.",
    ),
]
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


def import_plugins(modules: Iterable[str]) -> None:
    """Import the plug-ins that a command names, from the working directory or PYTHONPATH.

    Raises:
        CycadaError: A module cannot be imported.
    """
    look_for_modules_in(Path())
    for module in modules:
        import_plugin(module, "--plugin")
