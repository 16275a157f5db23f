"""Images per second and FLOPs per image pair of one full joint CyCADA step, and of the step without each of its terms.

    python -m experiments.throughput [--batch 64] [--seconds 8] [--json FILE]

The step: batch 64 at 3 x 32 x 32, ResNet generators with 2 blocks of 64 channels, the six-convolution PatchGAN that fits
32 x 32, LeNet classifiers, instance norm, LSGAN, Adam. On the CPU or on a GPU, whichever is there. Rows that FILE holds from
the same machine are not measured again. With --track the rows go to MLflow, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.runs.throughput import measure_rows

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
    parser.add_argument("--track", action="store_true", help="log the rows to MLflow under ./results")
    parser.add_argument("--dry-run", action="store_true", help="print the rows' names, and measure nothing")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="over the step's settings")
    options = parser.parse_args(arguments)
    if options.dry_run:
        print("\n".join(DROPPED))
        return
    settings = [f"stages.{name}.batch={options.batch}" for name in ("source", "joint")]
    config = cycada.parse(EXPERIMENT, assignments=[*settings, *options.set])
    rows = measure_rows(config, DROPPED, options.seconds, options.compile, options.json, options.track)
    print(f"{'step':<12} {'precision':<14} {'GFLOP/pair':>10} {'pairs/s':>9} {'GFLOP/s':>9}")
    for row in rows:
        flops, rate = row["gflop_per_pair"], row["pairs_per_second"]
        line = f"{row['step']:<12} {row['precision']:<14} {flops:>10.2f} {rate:>9.1f} {flops * rate:>9.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
