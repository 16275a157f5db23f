"""Command line of the runners that train one of a folder's recipes over seeds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cycada

CONFIGS = Path(__file__).parents[1] / "configs"


def run_recipe(
    description: str | None, folder: str, seeds: Sequence[int], arguments: Sequence[str] | None
) -> None:
    """Train the recipe that the command line names over seeds, and write the report.

    Args:
        description: What `--help` begins with, the runner's docstring.
        folder: The recipes' folder in `configs`, such as `digits/svhn_mnist`.
        seeds: The seeds where the command line gives none.
        arguments: Words of the command line; None takes those of the process.
    """
    recipes = CONFIGS / folder
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(file.stem for file in recipes.glob("*.yaml")))
    parser.add_argument("--seeds", nargs="+", type=int, default=seeds)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the recipe's"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the stages, and train nothing")
    options = parser.parse_args(arguments)
    file = recipes / f"{options.recipe}.yaml"
    config = cycada.load_config(file, options.set)
    if options.dry_run:
        for plan in cycada.check(config):
            print(f"{plan.name}: {plan.stage.method}, {plan.stage.steps} x {plan.stage.batch}")
        return
    cycada.run_seeds(file, options.set, options.seeds)
    print(f"Report: {cycada.report_on([str(file)], config.results).folder / 'report.html'}")
