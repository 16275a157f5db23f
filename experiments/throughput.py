"""Images per second and FLOPs per image pair of one full joint CyCADA step, and of the step without each term.

    python -m experiments.throughput [--batch 64] [--seconds 8] [--json FILE]

The step: batch 64 at 3 x 32 x 32, ResNet generators with 2 blocks of 64 channels, the six-convolution PatchGAN that
fits 32 x 32, LeNet classifiers (50*5*5 -> 500 -> 10), instance norm, LSGAN, Adam; gan, cycle, semantic, task and
feature terms. On the CPU and on a GPU, whichever is there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from cycada.config.schema import Config, parse
from cycada.data import ImageDataset
from cycada.planning.build import Datasets, build_training
from cycada.planning.plan import plan
from cycada.train.device import Device
from cycada.train.loop import TrainState
from cycada.train.step import train_step

DROPPED = {
    "all terms": (),
    "- gan": ("gan_t", "gan_s"),
    "- cycle": ("cycle_s", "cycle_t"),
    "- semantic": ("semantic_t", "semantic_s"),
    "- task": ("task_translated",),
    "- feature": ("feature_gan",),
}
DIGITS = tuple("0123456789")


def config(batch: int, precision: str, compiled: bool, without: tuple[str, ...]) -> Config:
    """The joint stage; its frozen f_s starts from the (untrained) stage before it, which is all that speed needs."""
    return parse(
        {
            "name": "throughput",
            "data": {"source": "svhn", "target": "svhn", "size": 32, "channels": 3},
            "networks": {
                "f": "lenet",
                "g": {"name": "resnet", "channels": 64, "blocks": 2},
                "d": {"name": "patchgan", "channels": 64, "layers": 4, "strided": 3},
                "d_feat": "mlp",
            },
            "stages": {
                "source": {"method": "source_only", "steps": 1, "batch": batch},
                "joint": {
                    "method": "cycada", "steps": 10**6, "batch": batch, "precision": precision, "compile": compiled,
                    "init": {"f_s": "source.f_t"}, "losses": dict.fromkeys(without, 0),
                },
            },
        }
    )  # fmt: skip


def build(batch: int, precision: str, compiled: bool, without: tuple[str, ...], device: Device) -> TrainState:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4 * batch, 3, 32, 32), dtype=torch.uint8, device=device.torch_device)
    examples = ImageDataset(images, torch.randint(0, 10, (4 * batch,), device=device.torch_device))
    sets = {"train": examples, "test": examples}
    datasets = Datasets(DIGITS, sets, sets, None, "")  # type: ignore[arg-type]
    parsed = config(batch, precision, compiled, without)
    source, joint = plan(parsed)
    f_s = build_training(parsed, source, datasets, device, {}).nets.get_submodule("f_t").state_dict()
    return build_training(parsed, joint, datasets, device, {"f_s": f_s})


def step(t: TrainState, number: int) -> None:
    t.device.seed(0, number)
    train_step(
        t.phases, t.tensors(t.nets, t.batch(number), t.options), t.device, number, t.steps, t.precision
    )


def flops_per_pair(t: TrainState) -> float:
    step(t, 0)
    with FlopCounterMode(display=False) as counter:
        step(t, 1)
    return counter.get_total_flops() / t.source.batch


def rate(t: TrainState, seconds: float) -> float:
    """Image pairs per second: the best of the windows of about two seconds that fit."""
    cuda = t.device.torch_device.type == "cuda"
    for warm in range(3):
        step(t, warm)
    best, number, end = 0.0, 3, time.perf_counter() + seconds
    while time.perf_counter() < end:
        if cuda:
            torch.cuda.synchronize()
        began, first = time.perf_counter(), number
        while time.perf_counter() - began < 2:
            step(t, number)
            number += 1
        if cuda:
            torch.cuda.synchronize()
        best = max(best, (number - first) * t.source.batch / (time.perf_counter() - began))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8, help="measured per row")
    parser.add_argument(
        "--compile", action="store_true", help="also measure torch.compile of generators and discriminators"
    )
    parser.add_argument("--json", type=Path, help="write the rows here too")
    arguments = parser.parse_args()
    device = Device.find("auto")
    print(f"{device.describe()}, torch {torch.__version__}, batch {arguments.batch}, 3 x 32 x 32")
    print(f"{'step':<12} {'precision':<14} {'GFLOP/pair':>10} {'pairs/s':>9} {'GFLOP/s':>9}")
    rows = []
    for name, without in DROPPED.items():
        flops = flops_per_pair(build(arguments.batch, "fp32", False, without, device))
        variants = [("fp32", False), ("bf16", False)] + (
            [("bf16", True)] if arguments.compile and not without else []
        )
        for precision, compiled in variants:
            found = rate(build(arguments.batch, precision, compiled, without, device), arguments.seconds)
            label = precision + (" compiled" if compiled else "")
            print(
                f"{name:<12} {label:<14} {flops / 1e9:>10.2f} {found:>9.1f} {flops * found / 1e9:>9.0f}",
                flush=True,
            )
            rows.append(
                {
                    "step": name,
                    "precision": label,
                    "gflop_per_pair": round(flops / 1e9, 3),
                    "pairs_per_second": round(found, 1),
                }
            )
    if arguments.json:
        header = {"device": device.describe(), "torch": torch.__version__, "batch": arguments.batch}
        arguments.json.write_text(json.dumps(header | {"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
