"""Try the full GTA5 -> Cityscapes recipes without their data: a few steps of every stage, at full size.

    python -m experiments.smoke_gta5 [--configs fcn8s drn26 resnet] [--steps 2] [--limit 24] [--folder FOLDER]

Drawn streets stand in, as files in the official layouts and sizes (1914 x 1052 with palette masks, 2048 x
1024 with labelIds). Each stage runs in a process of its own; time and peak of resident memory are written to
OUT/smoke_gta5.{md,json}. The scores mean nothing, so MLflow is left out. Exit code 1 where a stage needs more
than `limit` GB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.core import files
from cycada.data.streets.stand_ins import write_stand_ins
from cycada.speed.measure import describe_machine, measure_stages, measurements_as_markdown

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "configs" / "segmentation" / "gta5_cityscapes"
FRAMES = {"train": 2, "train_extra": 1, "val": 1}
"""Enough for every stage to run: on a CPU the scoring of whole frames takes longer than the steps."""
LEAD = (
    "Every stage of the full GTA5 -> Cityscapes recipes on drawn stand-ins of the official sizes. "
    "`{command}`, {hardware}."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every stage of the recipes and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted(file.stem for file in RECIPES.glob("*.yaml"))
    parser.add_argument("--configs", nargs="+", choices=names, default=["fcn8s", "drn26", "resnet"])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--limit", type=float, default=24.0, help="GB that a stage may take")
    parser.add_argument("--folder", type=Path, help="keep data, runs and rows here, and go on there")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the recipes'"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tables", help="for the table")
    parser.add_argument("--dry-run", action="store_true", help="print the stages, and train nothing")
    options = parser.parse_args(arguments)
    recipes = [RECIPES / f"{name}.yaml" for name in options.configs]
    if options.dry_run:
        for file in recipes:
            print(f"{file.stem}: {' '.join(cycada.load_config(file, options.set).stages)}")
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        write_stand_ins(folder / "data", frames=FRAMES)
        settings = [f"data.root={folder / 'data'}", "data.workers=0", "tracking.kind=none", *options.set]
        for file in recipes:
            for row in measure_stages(file, folder, options.steps, settings):
                print(row, flush=True)
                rows.append(row)
    command = (
        f"python -m experiments.smoke_gta5 --configs {' '.join(options.configs)} --steps {options.steps}"
    )
    hardware = describe_machine()
    content = {"command": command, "hardware": hardware, "rows": rows}
    files.write_json(files.prepare_folder(options.out) / "smoke_gta5.json", content)
    text = measurements_as_markdown(rows, LEAD.format(command=command, hardware=hardware))
    files.write_text(options.out / "smoke_gta5.md", text)
    print(text)
    sys.exit(any(row["peak_gb"] > options.limit for row in rows))


if __name__ == "__main__":
    run_command(main)
