"""Compare CycleGAN with its rivals as in its paper: train a sweep and measure every row by one scorer.

    python -m experiments.translation configs/sweeps/facades.yaml --scorer scorer --set data.root=DATA
    python -m experiments.translation configs/sweeps/facades.yaml --scorer scorer --extractor inception_v3.pth

The scorer of the FCN score is a stage of the sweep's own experiment (`scorer: {method: target_only, ...}`),
trained once, with the first seed. Without --extractor its features are those of FID and KID, too. What is
finished or measured is read. Runs are mirrored into MLflow, measurements with them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.core.progress import Progress
from cycada.image_quality.files import command_without_places, write_quality_tables
from cycada.sweeps.dry_run import print_plan
from cycada.sweeps.plan import one_stage, plan_sweep
from cycada.sweeps.variants import slug

TABLES = Path(__file__).parents[1] / "results" / "tables"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the scorer and the sweep, measure every finished row, and write OUT/NAME.md, .csv and .json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="a sweep's YAML file")
    parser.add_argument("--scorer", required=True, metavar="STAGE", help="the experiment's stage that scores")
    parser.add_argument("--extractor", metavar="FILE|RUN", help="for FID and KID, instead of the scorer")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="instead of the sweep's")
    parser.add_argument("--jobs", type=int, default=1, help="stages to train at once")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the files'")
    parser.add_argument("--out", type=Path, default=TABLES, help="the folder for the tables")
    parser.add_argument("--dry-run", action="store_true", help="print the rows, and train nothing")
    options = parser.parse_args(arguments)
    screen, seed = Progress(), options.seeds[0] if options.seeds else None
    scorer_config = one_stage(options.sweep, options.scorer, options.set, seed)
    if options.dry_run:
        print_plan(plan_sweep(options.sweep, options.set, options.seeds), options.jobs, as_json=False)
        return
    scorer = cycada.run(scorer_config, screen).stages[-1].folder
    content = cycada.sweep(options.sweep, options.set, options.seeds, options.jobs, screen=screen)
    results, entries = scorer_config.results, []
    for cell in content["cells"]:
        row = f"{cell['variant']}, seed {cell['seed']}"
        if cell["status"] != "done":
            screen.warn(f"{row} is not in the table: {cell['error'] or 'it was not run'}")
            continue
        screen.info(f"measuring {row}")
        run = results / "runs" / cell["stages"][-1]["id"]
        measured = cycada.quality(run, scorer, options.extractor or scorer, results=results, screen=screen)
        entries.append((cell["variant"], measured))
    if not entries:
        raise cycada.CycadaError(f"{options.sweep}: no row is finished, so there is nothing to measure.")
    words = sys.argv[1:] if arguments is None else arguments
    command = command_without_places(["python", "-m", "experiments.translation", *words])
    table = write_quality_tables(options.out, slug(content["name"]), entries, command, results)
    print(table.read_text())


if __name__ == "__main__":
    run_command(main)
