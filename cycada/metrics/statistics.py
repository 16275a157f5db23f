"""How sure a difference is: standard errors, paired tests, and their correction when there are many. Pure functions.

What a test covers is what it resamples. The bootstrap resamples test images and so speaks of other images of the same
kind for THESE trained networks; the signed-rank test compares seeds and so speaks of other trainings on THESE images.
Frames of one drive that follow each other look alike and count for less than their number: they are drawn in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

WILCOXON_NEEDS = 6
"""Seeds below which the two-sided signed-rank test cannot reach p < 0.05: its smallest p is 2 / 2^n."""
BLOCKS_NEEDED = WILCOXON_NEEDS
"""Blocks below which the bootstrap gives no p: were only their signs known, no smaller one than 2 / 2^n could be had."""


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error, s / sqrt(n) with n - 1 in s. The error of one value is unknown: None."""
    x = np.asarray(values, np.float64)
    if not x.size:
        raise ValueError("mean_and_error: no values.")
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else None


@dataclass(frozen=True)
class Bootstrap:
    """difference, low, high: of the two shares (0 to 1), with the 95 % percentile interval. p: two-sided; None of too few blocks.

    block: images that were drawn together, 1 where each was drawn by itself.
    """

    difference: float
    low: float
    high: float
    p: float | None
    block: int = 1


def block_length(images: int) -> int:
    """The frames of a block where `images` frames follow each other: the square root of their number, rounded up.

    Longer than the usual n^(1/3), since a short block overstates how sure a difference is. 20 frames, a second apart: 5, after which
    their grey values are as far apart as any.
    """
    return math.ceil(math.sqrt(images))


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, resamples: int = 10_000, seed: int = 0, block: int = 1
) -> Bootstrap:
    """Paired bootstrap over test images (Efron & Tibshirani 1993, ch. 13 and 16) of the difference in accuracy or in mIoU.

    ours, theirs: the same seeds and images in the same order; images are drawn with replacement, `resamples` times.
    (S, N) bool, right or wrong by seed and image: accuracy. Image i has d_i = the mean over seeds of (ours - theirs). d takes
    at most 2 S + 1 values, so a resample is one multinomial draw over their counts: exact, and independent of N.
    (S, N, K, K) counts by seed and image, rows are the truth: mIoU, which is no mean over images. The counts of the images that
    were drawn are added up, each seed by itself; its mIoU is of that sum, over the classes that the truth of ALL images holds,
    the same in every resample and on both sides (a class whose truth was not drawn adds 0 to both); then the mean over seeds.
    p: how often a resample, moved by what was seen, lies as far out as that; (1 + count) / (1 + resamples).
    block: so many neighbours are drawn together, the first image following the last (the circular block bootstrap of Politis & Romano
    1992), until there are as many images as before; for frames of a video, which come in the order of time. No p below 6 blocks.

    It does NOT cover what another seed would have done: the networks are held fixed.
    """
    if ours.shape != theirs.shape or ours.ndim not in (2, 4) or not ours.size:
        raise ValueError(
            f"paired_bootstrap: expected two (seeds, images) arrays, or (seeds, images, K, K), of one shape, found {ours.shape} "
            f"and {theirs.shape}."
        )
    if not 1 <= block <= ours.shape[1]:
        raise ValueError(f"paired_bootstrap: expected a block of 1 to {ours.shape[1]} images, found {block}.")
    random = np.random.default_rng(seed)
    if ours.ndim == 4:
        return _of_weights(_difference_in_miou(ours, theirs), ours.shape[1], block, resamples, random)
    seeds, images = ours.shape
    each = ours.astype(np.int64).sum(0) - theirs.astype(np.int64).sum(0)
    if block > 1:
        return _of_weights(
            lambda weights: weights @ each / (seeds * images), images, block, resamples, random
        )
    values, counts = np.unique(each, return_counts=True)
    total = int(values @ counts)
    drawn = random.multinomial(images, counts / images, size=resamples) @ values  # integers: exact ties
    return _bootstrap(total, drawn, 1 / (seeds * images))


def _bootstrap(seen: float, drawn: np.ndarray, scale: float = 1.0, equal: float = 0.0) -> Bootstrap:
    """From the difference and (R,) resampled ones, both times 1 / scale. equal: what is as far out up to here is."""
    p = (1 + int((np.abs(drawn - seen) >= abs(seen) - equal).sum())) / (1 + len(drawn))
    low, high = np.quantile(drawn, [0.025, 0.975]) * scale
    return Bootstrap(seen * scale, float(low), float(high), p)


Difference = Callable[[np.ndarray], np.ndarray]
"""(R, N) how often each image counts -> (R,) differences."""


def _of_weights(
    difference: Difference,
    images: int,
    block: int,
    resamples: int,
    random: np.random.Generator,
    together: int = 250,
) -> Bootstrap:
    """Of whatever a difference is; `together` resamples at once, so that memory is bounded."""
    drawn = []
    for start in range(0, resamples, together):
        rows = min(together, resamples - start)
        starts = random.integers(0, images, (rows, -(-images // block)))
        chosen = ((starts[..., None] + np.arange(block)) % images).reshape(rows, -1)[:, :images]
        chosen = chosen + images * np.arange(rows)[:, None]
        drawn.append(
            difference(
                np.bincount(chosen.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)
            )
        )
    seen = float(difference(np.ones((1, images)))[0])
    found = _bootstrap(seen, np.concatenate(drawn), equal=1e-12)
    return replace(found, block=block, p=found.p if block == 1 or images // block >= BLOCKS_NEEDED else None)


def _difference_in_miou(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """mIoU needs no more of a count than hits and unions, (N, 2 S K) numbers, so that resamples are rows of a product."""
    classes = (ours.sum((0, 1, 3)) + theirs.sum((0, 1, 3))) > 0
    sides = [_hits_and_unions(ours), _hits_and_unions(theirs)]

    def difference(weights: np.ndarray) -> np.ndarray:
        one, other = (_mean_miou(np.tensordot(weights, side, 1)[..., classes]) for side in sides)
        return one - other

    return difference


def _hits_and_unions(counts: np.ndarray) -> np.ndarray:
    """(S, N, K, K) -> (N, 2, S, K) float64."""
    hits = np.diagonal(counts, axis1=2, axis2=3).astype(np.float64)
    return np.stack([hits, counts.sum(2) + counts.sum(3) - hits]).transpose(2, 0, 1, 3)


def _mean_miou(summed: np.ndarray) -> np.ndarray:
    """(R, 2, S, K) hits and unions -> (R,): the mean over seeds of the mean IoU over these classes."""
    mean: np.ndarray = (summed[:, 0] / np.maximum(summed[:, 1], 1)).mean((1, 2))
    return mean


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
