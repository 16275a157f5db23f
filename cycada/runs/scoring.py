"""Scores and pictures of a stage's networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cycada.build import Datasets
from cycada.methods import Networks
from cycada.metrics import criteria as all_criteria
from cycada.metrics import scores as score_functions
from cycada.plan import StagePlan
from cycada.runs.pictures import draw_confusion, image_grid
from cycada.train.device import Device
from cycada.train.evaluate import count_predictions, evaluating, probabilities

SHOWN = 10
"""Examples in an image grid."""
UNLABELLED = 1000
"""Target training images that the label-free criteria look at."""
CLASSIFICATION_SCORES = ("accuracy", "class_accuracy")

Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one entry per class (None where the class is absent)."""


@dataclass(frozen=True)
class Evaluation:
    """scores: by domain. counts: the (K, K) count of each. criteria: what is known without target labels."""

    scores: Scores
    counts: dict[str, Tensor]
    criteria: dict[str, float]

    def flat(self) -> dict[str, float]:
        """For metrics.jsonl and a tracker."""
        return flatten_scores(self.scores) | {f"selection/{name}": value for name, value in self.criteria.items()}


def evaluate_stage(plan: StagePlan, nets: Networks, datasets: Datasets, device: Device, images: Path | None, step: int) -> Evaluation:
    """Both test sets by the stage's networks, and the label-free criteria on unlabelled target training images.

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
        criteria: dict[str, float] = {}
        if "target" in ways:
            answers = probabilities(ways["target"], datasets.target["train"].images[:UNLABELLED], device, plan.stage.precision)
            criteria = {name: round(float(criterion(answers)), 6) for name, criterion in all_criteria.items()}
    if images:
        for side, count in counts.items():
            draw_confusion(count, datasets.classes, f"{side}, stage {plan.name}, step {step}", images / f"confusion_{side}.png")
        source, target = datasets.source["test"].images[:SHOWN], datasets.target["train"].images[:SHOWN]
        image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png")
    return Evaluation({side: as_scores(count) for side, count in counts.items()}, counts, criteria)


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
