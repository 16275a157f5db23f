"""Standard errors, paired tests, and their correction for multiple tests, as pure functions.

A test generalises over what it resamples. The bootstrap resamples test images, and so covers other images of
the same kind with THESE trained networks; the signed-rank test compares seeds, and so covers other trainings
with THESE images. Consecutive frames of a video are similar and count for less than their number: they are
drawn in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

WILCOXON_NEEDS = 6
"""Least number of seeds for p < 0.05 in the two-sided signed-rank test, whose smallest p is 2 / 2^n."""
UNITS_NEEDED = WILCOXON_NEEDS
"""Least number of images, or of blocks of frames, for a p-value of the bootstrap.

The bound is that for their signs alone; of fewer, which may all differ alike, resamples hardly vary."""


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of some values and its standard error.

    Returns:
        The mean, and s / sqrt(n) with n - 1 in the standard deviation s; None as the error of a single value.

    Raises:
        ValueError: There are no values.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        raise ValueError("mean_and_error: no values.")
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else None


@dataclass(frozen=True)
class Bootstrap:
    """Difference between two scores in [0, 1], with its interval and p-value.

    Attributes:
        difference: The difference, in [-1, 1].
        low: Lower end of the 95 % percentile interval.
        high: Upper end of the 95 % percentile interval.
        p: Two-sided p-value; None for too few images or blocks.
        block: Number of consecutive images that were drawn together; 1 if each was drawn by itself.
    """

    difference: float
    low: float
    high: float
    p: float | None
    block: int = 1


def block_length(images: int) -> int:
    """Return the number of frames in a block, for a video of `images` frames: the square root, rounded up.

    This is longer than the usual n^(1/3), since short blocks overstate how certain a difference is. For 20
    frames, one second apart, it is 5, after which their grey values differ as much as those of any two
    frames.
    """
    return math.ceil(math.sqrt(images))


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, resamples: int = 10_000, seed: int = 0, block: int = 1
) -> Bootstrap:
    """Return the difference in accuracy or mIoU of two methods, with a paired bootstrap over test images.

    See Efron & Tibshirani 1993, ch. 13 and 16. Images are drawn with replacement. The result does NOT cover
    other seeds: the networks are fixed.

    Accuracy: image i has d_i, the mean over seeds of (ours - theirs). d takes at most 2 S + 1 values, so that
    a resample is one multinomial draw over their counts: exact, and independent of N. mIoU is no mean over
    images: the counts of the drawn images are added, separately for each seed; the mIoU of the sum is over
    the classes that occur in the labels of ALL images, the same in every resample and for both methods (a
    class whose labels were not drawn adds 0 to both); then the mean over seeds is taken.

    Args:
        ours: (S, N) bool, correct or not by seed and image, for accuracy; or (S, N, K, K) confusion matrices
            by seed and image, with true classes as rows, for mIoU.
        theirs: The same for the other method, with the same seeds and images in the same order.
        resamples: Number of resamples.
        seed: Seed of the resamples.
        block: Number of consecutive images that are drawn together, the first image following the last (the
            circular block bootstrap of Politis & Romano 1992), until there are N images; for frames of a
            video in order of time.

    Returns:
        The difference, its interval, and p: how often a resample, minus the observed difference, is at least
        as far from 0 as that, (1 + count) / (1 + resamples). p is None for fewer than 6 images or blocks.

    Raises:
        ValueError: The arrays differ in shape, have another shape or are empty, or the block is longer than
            N.
    """
    if ours.shape != theirs.shape or ours.ndim not in (2, 4) or not ours.size:
        raise ValueError(
            f"paired_bootstrap: expected two (seeds, images) arrays, or (seeds, images, K, K), of one shape, "
            f"found {ours.shape} and {theirs.shape}."
        )
    if not 1 <= block <= ours.shape[1]:
        raise ValueError(f"paired_bootstrap: expected a block of 1 to {ours.shape[1]} images, found {block}.")
    seeds, images = ours.shape[:2]
    random = np.random.default_rng(seed)
    if ours.ndim == 4:
        result = _block_bootstrap(_difference_in_miou(ours, theirs), images, block, resamples, random)
    else:
        each = ours.astype(np.int64).sum(0) - theirs.astype(np.int64).sum(0)
        if block > 1:
            result = _block_bootstrap(
                lambda weights: weights @ each / (seeds * images), images, block, resamples, random
            )
        else:
            values, counts = np.unique(each, return_counts=True)
            drawn = random.multinomial(images, counts / images, size=resamples) @ values  # exact ties
            result = _bootstrap(int(values @ counts), drawn, 1 / (seeds * images))
    return replace(result, block=block, p=result.p if images // block >= UNITS_NEEDED else None)


def _bootstrap(observed: float, drawn: np.ndarray, scale: float = 1.0, tolerance: float = 0.0) -> Bootstrap:
    """Return the result for an observed difference and (R,) resampled ones, all to be multiplied by `scale`.

    Resamples that are as far from the observed difference as 0 is, up to `tolerance`, count for p.
    """
    p = (1 + int((np.abs(drawn - observed) >= abs(observed) - tolerance).sum())) / (1 + len(drawn))
    low, high = np.quantile(drawn, [0.025, 0.975]) * scale
    return Bootstrap(observed * scale, float(low), float(high), p)


Difference = Callable[[np.ndarray], np.ndarray]
"""Function from (R, N), how often each image counts, to (R,) differences."""


def _block_bootstrap(
    difference: Difference,
    images: int,
    block: int,
    resamples: int,
    random: np.random.Generator,
    together: int = 250,
) -> Bootstrap:
    """Return the bootstrap of any difference, `together` resamples at once, so that the memory is bounded."""
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
    observed = float(difference(np.ones((1, images)))[0])
    return _bootstrap(observed, np.concatenate(drawn), tolerance=1e-12)


def _difference_in_miou(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Return the function from image weights to differences in mIoU.

    mIoU needs only the hits and unions of each count, (N, 2 S K) numbers, so that all resamples are one
    product.
    """
    classes = (ours.sum((0, 1, 3)) + theirs.sum((0, 1, 3))) > 0
    sides = [_hits_and_unions(ours), _hits_and_unions(theirs)]

    def difference(weights: np.ndarray) -> np.ndarray:
        one, other = (_mean_miou(np.tensordot(weights, side, 1)[..., classes]) for side in sides)
        differences: np.ndarray = one - other
        return differences

    return difference


