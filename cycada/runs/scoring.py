"""Scores and pictures of a stage's networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cycada.build import Datasets
from cycada.data import Examples
from cycada.methods import Networks, classify_by
from cycada.metrics import confusion_matrix
from cycada.metrics import criteria as all_criteria
from cycada.metrics import scores as score_functions
from cycada.plan import StagePlan
from cycada.runs.pictures import draw_confusion, image_grid
from cycada.train.device import Device
from cycada.train.evaluate import evaluating, predictions, probabilities

SHOWN = 10
"""Examples in an image grid."""
UNLABELLED = 1000
"""Target training images that the label-free criteria look at."""
CLASSIFICATION_SCORES = ("accuracy", "class_accuracy")

Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one entry per class (None where the class is absent)."""


@dataclass(frozen=True)
class Evaluation:
    """scores: by domain. predictions: (N,) classes of each domain's test images. counts: the (K, K) count of each.
    criteria: what is known without target labels, higher is better."""

    scores: Scores
    predictions: dict[str, Tensor]
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
    said: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    criteria: dict[str, float] = {}
    with evaluating(nets):
        for side, examples in (("source", datasets.source["test"]), ("target", datasets.target["test"])):
            if side in ways and examples.labels is not None:
                said[side] = predictions(ways[side], examples.images, device, plan.stage.precision)
                counts[side] = confusion_matrix(said[side], examples.labels.cpu(), len(datasets.classes))
        if "target" in ways:
            answers = probabilities(ways["target"], datasets.target["train"].images[:UNLABELLED], device, plan.stage.precision)
            criteria = {name: float(criterion(answers)) for name, criterion in all_criteria.items()}
        if "source" in counts:
            criteria["source_accuracy"] = float(score_functions["accuracy"](counts["source"]))
        if (agreement := _agreement(nets, datasets.source["test"], device, plan)) is not None:
            criteria["agreement"] = agreement
    criteria = {name: round(value, 6) for name, value in criteria.items()}
    if images:
        for side, count in counts.items():
            draw_confusion(count, datasets.classes, f"{side}, stage {plan.name}, step {step}", images / f"confusion_{side}.png")
        source, target = datasets.source["test"].images[:SHOWN], datasets.target["train"].images[:SHOWN]
        image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png")
    return Evaluation({side: as_scores(count) for side, count in counts.items()}, said, counts, criteria)


def _agreement(nets: Networks, source: Examples, device: Device, plan: StagePlan) -> float | None:
    """How often a translated source image keeps its class: f_t's answer against the label, or, in a stage without f_t,

    f_s's answer after translation against its answer before. None without G_st.
    """
    if "g_st" not in nets or not ("f_t" in nets or "f_s" in nets):
        return None
    images, precision = source.images[:UNLABELLED], plan.stage.precision
    classify = classify_by(nets.f_t if "f_t" in nets else nets.f_s)
    after = predictions(lambda x: classify(nets.g_st(x)), images, device, precision)
    if "f_t" not in nets or source.labels is None:
        before = predictions(classify, images, device, precision)
    else:
        before = source.labels[:UNLABELLED].cpu()
    return float((after == before).float().mean())


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
