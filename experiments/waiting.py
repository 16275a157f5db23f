"""Measure how fast two threads train by how long they wait for each other, alone and beside a busy program.

    python -m experiments.waiting [CONFIG] [KEY=VALUE]... [--stages NAME...] [--threads 2] [--json FILE]

Every setting is a process of its own, because the settings are read when torch is imported. The busy program
computes on one core without a pause.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from cycada.cli.entry import run_command
from cycada.core.files import write_json
from cycada.core.waiting import TURNS
from cycada.speed.throughput import pairs_per_second, random_training
from cycada.train.device import Device
from experiments._joint_step import steps_of

OWN = "300000"  # what GNU OpenMP chooses itself
SETTINGS: dict[str, dict[str, str]] = {
    **{f"{n} turns": {"GOMP_SPINCOUNT": n} for n in (OWN, "10000", TURNS, "100")},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
CHOSEN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a process for each setting, or measure in one of them, and print the rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", default="recipe", help="an experiment's YAML file, or a recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings over the file's")
    parser.add_argument("--stages", nargs="+", default=["pixel", "task"], help="whose steps are measured")
    parser.add_argument("--seconds", type=float, default=4, help="measured for each number")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the numbers here")
    parser.add_argument("--here", action="store_true", help="measure in this process alone")
    options = parser.parse_args(arguments)
    if options.here:
        torch.set_num_threads(options.threads)
        for step in steps_of(options.config, options.overrides, 0):
            if step.name in options.stages:
                rate = pairs_per_second(random_training(step, Device.find("auto")), options.seconds)
                print(step.name, f"{rate:.1f}", flush=True)
        return
    words = [*(sys.argv[1:] if arguments is None else arguments), "--here"]
    inherited = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    rows = []
    for is_busy in (False, True):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if is_busy else None
        try:
            for name, setting in SETTINGS.items():
                command = [sys.executable, "-m", "experiments.waiting", *words]
                answer = subprocess.run(
                    command, env=inherited | setting, check=True, capture_output=True, text=True
                )
                rates = {stage: float(rate) for stage, rate in map(str.split, answer.stdout.splitlines())}
                rows.append({"waiting": name, "beside": "a busy program" if is_busy else "nothing", **rates})
                print(*rows[-1].values(), sep="; ", flush=True)
        finally:
            if busy:
                busy.kill()
                busy.wait()
    if options.json:
        header = {"device": f"CPU, {options.threads} threads", "torch": torch.__version__}
        write_json(options.json, header | {"config": options.config, "rows": rows})


if __name__ == "__main__":
    run_command(main)
