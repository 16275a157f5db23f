"""Summaries of confusion matrices of many classes: blocks of cells, and the most frequent errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MANY = 40
"""Most classes of which tables and figures show all; of more they show the worst and the best."""
EACH = 10
"""Number of worst classes, and of best classes, that are shown then."""


@dataclass(frozen=True)
class Confused:
    """One kind of error: examples of one class that were predicted as another.

    Attributes:
        true: The true class.
        predicted: The predicted class.
        count: Number of such examples.
        share: Their fraction, in [0, 1], of all examples of the true class.
    """

    true: int
    predicted: int
    count: int
    share: float


def shares(count: np.ndarray) -> np.ndarray:
    """Return a (K, K) confusion matrix with rows divided by their sums: in [0, 1], and 0 in empty rows."""
    fractions: np.ndarray = count / np.maximum(count.sum(1, keepdims=True), 1)
    return fractions


def coarse(share: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """Return a smaller matrix of the maxima of square blocks of cells, in which no error vanishes.

    Args:
        share: (K, K) matrix.
        most: Most rows of the result.

    Returns:
        The smaller matrix, and the side of a block in cells.
    """
    k = len(share)
    side = max(1, -(-k // most))
    starts = np.arange(0, k, side)
    return np.maximum.reduceat(np.maximum.reduceat(share, starts, axis=0), starts, axis=1), side


def most_confused(count: np.ndarray, most: int) -> list[Confused]:
    """Return the most frequent errors, those with the largest counts first.

    Args:
        count: (K, K) confusion matrix.
        most: Most errors to return.

    Returns:
        The errors; of equal counts, first that with the larger share, then that of the earlier class.
    """
    errors = np.array(count)
    np.fill_diagonal(errors, 0)
    share = shares(count)
    rows, columns = errors.nonzero()
    order = np.lexsort((columns, rows, -share[rows, columns], -errors[rows, columns]))[:most]
    return [
        Confused(int(i), int(j), int(errors[i, j]), float(share[i, j]))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def ticks(k: int, most: int) -> list[int]:
    """Return at most `most` of the numbers 0 to k - 1, evenly spaced from 0 on."""
    return list(range(0, k, max(1, -(-k // most))))


def cut(name: str, length: int = 24) -> str:
    """Return a class's name cut to `length` characters, with its beginning and its end.

    Long names often differ at the end.
    """
    return name if len(name) <= length else f"{name[: length - 9]}…{name[-8:]}"


def lowest(values: Sequence[float], most: int) -> list[int]:
    """Return the indices of at most `most` lowest values, lowest first, without those that are NaN."""
    known = np.flatnonzero(~np.isnan(np.asarray(values, np.float64)))
    return [int(k) for k in known[np.argsort(np.asarray(values, np.float64)[known], kind="stable")][:most]]


def worst_and_best(values: Sequence[float]) -> list[int]:
    """Return the indices of the classes to show.

    Args:
        values: (K,) a score of each class.

    Returns:
        All classes in order if there are at most `MANY`; otherwise the `EACH` lowest and the `EACH` highest,
        lowest first.
    """
    if len(values) <= MANY:
        return list(range(len(values)))
    ranked = lowest(values, len(values))
    return ranked if len(ranked) <= 2 * EACH else ranked[:EACH] + ranked[-EACH:]
