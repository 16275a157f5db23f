"""Features of source, translated and target images in two dimensions by t-SNE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cycada.metrics.many_classes import cut
from cycada.render.figure import COLORS, SOURCE, TARGET, TRANSLATED, Panel, new, panel, plain, short, styled
from cycada.report.record import Record
from cycada.report.rows import Variant

SHOWN = 300
"""Points of a domain."""
LEGEND = 20
"""Classes that have a colour of their own, at most; of more the commonest have one, and the others are grey."""
OTHERS, COLORFUL = "#c9cdd2", tuple(c for c in COLORS if c not in ("#94a4a2", "#717581"))
"""Grey, and the colours that are none."""
DOMAINS = {"source": (SOURCE, "o"), "translated": (TRANSLATED, "^"), "target": (TARGET, "x")}


def clouds(rows: Sequence[Variant], seed: int = 0) -> list[Panel]:
    """Two panels a row, of its first seed that stored features: coloured by domain, and by class."""
    found = []
    for i, row in enumerate(rows):
        records = [
            o.last
            for o in row.outcomes
            if "features_target" in o.last.analysis and "features_source" in o.last.analysis
        ]
        if records:
            found += _two_panels(records[0], row.name, f"cloud{i}", seed)
    return found


def embed(features: np.ndarray, seed: int) -> np.ndarray:
    """(n, D) -> (n, 2)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    found: np.ndarray = TSNE(2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(features)
    return found


def _two_panels(record: Record, name: str, key: str, seed: int) -> list[Panel]:
    features, domain, label = _points(record, seed)
    if len(features) < 8:
        return []
    at = embed(features, seed)
    there = [d for d in DOMAINS if (domain == d).any()]
    classes = record.classes or tuple(map(str, range(int(label.max()) + 1)))
    what = f"t-SNE of the features of {name}, seed {record.seed}"
    panels = []
    with styled():
        figure, axes = new(3.3, 3.2)
        for d in there:
            color, marker = DOMAINS[d]
            axes.scatter(
                at[domain == d, 0],
                at[domain == d, 1],
                s=9,
                c=color,
                marker=marker,
                linewidths=0.8 if marker == "x" else 0,
                alpha=0.75,
                label=d,
                rasterized=True,
            )
        _frame(figure, axes, f"{name}, by domain", 3)
        panels.append(panel(figure, f"{key}d", f"{what}, coloured by domain: {', '.join(there)}"))
    if (label < 0).all():
        return panels
    with styled():
        figure, axes = new(3.3, 3.2)
        named, others = _commonest(label, LEGEND, LEGEND if record.palette else len(COLORFUL) + 1)
        groups = [("", others, OTHERS)] if others else []
        for i, k in enumerate(named):
            color = (
                record.palette[k] if record.palette else COLORFUL[i] if others else COLORS[k % len(COLORS)]
            )
            groups.append((cut(classes[k], 16) if k < len(classes) else str(k), [k], color))
        for _, of, color in groups:
            for d in there:
                chosen = (domain == d) & np.isin(label, of)
                marker = DOMAINS[d][1]
                thick = 0.8 if marker == "x" else 0
                x, y = at[chosen, 0], at[chosen, 1]
                axes.scatter(x, y, s=9, c=color, marker=marker, linewidths=thick, alpha=0.75, rasterized=True)
        for said, of, color in groups:  # after all points, which so become one picture
            axes.scatter([], [], s=22, c=color, marker="s", label=plain(said or f"{len(of):,} others"))
        longest = max(len(said) for said, _, _ in groups)
        _frame(
            figure, axes, f"{name}, by class", 10 if longest < 3 and not others else 4 if longest < 12 else 2
        )
        panels.append(panel(figure, f"{key}k", f"{what}, coloured by class"))
    return panels


def _commonest(label: np.ndarray, most: int, colors: int) -> tuple[list[int], list[int]]:
    """The classes that get a colour, in their order, and all others: of more than `most` those of most points, one less than colours."""
    classes, points = np.unique(label[label >= 0], return_counts=True)
    if len(classes) <= most:
        return classes.tolist(), []
    named = np.sort(classes[np.argsort(-points, kind="stable")[: colors - 1]])
    return named.tolist(), np.setdiff1d(classes, named).tolist()


def _frame(figure: object, axes: object, title: str, columns: int) -> None:
    axes.set(title=short(title), xticks=[], yticks=[])  # type: ignore[attr-defined]
    axes.spines[:].set_visible(True)  # type: ignore[attr-defined]
    figure.legend(  # type: ignore[attr-defined]
        loc="outside lower center",
        ncols=columns,
        handletextpad=0.1,
        columnspacing=0.7,
        scatterpoints=1,
        markerscale=1.6,
    )


def _points(record: Record, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, D) float32, domain names (n,), labels (n,), -1 where unknown. At most SHOWN of a domain."""
    found = record.analysis
    label_of = {
        "source": "feature_labels_source",
        "translated": "feature_labels_source",
        "target": "feature_labels_target",
    }
    rng = np.random.default_rng(seed)
    features, domains, labels = [], [], []
    for d in DOMAINS:
        rows = found.get(f"features_{d}")
        if rows is None:
            continue
        chosen = np.sort(rng.permutation(len(rows))[:SHOWN])
        label = found.get(label_of[d])
        known = label is not None and len(label) == len(rows)
        features.append(rows[chosen].astype(np.float32))
        domains.append(np.full(len(chosen), d))
        labels.append(label[chosen].astype(int) if known and label is not None else np.full(len(chosen), -1))
    return np.concatenate(features), np.concatenate(domains), np.concatenate(labels)
