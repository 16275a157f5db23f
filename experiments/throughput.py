"""Measure image pairs per second and FLOPs of training steps on random images.

    python -m experiments.throughput [CONFIG] [KEY=VALUE]... [--batch 64] [--seconds 8] [--json FILE]

Without CONFIG: a joint CyCADA step, and the step without each of its terms. Batch 64 at 3 x 32 x 32, ResNet
generators with 2 blocks of 64 channels, the six-convolution PatchGAN that fits 32 x 32, LeNet classifiers,
instance norm, LSGAN, Adam. With it: the step of each stage of this experiment. It runs on a GPU where there
is one. Rows that FILE holds from the same kind of machine are not measured again.

With --against the first step and another one are timed in turn, in fp32 or, with --bf16, in bf16. FUNCTION
gets the number of pairs and the precision, and returns a function that trains one step.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name

import torch

from cycada.cli.entry import run_command
from cycada.core.progress import Progress
from cycada.speed.arithmetic import matrix_rate
from cycada.speed.throughput import compare, measure_rows
from cycada.tracking.open_tracker import NONE, open_tracker
from cycada.tracking.tracker import trackers
from cycada.train.device import Device
from experiments._joint_step import steps_of


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
    names = [*trackers, NONE]
    parser.add_argument("--tracking", nargs="+", choices=names, default=["mlflow"], help="where rows go")
    parser.add_argument("--against", metavar="MODULE:FUNCTION", help="another step to time in turn")
    parser.add_argument("--bf16", action="store_true", help="with --against")
    parser.add_argument("--threads", type=int, help="by default PyTorch's own choice")
    parser.add_argument("--dry-run", action="store_true", help="print the rows' names, and measure nothing")
    options = parser.parse_args(arguments)
    steps = steps_of(options.config, options.overrides, options.batch)
    if options.dry_run:
        print("\n".join(step.name for step in steps))
        return
    torch.set_num_threads(options.threads or torch.get_num_threads())
    if options.against:
        first = steps[0].changed(precision="bf16" if options.bf16 else "fp32")
        row = compare(first, resolve_name(options.against), options.seconds)
        print(
            f"{row['pairs_per_second']:.1f} pairs/s against {row['other']:.1f}: {row['ratio']:.2f} times as "
            f"many (median of {row['turns']} turns, {row['lowest']:.2f} to {row['highest']:.2f})"
        )
        return
    device, tracker = (
        Device.find("auto"),
        open_tracker(options.tracking, None, options.results, Progress().warn),
    )
    fp32, bf16 = matrix_rate(device, "fp32"), matrix_rate(device, "bf16")
    print(f"{device.describe()}: matrices at {fp32:.1f} GFLOP/s in fp32, {bf16:.1f} in bf16")
    print(f"{'step':<12} {'precision':<14} {'GFLOP/pair':>10} {'pairs/s':>9} {'GFLOP/s':>9}")
    for row in measure_rows(steps, options.seconds, options.compile, options.json, tracker):
        flops, rate = row["gflop_per_pair"], row["pairs_per_second"]
        line = f"{row['step']:<12} {row['precision']:<14} {flops:>10.2f} {rate:>9.1f} {flops * rate:>9.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
