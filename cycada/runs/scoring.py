"""Scores and pictures of a stage's networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor

from cycada.build import Datasets
from cycada.methods import Networks
from cycada.metrics import scores as score_functions
from cycada.plan import StagePlan
from cycada.runs.pictures import draw_confusion, image_grid
from cycada.train.device import Device
from cycada.train.evaluate import count_predictions, evaluating

SHOWN = 10
"""Examples in an image grid."""
CLASSIFICATION_SCORES = ("accuracy", "class_accuracy")

Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one entry per class (None where the class is absent)."""


def evaluate_stage(
    plan: StagePlan, nets: Networks, datasets: Datasets, device: Device, images: Path | None, step: int
) -> tuple[Scores, dict[str, Tensor]]:
    """Both test sets by the stage's networks. -> scores, and the (K, K) count of each domain.

    Where `images` is given, also the pictures of this step. Every process takes part.
    """
    for net in nets.children():
        device.average_buffers(net)
    ways = plan.method.scored(nets)
    counts: dict[str, Tensor] = {}
    with evaluating(nets):
        for side, examples in (("source", datasets.source["test"]), ("target", datasets.target["test"])):
            if side in ways and examples.labels is not None:
                counts[side] = count_predictions(ways[side], examples, len(datasets.classes), device, plan.stage.precision)
    if images:
        for side, count in counts.items():
            draw_confusion(count, datasets.classes, f"{side}, stage {plan.name}, step {step}", images / f"confusion_{side}.png")
        source, target = datasets.source["test"].images[:SHOWN], datasets.target["train"].images[:SHOWN]
        image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png")
    return {side: as_scores(count) for side, count in counts.items()}, counts


def as_scores(count: Tensor) -> dict[str, Any]:
    """The scores of one (K, K) count as plain values."""
    found: dict[str, Any] = {}
    for name in CLASSIFICATION_SCORES:
        value = score_functions[name](count)
        found[name] = [None if math.isnan(v) else round(v, 6) for v in value.tolist()] if value.ndim else round(value.item(), 6)
    return found


def flatten_scores(scores: Scores) -> dict[str, float]:
    """`target/accuracy`, `target/class_accuracy/3`, ...: what a tracker and metrics.jsonl take."""
    flat: dict[str, float] = {}
    for side, found in scores.items():
        for name, value in found.items():
            if isinstance(value, float):
                flat[f"{side}/{name}"] = value
            else:
                flat |= {f"{side}/{name}/{k}": v for k, v in enumerate(value) if v is not None}
    return flat
