"""Compare any experiment with other methods over seeds: those that are named, or all that fit.

    python -m experiments.baselines configs/demo.yaml --seeds 0 1 2
    python -m experiments.baselines configs/digits/mnist_usps/quick.yaml --methods dann --set data.root=D

A method for which the experiment has a stage is trained with that stage's settings. The others start from its
source-only stage, train the task network as long as the experiment's whole chain does, and take everything
else from their own defaults; a source-only row of that length stands beside them. The sweep is written as
RESULTS/sweeps/NAME.yaml. What is finished is not trained again. Runs are mirrored into MLflow.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.core.progress import Progress
from cycada.sweeps.dry_run import print_plan
from cycada.sweeps.plan import plan_sweep


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sweep, train it, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="an experiment's YAML file with a source-only stage")
    parser.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help="of `cycada list methods`")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="stages to train at once")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the file's")
    parser.add_argument("--dry-run", action="store_true", help="print the rows, and train nothing")
    options = parser.parse_args(arguments)
    screen = Progress()
    sweep, left_out = cycada.compose_baselines(options.config, options.methods, options.set)
    for method, reason in left_out.items():
        screen.info(f"{method} is left out: {reason}")
    results = cycada.load_config(options.config, options.set).results
    file = cycada.save_sweep(sweep, results / "sweeps")
    if options.dry_run:
        print_plan(plan_sweep(file, options.set, options.seeds), options.jobs, as_json=False)
        return
    cycada.sweep(file, options.set, options.seeds, options.jobs, screen=screen)
    print(f"Report: {cycada.report_on([str(file)], results).folder / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
