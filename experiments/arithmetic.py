"""Measure what this machine computes in a second, and which implementation of a convolution pays on it.

    python -m experiments.arithmetic [--batch 64] [--seconds 2] [--threads N] [--json FILE]

First products of matrices in fp32 and bf16; then, on the CPU, convolutions of a discriminator and a generator
by the library, by patches and by columns, forward and both gradients, beside what the rule of
`cycada.networks.convolution` chooses. The rule should choose what is fastest.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from cycada.cli.entry import run_command
from cycada.core.files import write_json
from cycada.speed.arithmetic import matrix_rate, measure_convolutions
from cycada.train.device import Device


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2, help="measured for each number")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; by default its own choice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the numbers here")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = Device.find("auto")
    fp32, bf16 = matrix_rate(device, "fp32", options.seconds), matrix_rate(device, "bf16", options.seconds)
    print(f"{device.describe()}: matrices at {fp32:.1f} GFLOP/s in fp32, {bf16:.1f} in bf16")
    ways, rows = ("library", "patches", "columns"), []
    for precision in ("fp32", "bf16"):
        print(f"{f'convolution, {precision}, GFLOP/s':<32}", *(f"{way:>8}" for way in ways), "  chosen")
        for row in measure_convolutions(options.batch, options.seconds, precision):
            rates = (f"{row[way]:>8.1f}" if row[way] else " " * 8 for way in ways)
            print(f"{row['layer']:<32}", *rates, f"  {row['chosen']}", flush=True)
            rows.append({"precision": precision} | row | {w: row[w] and round(row[w], 1) for w in ways})
    if options.json:
        header = {"device": device.describe(), "torch": torch.__version__, "batch": options.batch}
        matrices = {"matrices": {"fp32": round(fp32, 1), "bf16": round(bf16, 1)}}
        write_json(options.json, header | matrices | {"rows": rows})


if __name__ == "__main__":
    run_command(main)
