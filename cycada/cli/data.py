"""The commands `cycada data list` and `cycada data check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.options import DataRoot, SettingsCommand
from cycada.cli.values import COUNT, PATH
from cycada.core.console import make_plain_console
from cycada.core.errors import CycadaError

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@data_app.command("list")
def data_list(root: DataRoot = Path("data")) -> None:
    """List all domains, the files that each expects under the data root, and which of these exist."""
    from cycada.data.inspect import list_domains

    table = Table(title=f"Data under {root.resolve()}")
    for column in ("domain", "labels", "files expected", "found"):
        table.add_column(column, overflow="fold")
    for row in list_domains(root):
        table.add_row(*row)
    make_plain_console().print(table)


@data_app.command("check", cls=SettingsCommand)
def data_check(
    what: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|DOMAIN",
            help="The YAML file of an experiment, or the name of a domain with masks, such as camvid.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings that replace those of the file, or options of the domain, such as drive=dusk.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", parser=PATH, help="The data root, instead of the config's and of CYCADA_DATA."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="The split of a domain: train, test, or another one that it has.", show_default="train"
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(parser=COUNT, help="How many pairs to read, evenly spread over each split.")
    ] = 200,
    sheet: Annotated[
        Path | None,
        typer.Option(
            parser=PATH,
            help="Where to write a picture of a few pairs. For a config it goes into its results by default.",
        ),
    ] = None,
) -> None:
    """Check a sample of the data, and print how common each class is."""
    from cycada.cli.data_check import check_named, print_checked
    from cycada.data.inspect import SHEET
    from cycada.style.pictures import check_out

    if sheet:
        check_out(sheet, SHEET)
    checked, default_sheet = check_named(what, settings or (), root, split, samples)
    print_checked(checked)
    path = sheet or default_sheet
    if path and checked.draw(path):
        print(f"Contact sheet: {path}")
    if faults := checked.faults:
        raise CycadaError("\n".join([f"{len(faults)} bad pairs or parts.", *(f"  {f}" for f in faults[:10])]))
