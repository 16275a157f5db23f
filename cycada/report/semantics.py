"""Scores of translations: whether images kept what they show, and whether the domains came together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata

import numpy as np

from cycada.metrics.distance import proxy_a_distance
from cycada.metrics.missing_classes import describe_classes, find_rarely_predicted
from cycada.report.cache import NO_CACHE, Cache
from cycada.report.record import Record
from cycada.report.rows import Outcome, Variant
from cycada.report.table import Mean

DRIFT = {
    "flip_rate_t": (
        "flips, s→t",
        "the rate of label flips, which is the share of {source} for which the class that the frozen source "
        "classifier f_s predicts changes when G_st translates the image. It includes f_s's own mistakes: a "
        "translation that looks exactly like the target flips as often as f_s is wrong on the target, so "
        "fewer flips are not always better.",
    ),
    "flip_rate_s": ("flips, t→s", "the same for {target} and G_ts."),
    "translation_accuracy": (
        "translated, right",
        "how often f_s predicts the source label for {translated}.",
    ),
    "reconstruction_accuracy": (
        "reconstructed, right",
        "the same after the image is translated back. If it is far above the value before, the cycle "
        "restores from a hidden signal what the translation lost.",
    ),
    "cycle_l1": ("cycle L1", "mean |G_ts(G_st(x)) - x| for images in [-1, 1]."),
    "cycle_l1_noisy": (
        "cycle L1, noised",
        "the same with a little noise added to the translated image before it is translated back.",
    ),
    "noise_sensitivity": (
        "noise sensitivity",
        "the mean change of the reconstruction divided by the mean noise. If it is far above 1, the way back "
        "reads a hidden code of small amplitude (steganography: Chu et al. 2017, Bashkirova et al. 2019).",
    ),
    "translation_error_l1": (
        "error, L1",
        "mean |G_st(x) - y|, where y is the true translation: the same scene in the target's look, which is "
        "known for drawn scenes. The camera noise in y cannot be predicted, so 0 is out of reach.",
    ),
    "untranslated_l1": ("untranslated, L1", "mean |x - y|: the error of a translation that changes nothing."),
}
"""Key of drift.json -> the head of its column, and its meaning with the fields of `Wording` in braces."""
MISSING_CLASSES = (
    "A semantic loss then keeps the translations of these classes from looking like the target, and the task "
    "network from learning the target's look of them."
)
PERCENT = ("flip_rate_t", "flip_rate_s", "translation_accuracy", "reconstruction_accuracy")
"""Keys of drift.json that are shown in percent."""


@dataclass(frozen=True)
class SharedTranslation:
    """The stages that learnt one translation, one for each seed, and the rows that use it.

    Attributes:
        rows: The names of the rows.
        records: The run folders of the stages.
    """

    rows: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def title(self) -> str:
        """The names of the rows in one line."""
        return ", ".join(self.rows)


def shared(rows: Sequence[Variant], pick: Callable[[Outcome], Record | None]) -> list[SharedTranslation]:
    """Group the rows by the stages that `pick` returns for their seeds: rows often share a translation."""
    groups: dict[tuple[str, ...], tuple[list[str], tuple[Record, ...]]] = {}
    for row in rows:
        records = tuple(r for o in row.outcomes if (r := pick(o)))
        if records:
            groups.setdefault(tuple(r.id for r in records), ([], records))[0].append(row.name)
    return [SharedTranslation(tuple(names), records) for names, records in groups.values()]


def drift(group: SharedTranslation) -> dict[str, Mean | None]:
    """Return the mean over seeds of each score in drift.json; rates and accuracies in percent."""
    means = {}
    for key in DRIFT:
        scale = 100 if key in PERCENT else 1
        means[key] = Mean.of({r.seed: scale * r.drift[key] for r in group.records if key in r.drift})
    return means


def flips(group: SharedTranslation, side: str = "t") -> np.ndarray | None:
    """Return the label flips of a translation, or None where they are not stored.

    Args:
        group: The stages of the translation.
        side: "t" for the translation to the target, "s" for the one to the source.

    Returns:
        (K, K) counts, added over seeds: f_s's class before the translation (rows) and after it (columns).
    """
    counts = [r.analysis[f"flip_{side}"] for r in group.records if f"flip_{side}" in r.analysis]
    return np.sum(counts, axis=0) if counts else None


def missing(group: SharedTranslation) -> str | None:
    """Name the classes that f_s rarely predicts for target test images over all seeds; None without one.

    No target label is used.
    """
    before_s, before_t = flips(group), flips(group, "s")
    if before_s is None or before_t is None:
        return None
    rare = find_rarely_predicted(before_t.sum(1).tolist(), before_s.sum(1).tolist())
    return (
        describe_classes(rare, [str(name) for name in group.records[0].analysis["classes"]]) if rare else None
    )


@dataclass(frozen=True)
class Distance:
    """The proxy A-distances of a row's features.

    Attributes:
        row: The row.
        source_target: The distance of source and target features, if they are stored.
        translated_target: The distance of translated and target features, if they are stored.
    """

    row: Variant
    source_target: Mean | None
    translated_target: Mean | None


def distances(rows: Sequence[Variant], cache: Cache = NO_CACHE) -> list[Distance]:
    """Return the A-distances of the rows whose runs stored features."""
    rows_with_features = []
    for row in rows:
        between = {side: Mean.of(_between(row, side, cache)) for side in ("source", "translated")}
        if any(between.values()):
            rows_with_features.append(Distance(row, between["source"], between["translated"]))
    return rows_with_features


def _between(row: Variant, side: str, cache: Cache) -> dict[int, float]:
    by_seed = {}
    version = metadata.version("scikit-learn")
    for outcome in row.outcomes:
        a, b = (outcome.last.analysis.get(f"features_{s}") for s in (side, "target"))
        if a is not None and b is not None and min(len(a), len(b)) >= 4:
            distance = cache.get(f"distance-{version}", [a, b], partial(_distance, a, b))
            by_seed[outcome.seed] = float(distance)
        elif (stored := outcome.last.stored_distance(side)) is not None:
            by_seed[outcome.seed] = stored
    return by_seed


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(proxy_a_distance(a, b))
