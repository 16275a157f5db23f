"""Did the translation change what the images show, and did it bring the domains together? Scores of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cycada.metrics.blind import in_words, rarely_predicted
from cycada.metrics.distance import proxy_a_distance
from cycada.report.record import Record
from cycada.report.rows import Outcome, Variant
from cycada.report.table import Mean

DRIFT = {
    "flip_rate_t": (
        "flips, s→t",
        "share of {source} whose class, as the frozen source classifier f_s sees it, changes with G_st. It counts f_s's own mistakes: "
        "what looks truly like the target flips as often as f_s is wrong there, so that fewer flips need not be better.",
    ),
    "flip_rate_s": ("flips, t→s", "the same for {target} and G_ts."),
    "translation_accuracy": ("translated, right", "how often f_s names {translated} by its source label."),
    "reconstruction_accuracy": (
        "reconstructed, right",
        "the same after the way back. Far above the one before, the cycle restores from a hidden signal what the translation lost.",
    ),
    "cycle_l1": ("cycle L1", "mean |G_ts(G_st(x)) - x|, images in [-1, 1]."),
    "cycle_l1_noisy": (
        "cycle L1, noised",
        "the same with a little noise added to the translated image before the way back.",
    ),
    "noise_sensitivity": (
        "noise sensitivity",
        "mean change of the reconstruction over the mean noise. Far above 1, the way back reads a code of small amplitude "
        "(steganography: Chu et al. 2017, Bashkirova et al. 2019).",
    ),
    "translation_error_l1": (
        "error, L1",
        "mean |G_st(x) - y|, where y is the same scene in the target's look: the truth, which is known of drawn scenes. A camera's noise "
        "in y cannot be foreseen, so that 0 is out of reach.",
    ),
    "untranslated_l1": ("untranslated, L1", "mean |x - y|: the error of a translation that changes nothing."),
}
"""Key of drift.json -> head of its column, what it says, with gaps for what the metric calls them."""
UNSEEN = "A semantic loss then keeps their translations from looking like the target's, and the task network from learning those."
PERCENT = ("flip_rate_t", "flip_rate_s", "translation_accuracy", "reconstruction_accuracy")


@dataclass(frozen=True)
class SharedTranslation:
    """Something of a translating stage, once, with all the rows that came from that stage."""

    rows: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def title(self) -> str:
        return ", ".join(self.rows)


def shared(rows: Sequence[Variant], pick: Callable[[Outcome], Record | None]) -> list[SharedTranslation]:
    """Group rows by the stages, over seeds, that `pick` finds: several rows often stand on one translation."""
    groups: dict[tuple[str, ...], tuple[list[str], tuple[Record, ...]]] = {}
    for row in rows:
        records = tuple(r for o in row.outcomes if (r := pick(o)))
        if records:
            groups.setdefault(tuple(r.id for r in records), ([], records))[0].append(row.name)
    return [SharedTranslation(tuple(names), records) for names, records in groups.values()]


def drift(group: SharedTranslation) -> dict[str, Mean | None]:
    """Each score of drift.json, over seeds. Rates and accuracies in percent."""
    found = {}
    for key in DRIFT:
        scale = 100 if key in PERCENT else 1
        found[key] = Mean.of({r.seed: scale * r.drift[key] for r in group.records if key in r.drift})
    return found


def flips(group: SharedTranslation, side: str = "t") -> np.ndarray | None:
    """(K, K) counts over seeds: class before translation (rows) x class after it, by f_s."""
    counts = [r.analysis[f"flip_{side}"] for r in group.records if f"flip_{side}" in r.analysis]
    return np.sum(counts, axis=0) if counts else None


def missing(group: SharedTranslation) -> str | None:
    """The classes that f_s hardly finds in target test images, in words, seeds together; no label is looked at."""
    before_s, before_t = flips(group), flips(group, "s")
    if before_s is None or before_t is None:
        return None
    found = rarely_predicted(before_t.sum(1).tolist(), before_s.sum(1).tolist())
    return in_words(found, [str(name) for name in group.records[0].analysis["classes"]]) if found else None


@dataclass(frozen=True)
class Distance:
    """Proxy A-distances of a row's features."""

    row: Variant
    source_target: Mean | None
    translated_target: Mean | None


def distances(rows: Sequence[Variant]) -> list[Distance]:
    """For the rows whose runs stored features."""
    found = []
    for row in rows:
        between = {side: Mean.of(_between(row, side)) for side in ("source", "translated")}
        if any(between.values()):
            found.append(Distance(row, between["source"], between["translated"]))
    return found


def _between(row: Variant, side: str) -> dict[int, float]:
    found = {}
    for outcome in row.outcomes:
        a, b = (outcome.last.analysis.get(f"features_{s}") for s in (side, "target"))
        if a is not None and b is not None and min(len(a), len(b)) >= 4:
            found[outcome.seed] = proxy_a_distance(a, b)
    return found
