"""How sure a difference is: standard errors, paired tests, and their correction when there are many. Pure functions.

What a test covers is what it resamples. The bootstrap resamples test images and so speaks of other images of the same
kind for THESE trained networks; the signed-rank test compares seeds and so speaks of other trainings on THESE images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WILCOXON_NEEDS = 6
"""Seeds below which the two-sided signed-rank test cannot reach p < 0.05: its smallest p is 2 / 2^n."""


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error, s / sqrt(n) with n - 1 in s. The error of one value is unknown: None."""
    x = np.asarray(values, np.float64)
    if not x.size:
        raise ValueError("mean_and_error: no values.")
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else None


@dataclass(frozen=True)
class Bootstrap:
    """difference, low, high: of the two shares (0 to 1), with the 95 % percentile interval. p: two-sided."""

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(ours: np.ndarray, theirs: np.ndarray, resamples: int = 10_000, seed: int = 0) -> Bootstrap:
    """Paired bootstrap over test images (Efron & Tibshirani 1993, ch. 13 and 16) of the difference in accuracy.

    ours, theirs: (S, N) bool, right or wrong by seed and image, the same seeds and images in the same order. Image i
    has d_i = the mean over seeds of (ours - theirs); images are drawn with replacement, `resamples` times. d takes at
    most 2 S + 1 values, so a resample is one multinomial draw over their counts: exact, and independent of N.
    p: how often a resample, moved to a mean of 0, lies as far out as what was seen; (1 + count) / (1 + resamples).

    It does NOT cover what another seed would have done: the networks are held fixed.
    """
    if ours.shape != theirs.shape or ours.ndim != 2 or not ours.size:
        raise ValueError(f"paired_bootstrap: expected two (seeds, images) arrays of one shape, found {ours.shape} and {theirs.shape}.")
    seeds, images = ours.shape
    values, counts = np.unique(ours.astype(np.int64).sum(0) - theirs.astype(np.int64).sum(0), return_counts=True)
    total = int(values @ counts)
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, size=resamples) @ values  # integers: exact ties
    p = (1 + int((np.abs(drawn - total) >= abs(total)).sum())) / (1 + resamples)
    scale = 1 / (seeds * images)
    low, high = np.quantile(drawn, [0.025, 0.975]) * scale
    return Bootstrap(total * scale, float(low), float(high), p)


def wilcoxon_over_seeds(differences: Sequence[float]) -> float | None:
    """Two-sided p of the Wilcoxon signed-rank test (scipy) over one difference a seed; ties at 0 are left out.

    None with fewer than 6 seeds that differ, where no outcome could be significant. It covers seeds, not images.
    """
    moved = [d for d in differences if d]
    if len(moved) < WILCOXON_NEEDS:
        return None
    from scipy.stats import wilcoxon

    return float(wilcoxon(moved).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979) over the tests that were made; None stays None.

    Holds the chance of any false finding in the whole table at the level, whatever the tests depend on.
    """
    made = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(made):
        highest = max(highest, min(1.0, (len(made) - rank) * p))
        adjusted[i] = highest
    return adjusted
