"""Measure image pairs per second of a training step in several processes that train together.

    python -m experiments.scaling [CONFIG] [KEY=VALUE]... --processes 1 2 4 [--threads 1] [--bf16]

torchrun starts so many processes at a time, of --threads threads each, on random images. The step is that of
CONFIG's first stage, or without CONFIG the joint CyCADA step of `experiments.throughput`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

import torch

from cycada.cli.entry import run_command
from cycada.speed.throughput import pairs_per_second_of_all
from cycada.train.device import Device
from experiments._joint_step import steps_of

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the processes, or measure in one of them, and print the rate of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="an experiment's YAML file, or the name of a recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings over the file's")
    parser.add_argument("--batch", type=int, default=64, help="of one process, without CONFIG")
    parser.add_argument("--seconds", type=float, default=8, help="measured for each number of processes")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="numbers of processes")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--bf16", action="store_true", help="in bf16 instead of fp32")
    options = parser.parse_args(arguments)
    step = steps_of(options.config, options.overrides, options.batch)[0]
    if "WORLD_SIZE" not in os.environ:
        words = sys.argv[1:] if arguments is None else list(arguments)
        for count in options.processes:
            module = ["-m", "experiments.scaling", *words]
            subprocess.run([*TORCHRUN, f"--nproc-per-node={count}", *module], check=True)
        return
    torch.set_num_threads(options.threads)
    rate = pairs_per_second_of_all(
        step.changed(precision="bf16" if options.bf16 else "fp32"), options.seconds
    )
    if os.environ["RANK"] == "0":
        print(f"{Device.find('auto').describe()}: {rate:.1f} pairs/s", flush=True)


if __name__ == "__main__":
    run_command(main)
