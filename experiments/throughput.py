"""Measure image pairs per second and FLOPs of a joint CyCADA step, and of the step without each of its terms.

    python -m experiments.throughput [--batch 64] [--seconds 8] [--json FILE]

The step: batch 64 at 3 x 32 x 32, ResNet generators with 2 blocks of 64 channels, the six-convolution
PatchGAN that fits 32 x 32, LeNet classifiers, instance norm, LSGAN, Adam. It runs on a GPU where there is
one. Rows that FILE holds from the same kind of machine are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cycada.cli.entry import run_command
from cycada.core.progress import Progress
from cycada.runs.throughput import measure_rows
from cycada.tracking.open_tracker import NONE, open_tracker
from cycada.tracking.tracker import trackers

DROPPED: dict[str, tuple[str, ...]] = {
    "all terms": (),
    "- gan": ("gan_t", "gan_s"),
    "- cycle": ("cycle_s", "cycle_t"),
    "- semantic": ("semantic_t", "semantic_s"),
    "- task": ("task_translated",),
    "- feature": ("feature_gan",),
}
EXPERIMENT = {
    "name": "throughput",
    "data": {"source": "svhn", "target": "svhn", "size": 32, "channels": 3},
    "networks": {
        "f": "lenet",
        "g": {"name": "resnet", "channels": 64, "blocks": 2},
        "d": {"name": "patchgan", "channels": 64, "layers": 4, "strided": 3},
        "d_feat": "mlp",
    },
    "stages": {
        "source": {"method": "source_only", "steps": 1},
        "joint": {"method": "cycada", "steps": 10**6, "init": {"f_s": "source.f_t"}},
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every row, print it, and keep it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8, help="measured for each row")
    parser.add_argument("--compile", action="store_true", help="measure all terms with torch.compile, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the rows here")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the trackers write")
    parser.add_argument(
        "--tracking",
        nargs="+",
        choices=[*trackers, NONE],
        default=["mlflow"],
        help="where the rows are logged: one or several trackers; mlflow by default",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the rows' names, and measure nothing")
    options = parser.parse_args(arguments)
    if options.dry_run:
        print("\n".join(DROPPED))
        return
    experiment = EXPERIMENT | {"defaults": {"batch": options.batch}}
    tracker = open_tracker(options.tracking, None, options.results, Progress().warn)
    rows = measure_rows(experiment, DROPPED, options.seconds, options.compile, options.json, tracker)
    print(f"{'step':<12} {'precision':<14} {'GFLOP/pair':>10} {'pairs/s':>9} {'GFLOP/s':>9}")
    for row in rows:
        flops, rate = row["gflop_per_pair"], row["pairs_per_second"]
        line = f"{row['step']:<12} {row['precision']:<14} {flops:>10.2f} {rate:>9.1f} {flops * rate:>9.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
