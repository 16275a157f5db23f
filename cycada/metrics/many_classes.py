"""What stands for a (K, K) count of more classes than one can look at: blocks of its cells, and its largest errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MANY = 40
"""Classes up to which tables and pictures show every one; of more they show the worst and the best."""
EACH = 10
"""So many of the worst, and as many of the best."""


@dataclass(frozen=True)
class Confused:
    """So many examples of the class `true` were called `said`; share: of all examples of that class."""

    true: int
    said: int
    count: int
    share: float


def shares(count: np.ndarray) -> np.ndarray:
    """(K, K) counts -> shares of each row in [0, 1]; a row without a count is 0. -> float64."""
    found: np.ndarray = count / np.maximum(count.sum(1, keepdims=True), 1)
    return found


def coarse(share: np.ndarray, most: int) -> tuple[np.ndarray, int]:
    """The largest of each block of cells, so that at most `most` rows are left and no error vanishes. -> (blocks, cells of a side)."""
    k = len(share)
    side = max(1, -(-k // most))
    starts = np.arange(0, k, side)
    return np.maximum.reduceat(np.maximum.reduceat(share, starts, axis=0), starts, axis=1), side


def most_confused(count: np.ndarray, most: int) -> list[Confused]:
    """The largest counts off the diagonal, largest first, at most so many; of equal ones the larger share, then the earlier class."""
    off = np.array(count)
    np.fill_diagonal(off, 0)
    share = shares(count)
    rows, columns = off.nonzero()
    order = np.lexsort((columns, rows, -share[rows, columns], -off[rows, columns]))[:most]
    return [
        Confused(int(i), int(j), int(off[i, j]), float(share[i, j]))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def ticks(k: int, most: int) -> list[int]:
    """At most so many of 0 to k - 1, equally far apart from 0 on."""
    return list(range(0, k, max(1, -(-k // most))))


def cut(name: str, length: int = 24) -> str:
    """A class's name where there is little room: its beginning and its end, by which long names often differ."""
    return name if len(name) <= length else f"{name[: length - 9]}…{name[-8:]}"


def lowest(values: Sequence[float], most: int) -> list[int]:
    """The places of the lowest values, lowest first, at most so many; NaN is none of them."""
    known = np.flatnonzero(~np.isnan(np.asarray(values, np.float64)))
    return [int(k) for k in known[np.argsort(np.asarray(values, np.float64)[known], kind="stable")][:most]]


def worst_and_best(values: Sequence[float]) -> list[int]:
    """Of at most MANY classes all, in their order; of more the places of the EACH lowest and the EACH highest values, lowest first."""
    if len(values) <= MANY:
        return list(range(len(values)))
    ranked = lowest(values, len(values))
    return ranked if len(ranked) <= 2 * EACH else ranked[:EACH] + ranked[-EACH:]