def _hits_and_unions(counts: np.ndarray) -> np.ndarray:
    """Return the true positives and the unions of each class, (S, N, K, K) to (N, 2, S, K) float64."""
    hits = np.diagonal(counts, axis1=2, axis2=3).astype(np.float64)
    return np.stack([hits, counts.sum(2) + counts.sum(3) - hits]).transpose(2, 0, 1, 3)


def _mean_miou(summed: np.ndarray) -> np.ndarray:
    """Return the mean IoU over classes and seeds, from hits and unions (R, 2, S, K) to (R,)."""
    mean: np.ndarray = (summed[:, 0] / np.maximum(summed[:, 1], 1)).mean((1, 2))
    return mean


def wilcoxon_over_seeds(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of the Wilcoxon signed-rank test, which covers seeds and not images.

    Args:
        differences: One difference for each seed; those that are 0 are left out.

    Returns:
        p; None if fewer than 6 differences are left, of which no outcome could be significant.
    """
    nonzero = [d for d in differences if d]
    if len(nonzero) < WILCOXON_NEEDS:
        return None
    from scipy.stats import wilcoxon

    return float(wilcoxon(nonzero).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values after Holm's step-down correction (1979) for multiple tests.

    With it, the chance of any false finding in the whole table is at most the level of significance, however
    the tests depend on each other.

    Args:
        p_values: One p-value for each test, None for a test that was not made.

    Returns:
        The corrected p-values in the same order; None stays None.
    """
    ordered = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p))
        adjusted[i] = highest
    return adjusted
