"""Scores of both domains: computed from counts, read from a run folder, and by the names of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.data.image_set import Task
from cycada.evaluation.tasks import EVALUATIONS
from cycada.metrics import scores as score_functions
from cycada.storage.store import RunFolder

HEADLINES = {"miou": "mIoU", "accuracy": "accuracy"}
"""The score that stands for a stage, and how it is written."""
Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one entry for each class (None where the class is absent)."""


def as_scores(count: Tensor, task: Task = "classification") -> dict[str, Any]:
    """Return the scores of a confusion matrix as plain values.

    Args:
        count: (K, K), of images or of pixels.
        task: The task whose scores are computed.

    Returns:
        Numbers, and lists with one entry for each class; None where there is nothing to score. Scores that
        plug-ins registered are among them.
    """
    built_in = {name for evaluation in EVALUATIONS.values() for name in evaluation.scores}
    added = [name for name in score_functions if name not in built_in]
    scores: dict[str, Any] = {}
    for name in (*EVALUATIONS[task].scores, *added):
        value = computed("score", name, score_functions[name], count)
        scores[name] = [_plain(v) for v in value.tolist()] if value.ndim else _plain(value.item())
    return scores


def computed(kind: str, name: str, function: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    """Return what a score or a criterion comes to, which a plug-in may have registered.

    Raises:
        CycadaError: It cannot be computed, or is neither a number nor, of a score, one for each class.
    """
    try:
        value = torch.as_tensor(function(given))
    except Exception as error:  # the code of a plug-in may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise CycadaError(f"The {kind} '{name}' cannot be computed. {reason}") from error
    expected = ((), (given.shape[-1],)) if kind == "score" else ((),)
    if value.shape not in expected:
        shapes = " or ".join(map(str, expected))
        raise CycadaError(f"The {kind} '{name}' is of shape {tuple(value.shape)}, expected {shapes}.")
    return value


def _plain(value: float) -> float | None:
    """Round a value; None stands for NaN, which JSON does not have."""
    return None if math.isnan(value) else round(value, 6)


def stored_scores(folder: RunFolder) -> Scores:
    """Return the scores of a finished stage.

    Those of segmentation are computed from its stored confusion matrix, since older versions averaged over
    other classes.
    """
    stored: Scores = folder.read_json("scores.json")
    counts = folder.read_json("confusion.json") if (folder.path / "confusion.json").exists() else {}
    return {
        side: scores | as_scores(torch.tensor(counts[side]), "segmentation")
        if "miou" in scores and side in counts
        else scores
        for side, scores in stored.items()
    }


def flatten_scores(scores: Scores) -> dict[str, float]:
    """Return scores by flat names, such as `target/accuracy` and `target/class_accuracy/3`."""
    flat: dict[str, float] = {}
    for side, of_domain in scores.items():
        for name, value in of_domain.items():
            if isinstance(value, (int, float)):
                flat[f"{side}/{name}"] = value
            elif value is not None:
                flat |= {f"{side}/{name}/{k}": v for k, v in enumerate(value) if v is not None}
    return flat


def flatten_measurements(blocks: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return what `cycada quality` measured by flat names, such as `quality/fcn/st/class_iou/13`.

    Args:
        blocks: The part of the measurements, such as `fcn` -> its values by direction, beside its protocol.
    """
    flat: dict[str, float] = {}
    for part, block in blocks.items():
        scores = {direction: values for direction, values in block.items() if direction != "protocol"}
        flat |= {f"quality/{part}/{name}": float(value) for name, value in flatten_scores(scores).items()}
    return flat


def headline(scores: Mapping[str, Any]) -> tuple[str, float]:
    """Return the score that stands for a domain: how it is written, and its value in [0, 1]."""
    name = next(n for n in HEADLINES if n in scores)
    return HEADLINES[name], float("nan") if scores[name] is None else scores[name]


def headline_scores(scores: Scores) -> dict[str, float]:
    """Return the headline score of each domain by its flat name, such as `target/accuracy`."""
    flat = flatten_scores(scores)
    return {key: value for key, value in flat.items() if key.rpartition("/")[2] in HEADLINES}


def percent(scores: Mapping[str, Any]) -> str:
    """Return the headline score as text in percent; `-` where there is nothing to score."""
    share = headline(scores)[1]
    return "-" if math.isnan(share) else f"{100 * share:.2f} %"
