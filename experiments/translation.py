"""A table of translations: train a sweep's cells, measure each with one scorer, and write results/tables/NAME.{md,json,csv}.

    python -m experiments.translation configs/sweeps/facades.yaml --scorer scorer --set data.root=DATA
    python -m experiments.translation configs/sweeps/facades.yaml --scorer scorer --extractor inception_v3.pth --seeds 0 1 2

The scorer is a stage of the sweep's own experiment (`scorer: {method: target_only, ...}`), trained once, with the first seed: one
ruler for all rows. Without --extractor its features are FID's and KID's. What is finished or measured already is read.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.image_quality.quality import quality
from cycada.image_quality.table import as_csv, as_plain, markdown, notes, quality_tables
from cycada.runs.run import run
from cycada.storage.store import RunFolder
from cycada.sweeps.launchers import launcher
from cycada.sweeps.plan import one_stage, plan_sweep, slug
from cycada.sweeps.sweep import run_sweep

ROOT = Path(__file__).parents[1]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path)
    parser.add_argument(
        "--scorer", required=True, metavar="STAGE", help="the stage of the sweep's experiment that scores"
    )
    parser.add_argument(
        "--extractor",
        metavar="FILE|RUN",
        help="an Inception file or a run, instead of the scorer's own features",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[], help="instead of the sweep's")
    parser.add_argument("--jobs", type=int, default=1, help="stages to train at once")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings over the files', such as data.root=DATA",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tables")
    a = parser.parse_args(words)
    screen = Progress()
    ruler = (
        run(one_stage(a.sweep, a.scorer, a.set, a.seeds[0] if a.seeds else None), screen).stages[-1].folder
    )
    planned = plan_sweep(a.sweep, a.set, a.seeds)
    content = run_sweep(
        planned, launcher(None, a.jobs, planned.results / "sweeps" / "logs", planned.sweep.cluster), screen
    )
    entries = []
    for cell in content["cells"]:
        if cell["status"] != "done":
            screen.warn(
                f"{cell['variant']}, seed {cell['seed']} is not in the table: {cell['error'] or 'not run'}"
            )
            continue
        screen.info(f"measuring {cell['variant']}, seed {cell['seed']}")
        folder = planned.results / "runs" / cell["stages"][-1]["id"]
        entries.append(
            (
                cell["variant"],
                quality(folder, ruler, a.extractor or ruler, results=planned.results, screen=screen),
            )
        )
    if not entries:
        raise CycadaError(f"{a.sweep}: no cell is finished, so there is nothing to measure.")
    tables, found = quality_tables(entries), [entry for _, entry in entries]
    command = _command(a)
    remarks = [
        f"`{command}`, last step, on all test pictures.",
        *_hardware(planned.results, found),
        *notes(found),
    ]
    a.out.mkdir(parents=True, exist_ok=True)
    name = slug(planned.sweep.name)
    (a.out / f"{name}.md").write_text(markdown(tables, remarks))
    (a.out / f"{name}.csv").write_text(as_csv(tables))
    whole = {"command": command, "rows": as_plain(tables), "notes": remarks, "runs": found}
    (a.out / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    print((a.out / f"{name}.md").read_text())


def _command(a: argparse.Namespace) -> str:
    """What gives the same table elsewhere: without the places of this machine."""
    extractor = ["--extractor", Path(a.extractor).name] if a.extractor else []
    seeds = ["--seeds", *map(str, a.seeds)] if a.seeds else []
    settings = [word for word in a.set if not word.startswith(("data.root=", "results="))]
    file = a.sweep.resolve()
    file = file.relative_to(ROOT) if file.is_relative_to(ROOT) else Path(file.name)
    more = ["--set", *settings] if settings else []
    return shlex.join(
        [
            "python",
            "-m",
            "experiments.translation",
            str(file),
            "--scorer",
            a.scorer,
            *extractor,
            *seeds,
            *more,
        ]
    )


def _hardware(results: Path, found: list[dict[str, Any]]) -> list[str]:
    manifests = [RunFolder(results / "runs" / entry["id"]).read_json("manifest.json") for entry in found]
    where = "; ".join(sorted({m["device"] for m in manifests}))
    steps = ", ".join(dict.fromkeys(f"{m['method']} {m['steps']} x {m['batch']}" for m in manifests))
    return [f"Steps x batch: {steps}. Trained on {where}."]


if __name__ == "__main__":
    try:
        main()
    except CycadaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
