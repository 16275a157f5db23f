"""Measure image pairs per second and FLOPs of training steps on random images.

    python -m experiments.throughput [CONFIG] [KEY=VALUE]... [--batch 64] [--seconds 8] [--json FILE]

Without CONFIG: a joint CyCADA step, and the step without each of its terms. Batch 64 at 3 x 32 x 32, ResNet
generators with 2 blocks of 64 channels, the six-convolution PatchGAN that fits 32 x 32, LeNet classifiers,
instance norm, LSGAN, Adam. With it: the step of each stage of this experiment. It runs on a GPU where there
is one. Rows that FILE holds from the same kind of machine are not measured again.

With --against the first step and another one are timed in turn, in fp32 or, with --bf16, in bf16. FUNCTION
gets the number of pairs and the precision, and returns a function that trains one step. With --processes,
torchrun starts so many processes at a time, of --threads threads each, that train the first step together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch

from cycada.cli.entry import run_command
from cycada.config.schema import load
from cycada.core.progress import Progress
from cycada.runs import throughput
from cycada.runs.arithmetic import matrix_rate
from cycada.tracking.open_tracker import NONE, open_tracker
from cycada.tracking.tracker import trackers
from cycada.train.device import Device

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
    """Measure what the options ask for, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="an experiment's YAML file, or the name of a recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings over the file's")
    parser.add_argument("--batch", type=int, default=64, help="of the step without CONFIG")
    parser.add_argument("--seconds", type=float, default=8, help="measured for each row")
    parser.add_argument("--compile", action="store_true", help="measure the first step compiled, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the rows here")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where the trackers write")
    parser.add_argument(
        "--tracking",
        nargs="+",
        choices=[*trackers, NONE],
        default=["mlflow"],
        help="where the rows are logged: one or several trackers; mlflow by default",
    )
    parser.add_argument("--against", metavar="MODULE:FUNCTION", help="another step to time in turn")
    parser.add_argument("--bf16", action="store_true", help="with --against or --processes")
    parser.add_argument("--processes", nargs="+", type=int, help="numbers of processes that train together")
    parser.add_argument("--threads", type=int, help="of a process; by default PyTorch's own choice")
    parser.add_argument("--dry-run", action="store_true", help="print the rows' names, and measure nothing")
    options = parser.parse_args(arguments)
    experiment = EXPERIMENT | {"defaults": {"batch": options.batch}}
    steps = throughput.drop_terms(experiment, DROPPED)
    if options.config:
        steps = throughput.each_stage(load(options.config, options.overrides))
    first = steps[0].changed(precision="bf16" if options.bf16 else "fp32")
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.dry_run:
        print("\n".join(step.name for step in steps))
    elif options.processes:
        same = ["--batch", str(options.batch), "--seconds", str(options.seconds), *["--bf16"] * options.bf16]
        threads = str(options.threads or 1)
        for count in options.processes:
            words = [*filter(None, [options.config]), *options.overrides, *same, "--threads", threads]
            start = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc-per-node={count}",
            ]
            subprocess.run([*start, "-m", "experiments.throughput", *words], check=True)
    elif "WORLD_SIZE" in os.environ:
        rate = throughput.pairs_per_second_of_all(first, options.seconds)
        if os.environ["RANK"] == "0":
            print(f"{Device.find('auto').describe()}: {rate:.1f} pairs/s", flush=True)
    elif options.against:
        row = throughput.compare(first, resolve_name(options.against), options.seconds)
        print(
            f"{row['pairs_per_second']:.1f} pairs/s against {row['other']:.1f}: {row['ratio']:.2f} times as "
            f"many (median of {row['turns']} turns, {row['lowest']:.2f} to {row['highest']:.2f})"
        )
    else:
        tracker = open_tracker(options.tracking, None, options.results, Progress().warn)
        print_rows(throughput.measure_rows(steps, options.seconds, options.compile, options.json, tracker))


def print_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print each row when it is measured, beside the rate at which the machine multiplies matrices."""
    device = Device.find("auto")
    fp32, bf16 = matrix_rate(device, "fp32"), matrix_rate(device, "bf16")
    print(f"{device.describe()}: matrices at {fp32:.1f} GFLOP/s in fp32, {bf16:.1f} in bf16")
    print(f"{'step':<12} {'precision':<14} {'GFLOP/pair':>10} {'pairs/s':>9} {'GFLOP/s':>9}")
    for row in rows:
        flops, rate = row["gflop_per_pair"], row["pairs_per_second"]
        line = f"{row['step']:<12} {row['precision']:<14} {flops:>10.2f} {rate:>9.1f} {flops * rate:>9.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
