"""SVHN -> MNIST, as in the CyCADA paper's table 2: train a recipe over seeds, and report on it.

    python -m experiments.svhn_mnist quick --set data.root=DATA
    python -m experiments.svhn_mnist full --seeds 0 1 2 --set data.root=DATA

`full` is the paper's recipe, `release` that of the released code, `quick` a short one for a CPU. What is
finished is not trained again. Runs are mirrored into MLflow; the report is
RESULTS/reports/digits/svhn_mnist/RECIPE.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.runs.seeds import run_seeds

RECIPES = Path(__file__).parents[1] / "configs" / "digits" / "svhn_mnist"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the recipe over seeds and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(file.stem for file in RECIPES.glob("*.yaml")))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the recipe's"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the stages, and train nothing")
    options = parser.parse_args(arguments)
    file = RECIPES / f"{options.recipe}.yaml"
    config = cycada.load(file, options.set)
    if options.dry_run:
        for stage in cycada.check(config):
            print(f"{stage.name}: {stage.stage.method}, {stage.stage.steps} x {stage.stage.batch}")
        return
    run_seeds(file, options.set, options.seeds)
    print(f"Report: {cycada.report_on([str(file)], config.results).folder / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
