"""SVHN -> MNIST, as in the CyCADA paper's table 2: train a recipe over seeds, and report on it.

    python -m experiments.svhn_mnist quick --set data.root=DATA
    python -m experiments.svhn_mnist full --seeds 0 1 2 --set data.root=DATA

`full` is the paper's recipe, `release` that of the released code, `quick` a short one for a CPU. What is
finished is not trained again. Runs are mirrored into MLflow; the report is
RESULTS/reports/digits/svhn_mnist/RECIPE.
"""

from __future__ import annotations

from collections.abc import Sequence

from cycada.cli.entry import run_command
from experiments._recipes import run_recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the recipe over seeds and write the report."""
    run_recipe(__doc__, "digits/svhn_mnist", [0, 1, 2], arguments)


if __name__ == "__main__":
    run_command(main)
