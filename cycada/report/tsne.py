"""Charts of the features of source, translated and target images in two dimensions, by t-SNE."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from cycada.metrics.many_classes import cut
from cycada.render.figure import COLORS, SOURCE, TARGET, TRANSLATED, new, panel_title, plain
from cycada.report.cache import NO_CACHE, Cache
from cycada.report.drawing import Chart
from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.table import TableRow, choose_rows_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6
"""Largest number of rows whose features are drawn, because each embedding takes long."""
SHOWN = 300
"""Largest number of points of a domain."""
LEGEND = 20
"""Largest number of classes that all have a colour; of more the commonest have one, the others are grey."""
OTHERS, COLORFUL = "#c9cdd2", tuple(c for c in COLORS if c not in ("#94a4a2", "#717581"))
"""Grey, for classes without a colour of their own, and the colours that cannot be taken for it."""
DOMAINS = {"source": (SOURCE, "o"), "translated": (TRANSLATED, "^"), "target": (TARGET, "x")}
"""Domain -> the colour and the marker of its points."""
Group = tuple[str, list[int], str]
"""Classes that have one colour: what the legend calls them, the classes, and the colour."""


def rows_with_clouds(lines: Sequence[TableRow], reference: str) -> tuple[list[Variant], list[Variant]]:
    """Choose the rows whose features are drawn: those that matter most of the rows that stored features.

    Args:
        lines: The main table.
        reference: The name of the row that the others are tested against.

    Returns:
        The rows to draw and the rows to leave out, both in the order of the table. Rows whose runs stored no
        features are in neither.
    """
    return choose_rows_to_draw([line for line in lines if _record_with_features(line.row)], reference, MOST)


def feature_charts(rows: Sequence[Variant], seed: int = 0, cache: Cache = NO_CACHE) -> list[Chart]:
    """Return two charts per row, coloured by domain and by class, of its first seed that stored features."""
    charts = []
    for i, row in enumerate(rows):
        if record := _record_with_features(row):
            charts += _two_charts(record, row.name, f"cloud{i}", seed, cache)
    return charts


def _record_with_features(row: Variant) -> Record | None:
    """Return the run of the first seed of a row that stored the features of both domains, or None."""
    stored = {"features_source", "features_target"}
    return next((o.last for o in row.outcomes if stored <= set(o.last.analysis)), None)


def embed(features: np.ndarray, seed: int) -> np.ndarray:
    """Return the t-SNE embedding (n, 2) of features (n, D), started from their principal components."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    tsne = TSNE(2, init="pca", perplexity=perplexity, random_state=seed)
    embedding: np.ndarray = tsne.fit_transform(features)
    return embedding


def _two_charts(record: Record, name: str, key: str, seed: int, cache: Cache) -> list[Chart]:
    features, domain, label = _points(record, seed)
    if len(features) < 8:
        return []
    version = metadata.version("scikit-learn")  # another one may draw the same features in another way
    points = cache.get(f"tsne-{version}-seed{seed}", [features], lambda: embed(features, seed))
    source, target = (cut(title, 24) for title in record.titles)
    titles = {"source": source, "translated": f"{source}, translated", "target": target}
    titles = {d: title for d, title in titles.items() if (domain == d).any()}
    description = f"t-SNE of the features of {name}, seed {record.seed}"
    charts = [
        Chart(
            f"{key}d",
            f"{description}, coloured by domain: {', '.join(titles)}",
            partial(_draw_domains, points, domain, titles, f"{name}, by domain"),
        )
    ]
    if (label < 0).all():
        return charts
    classes = record.classes or tuple(map(str, range(int(label.max()) + 1)))
    named, others = _commonest(label, LEGEND, LEGEND if record.palette else len(COLORFUL) + 1)
    groups: list[Group] = [(f"{len(others):,} others", others, OTHERS)] if others else []
    for i, k in enumerate(named):
        color = record.palette[k] if record.palette else COLORFUL[i] if others else COLORS[k % len(COLORS)]
        groups.append((cut(classes[k], 16) if k < len(classes) else str(k), [k], color))
    longest = max(len(cut(classes[k], 16)) if k < len(classes) else len(str(k)) for k in named)
    columns = 10 if longest < 3 and not others else 4 if longest < 12 else 2
    make = partial(_draw_classes, points, domain, label, groups, f"{name}, by class", columns)
    return [*charts, Chart(f"{key}k", f"{description}, coloured by class", make)]


