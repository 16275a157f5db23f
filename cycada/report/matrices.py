"""Charts of confusion matrices and of label flips."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from cycada.metrics.many_classes import MANY, coarse, cut, shares, ticks
from cycada.render.figure import new, panel_title, plain
from cycada.report.drawing import Chart
from cycada.report.rows import Variant
from cycada.report.semantics import SharedTranslation, flips

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUES = LinearSegmentedColormap.from_list("page blues", ["#f2f6fa", "#9fc8ea", "#3f90da", "#123a63"])
WRITTEN = 16
"""Largest number of classes for which percentages are written into the cells."""
TICKS = 10
"""Number of classes named at the axes of a matrix of more than MANY classes."""


def matrix(
    count: np.ndarray, classes: Sequence[str], title: str, axes_names: tuple[str, str], key: str, alt: str
) -> Chart:
    """Return a chart of counts as percentages of each row.

    Args:
        count: (K, K) counts. For more than MANY classes a cell shows the largest percentage in a block of
            classes.
        classes: The names of the K classes.
        title: The title of the chart.
        axes_names: What the rows and the columns are.
        key: The name of the chart, which is the name of its file.
        alt: The text for readers who cannot see the chart.
    """
    share, side = coarse(100 * shares(count), MANY)
    named = ticks(len(share), len(share) if side == 1 else TICKS)
    names = [cut(classes[side * i], 14) for i in named]
    more = f"\ncells: the largest\nof {side} x {side} classes" if side > 1 else ""
    make = partial(
        _draw_matrix,
        share,
        named,
        names,
        panel_title(title) + more,
        axes_names,
        numbers=len(count) <= WRITTEN,
    )
    return Chart(key, alt, make)


def _draw_matrix(
    share: np.ndarray,
    named: Sequence[int],
    names: Sequence[str],
    title: str,
    axes_names: tuple[str, str],
    *,
    numbers: bool,
) -> Figure:
    """Draw a matrix.

    Args:
        share: (k, k) percentages.
        named: The indices of the rows and columns that are named.
        names: Their names.
        title: The title, with special characters escaped.
        axes_names: What the rows and the columns are.
        numbers: Whether percentages are written into the cells.
    """
    k = len(share)
    figure, axes = new(3.3, 3.3)
    # one empty background and only the cells that show something: most of K x K shapes would look alike
    axes.add_patch(Rectangle((0, 0), k, k, facecolor=BLUES(0.0), linewidth=0))
    for i, j in np.argwhere(np.round(share) > 0):
        axes.add_patch(
            Rectangle(
                (j, i),
                1,
                1,
                facecolor=BLUES(share[i, j] / 100),
                linewidth=0,
                clip_on=False,
                in_layout=False,
            )
        )
    between = np.arange(1, k)
    axes.vlines(between, 0, k, color="white", linewidth=0.4)
    axes.hlines(between, 0, k, color="white", linewidth=0.4)
    axes.set(xlim=(0, k), ylim=(k, 0), aspect="equal")
    escaped = list(map(plain, names))
    axes.set_xticks(np.array(named) + 0.5, escaped, rotation=90 if max(map(len, escaped)) > 2 else 0)
    axes.set_yticks(np.array(named) + 0.5, escaped)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(title=title, ylabel=axes_names[0], xlabel=axes_names[1])
    for i, j in np.argwhere(np.round(share) > 0) if numbers else ():
        axes.text(
            j + 0.5,
            i + 0.52,
            f"{share[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if share[i, j] > 60 else "#14202b",
            in_layout=False,  # within the axes; to measure every number takes long
        )
    return figure


def confusions(rows: Sequence[Variant]) -> list[Chart]:
    """Return the confusion matrix of each row on the target test set, with the counts of all seeds added."""
    charts = []
    for i, row in enumerate(rows):
        counts = [o.last.confusion["target"] for o in row.outcomes if "target" in o.last.confusion]
        if not counts or len({c.shape for c in counts}) > 1:
            continue
        total = np.sum(counts, axis=0)
        classes = row.outcomes[0].last.classes or tuple(map(str, range(len(total))))
        worst = _worst(total, classes, "taken for")
        alt = f"Confusion matrix of {row.name} on {row.metric.wording.target}. {worst}"
        charts.append(matrix(total, classes, row.name, ("true class", "predicted"), f"confusion{i}", alt))
    return charts


def flip_matrices(groups: Sequence[SharedTranslation], side: str = "t") -> list[Chart]:
    """Return the label flips of each translation: f_s's class before it (rows) and after it (columns)."""
    charts = []
    for i, group in enumerate(groups):
        count = flips(group, side)
        if count is None:
            continue
        classes = next((r.classes for r in group.records if r.classes), None) or tuple(
            map(str, range(len(count)))
        )
        rate = 100 * (1 - np.trace(count) / max(count.sum(), 1))
        way = "source → target" if side == "t" else "target → source"
        title = f"{way}: {rate:.1f} % flip"
        alt = f"Label flips of {group.title}, {title}. {_worst(count, classes, 'turned into')}"
        charts.append(matrix(count, classes, title, ("class before", "class after"), f"flip{side}{i}", alt))
    return charts


def _worst(count: np.ndarray, classes: Sequence[str], verb: str) -> str:
    """Describe the largest entry off the diagonal in words."""
    off = count - np.diag(np.diag(count))
    if not off.any():
        return "Nothing off the diagonal."
    i, j = np.unravel_index(off.argmax(), off.shape)
    return f"Most often {classes[i]} {verb} {classes[j]}, {100 * off[i, j] / count[i].sum():.0f} % of them."
