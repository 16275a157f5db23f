"""Measure what propagating a run's labels does where the target's classes are not equally frequent.

    python -m experiments.propagation RUN [--results results] [--rare 1 0.5 0.2 0.05] [--out FILE]

The classifier of RUN predicts test images of the target, of which every second class is thinned out. Their
accuracy is printed as predicted, propagated, balanced before that, and kept near expected shares as in
self-training, with what decides about those shares. The labels serve to understand, not to choose.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cycada.cli.entry import run_command
from cycada.data import to_float
from cycada.inference.loading import predictor_of
from cycada.methods.label_propagation import balanced, doubt, expected_shares, propagated_labels
from cycada.methods.self_training import SelfTrainingOptions
from cycada.planning.datasets import load_datasets
from cycada.runs.reuse import find_stage, load_stage
from cycada.train.device import Device

COUNT = 1088  # a batch of 64 and a queue of 1,024


def measure(features: Tensor, predictions: Tensor, labels: Tensor) -> dict[str, float]:
    """Return in % how accurate each way to propagate predictions (N, K) is, and what decides about it."""
    options, expected = SelfTrainingOptions(), expected_shares(predictions)
    spread = partial(propagated_labels, features, neighbours=options.propagation_neighbours)
    equal, ratio = torch.full_like(expected, 1 / len(expected)), options.propagation_class_ratio
    ways = {
        "predictions": predictions,
        "propagated": spread(predictions),
        "balanced, propagated": spread(balanced(predictions, equal, 1.0)),
        "near expected shares": spread(balanced(predictions, expected, ratio)),
    }
    right = {way: (p.argmax(1) == labels).float().mean() for way, p in ways.items()}
    about = {"doubt": doubt(predictions), "distance": (predictions.mean(0) - equal).abs().sum() / 2}
    return {name: 100 * float(value) for name, value in (right | about).items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--results", default="results")
    parser.add_argument("--rare", nargs="+", type=float, default=(1, 0.5, 0.2, 0.05))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    folder = find_stage(options.run, options.results, "f_t")
    config, stage = load_stage(folder)
    net = predictor_of(folder, config, stage, device := Device(torch.device("cpu"))).net.eval()
    examples = load_datasets(config, [stage], device).target["test"]
    drawn, found = torch.Generator().manual_seed(0), {}
    pixels, labels = examples.take(torch.randperm(len(examples), generator=drawn)[:COUNT].tolist())
    assert isinstance(labels, Tensor)
    for fraction in options.rare:
        kept = torch.rand(len(labels), generator=drawn) < torch.where(labels % 2 == 0, 1.0, fraction)
        with torch.no_grad():
            outputs = [net(batch) for batch in to_float(pixels[kept]).split(128)]
        logits, features = (torch.cat([getattr(o, x) for o in outputs]) for x in ("logits", "features"))
        found[str(fraction)] = measure(features, logits.softmax(1), labels[kept])
        print(fraction, *(f"{way} {value:.1f}" for way, value in found[str(fraction)].items()), sep="; ")
    if options.out:
        pair = f"{config.data.source.name} -> {config.data.target.name}"
        command = f"python -m experiments.propagation {folder.path.name}"
        about = {"command": command, "stage": stage.name, "pair": pair, "percent": found}
        options.out.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