def _draw_domains(points: np.ndarray, domain: np.ndarray, titles: dict[str, str], title: str) -> Figure:
    """Draw points in the colours of their domains.

    Args:
        points: (n, 2).
        domain: (n,) the domain of each point, a key of `DOMAINS`.
        titles: The name of each domain in the legend.
        title: The title of the chart.
    """
    figure, axes = new(3.3, 3.2)
    for d, name in titles.items():
        color, marker = DOMAINS[d]
        _scatter(axes, points[domain == d], color, marker, plain(name))
    _frame(figure, axes, title, 3)
    return figure


def _draw_classes(
    points: np.ndarray,
    domain: np.ndarray,
    label: np.ndarray,
    groups: Sequence[Group],
    title: str,
    columns: int,
) -> Figure:
    """Draw points in the colours of their classes.

    Args:
        points: (n, 2).
        domain: (n,) the domain of each point, a key of `DOMAINS`.
        label: (n,) the class of each point; -1 where it is unknown.
        groups: The classes that have one colour.
        title: The title of the chart.
        columns: The number of columns of the legend.
    """
    figure, axes = new(3.3, 3.2)
    members = np.concatenate([np.flatnonzero(np.isin(label, classes)) for _, classes, _ in groups])
    colors = np.repeat(
        [color for _, _, color in groups], [np.isin(label, classes).sum() for _, classes, _ in groups]
    )
    for d, (_, marker) in DOMAINS.items():
        if (shown := domain[members] == d).any():
            _scatter(axes, points[members[shown]], colors[shown].tolist(), marker)
    for name, _, color in groups:  # after all points, which so become one picture
        axes.scatter([], [], s=22, c=color, marker="s", label=plain(name))
    _frame(figure, axes, title, columns)
    return figure


def _scatter(
    axes: Axes, points: np.ndarray, color: str | list[str], marker: str, label: str | None = None
) -> None:
    thick = 0.8 if marker == "x" else 0
    x, y = points[:, 0], points[:, 1]
    axes.scatter(
        x, y, s=9, c=color, marker=marker, linewidths=thick, alpha=0.75, label=label, rasterized=True
    )


def _commonest(label: np.ndarray, most: int, colors: int) -> tuple[list[int], list[int]]:
    """Return the classes that get a colour of their own, in their order, and all others.

    Up to `most` classes all have one. Of more, the classes with the most points do, one fewer than there are
    `colors`.
    """
    classes, points = np.unique(label[label >= 0], return_counts=True)
    if len(classes) <= most:
        return classes.tolist(), []
    named = np.sort(classes[np.argsort(-points, kind="stable")[: colors - 1]])
    return named.tolist(), np.setdiff1d(classes, named).tolist()


def _frame(figure: Figure, axes: Axes, title: str, columns: int) -> None:
    axes.set(title=panel_title(title), xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    figure.legend(
        loc="outside lower center",
        ncols=columns,
        handletextpad=0.1,
        columnspacing=0.7,
        scatterpoints=1,
        markerscale=1.6,
    )


def _points(record: Record, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (n, D), domain names (n,) and labels (n,), -1 if unknown; at most SHOWN of a domain."""
    analysis = record.analysis
    label_of = {
        "source": "feature_labels_source",
        "translated": "feature_labels_source",
        "target": "feature_labels_target",
    }
    rng = np.random.default_rng(seed)
    features, domains, labels = [], [], []
    for d in DOMAINS:
        rows = analysis.get(f"features_{d}")
        if rows is None:
            continue
        chosen = np.sort(rng.permutation(len(rows))[:SHOWN])
        label = analysis.get(label_of[d])
        known = label is not None and len(label) == len(rows)
        features.append(rows[chosen].astype(np.float32))
        domains.append(np.full(len(chosen), d))
        labels.append(label[chosen].astype(int) if known and label is not None else np.full(len(chosen), -1))
    return np.concatenate(features), np.concatenate(domains), np.concatenate(labels)
