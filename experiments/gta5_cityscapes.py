"""GTA5 -> Cityscapes, as in the CyCADA paper: train a recipe over seeds, and report on it.

    python -m experiments.gta5_cityscapes fcn8s --set data.root=DATA
    python -m experiments.gta5_cityscapes drn26 --seeds 0 1 2 --set data.root=DATA

`fcn8s` and `drn26` are the paper's recipes, `*_release` those of the released code. What is finished is not
trained again. Runs are mirrored into MLflow; the report is
RESULTS/reports/segmentation/gta5_cityscapes/RECIPE.
"""

from __future__ import annotations

from collections.abc import Sequence

from cycada.cli.entry import run_command
from experiments._recipes import run_recipe


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the recipe over seeds and write the report."""
    run_recipe(__doc__, "segmentation/gta5_cityscapes", [0], arguments)


if __name__ == "__main__":
    run_command(main)
