"""The command `cycada init`, which writes a config file from a shipped recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.completion import recipe_names
from cycada.cli.values import PATH
from cycada.config.recipes import find_config, recipes
from cycada.core.errors import CycadaError
from cycada.core.files import prepare_folder, write_text


def init(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", parser=PATH, help="The file to write, which must not exist yet."),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            "--from", metavar="RECIPE", autocompletion=recipe_names, help="The recipe to start from."
        ),
    ] = "own_images",
) -> None:
    """Copy a shipped recipe to a config of your own. `cycada list recipes` shows all recipes."""
    name = write_from_recipe(out, recipe)
    kind = "sweep" if name.startswith("sweeps/") else "run"
    print(f"{out} is a copy of {name}. Next: edit it, `cycada check {out}`, `cycada {kind} {out}`.")


def write_from_recipe(out: Path, recipe: str) -> str:
    """Write a copy of a shipped recipe that works in any folder, and return the recipe's whole name.

    Files that the recipe uses are named as recipes in the copy.

    Args:
        out: The file to write.
        recipe: The name of the recipe.

    Raises:
        CycadaError: The file exists already, or there is no such recipe.
    """
    if out.exists() or out.is_symlink():
        raise CycadaError(f"init: {out} exists already. Give another name, or delete it first.")
    names = {file.resolve(): name for name, file in recipes().items()}
    file = find_config(recipe).resolve()
    if file not in names:
        raise CycadaError(
            f"init --from: {recipe} is a file here, expected a shipped recipe. `cycada list "
            "recipes` shows them."
        )

    def as_recipe(match: re.Match[str]) -> str:
        return names.get((file.parent / match[0]).resolve(), match[0])

    lines = [
        re.sub(r"[\w./-]+\.yaml", as_recipe, line) if re.match(r"[^#]*\b(uses|experiment):", line) else line
        for line in file.read_text(encoding="utf-8").splitlines()
        if not line.startswith("# yaml-language-server:")
    ]
    prepare_folder(out.parent)
    write_text(out, "\n".join([*lines, ""]))
    return names[file]
