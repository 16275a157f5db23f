"""Ablate the loss terms of any experiment, over seeds, and test each change against the experiment.

    python -m experiments.ablation configs/demo.yaml --stage pixel --drop cycle semantic gan --seeds 0 1 2
    python -m experiments.ablation configs/demo.yaml --stage pixel --add identity=0.5 semantic_s=1 --only gan

The sweep is written as RESULTS/sweeps/NAME.yaml, which `cycada sweep` and `cycada report` read as well. What
rows share is trained once, and what is finished is not trained again. Runs are mirrored into MLflow.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.core.progress import Progress
from cycada.core.registry import typed
from cycada.sweeps.dry_run import print_plan
from cycada.sweeps.plan import plan_sweep


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sweep, train it, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="an experiment's YAML file")
    parser.add_argument("--stage", required=True, help="the stage whose terms change")
    parser.add_argument("--drop", nargs="+", default=[], metavar="TERM", help="leave out, one a row")
    parser.add_argument("--add", nargs="+", default=[], metavar="TERM=WEIGHT", help="add, one a row")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TERM", help="train with it alone, one a row"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="stages to train at once")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the file's")
    parser.add_argument("--dry-run", action="store_true", help="print the rows, and train nothing")
    options = parser.parse_args(arguments)
    pairs = [word.partition("=") for word in options.add]
    added = {term: typed(weight, float, f"--add {term}") for term, _, weight in pairs}
    sweep = cycada.compose_ablation(options.config, options.stage, options.drop, added, options.only)
    results = cycada.load_config(options.config, options.set).results
    file = cycada.save_sweep(sweep, results / "sweeps")
    if options.dry_run:
        print_plan(plan_sweep(file, options.set, options.seeds), options.jobs, as_json=False)
        return
    cycada.sweep(file, options.set, options.seeds, options.jobs, screen=Progress())
    print(f"Report: {cycada.report_on([str(file)], results).folder / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
