"""Charts of scores and losses: the ablation, learning curves, and scores by class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cycada.metrics.many_classes import EACH, cut, worst_and_best
from cycada.render.figure import COLORS, INK, SOURCE, TARGET, new, panel_title, plain, short
from cycada.report.drawing import Chart
from cycada.report.rows import Variant
from cycada.report.table import TableRow, by_class, mean_by_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = tuple[np.ndarray, np.ndarray]
"""A curve: steps (n,) and values (n,)."""


class Bar(NamedTuple):
    """A bar of the ablation.

    Attributes:
        name: The name of the row.
        score: Its score as text.
        mean: The mean over seeds, in percent.
        error: Its standard error; None for one seed.
        seeds: The value of each seed.
        oracle: Whether the row is an oracle.
        reference: Whether the row is the reference.
        best: Whether it is the best row.
    """

    name: str
    score: str
    mean: float
    error: float | None
    seeds: tuple[float, ...]
    oracle: bool
    reference: bool
    best: bool


def ablation(lines: Sequence[TableRow], reference: str) -> Chart:
    """Return the chart with one bar per row, and a line at the reference's mean."""
    bars = tuple(
        Bar(
            line.row.name,
            str(line.target),
            line.target.mean,
            line.target.error,
            tuple(line.target.values.values()),
            line.row.oracle,
            line.row.name == reference,
            line.best,
        )
        for line in lines
    )
    word = lines[0].row.metric.word
    axis = f"{word} on {lines[0].row.outcomes[0].last.titles[1]} (target), %, last step"
    alt = f"Target {word} by method: " + "; ".join(f"{bar.name} {bar.score}" for bar in bars)
    return Chart("ablation", alt, partial(_draw_ablation, bars, axis))


def _draw_ablation(bars: Sequence[Bar], axis: str) -> Figure:
    """Draw a bar for each row with its standard error, and a dot for each seed; the axis begins at 0."""
    ticks = _ticks(max(max(bar.mean, *bar.seeds) for bar in bars))
    end = ticks[-1]
    figure, axes = new(4.9, 0.45 + 0.44 * len(bars))
    for y, bar in enumerate(bars):
        color = COLORS[3] if bar.oracle else TARGET
        axes.barh(y, bar.mean, height=0.42, color=color, alpha=0.95 if bar.reference else 0.55, linewidth=0)
        if bar.error is not None:
            axes.errorbar(bar.mean, y, xerr=bar.error, color=INK, capsize=3, linewidth=1.1)
            axes.plot(
                bar.seeds, [y] * len(bar.seeds), "o", color=INK, markersize=2.6, alpha=0.55, linewidth=0
            )
        name = bar.name + (" (oracle)" if bar.oracle and "oracle" not in bar.name else "")
        axes.text(0, y - 0.31, short(name, 70), va="bottom", fontsize=8.5)
        weight = "bold" if bar.best else "normal"
        axes.text(1.02 * end, y, bar.score, va="center", fontsize=8.5, weight=weight)
    mean = next(bar.mean for bar in bars if bar.reference)
    axes.axvline(mean, color=INK, linewidth=0.7, linestyle=(0, (3, 3)), alpha=0.6)
    axes.set(xlim=(0, 1.22 * end), ylim=(len(bars) - 0.55, -0.75), yticks=[], xticks=ticks)
    axes.set_xlabel(short(axis, 70), loc="left")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, end)
    return figure


def _ticks(highest: float) -> range:
    """Return the ticks of an axis from 0 % to just above `highest`: 20 apart, or 10 apart up to 60 %."""
    step = 20 if highest > 60 else 10
    return range(0, step * max(1, int(np.ceil(highest / step))) + 1, step)


def learning_curves(rows: Sequence[Variant]) -> list[Chart]:
    """Return one chart per row: its target (full line) and source score (dashed) during its last stage."""
    metric = rows[0].metric
    keys = (f"target/{metric.key}", f"source/{metric.key}")
    curves = {
        row.name: [evaluations for o in row.outcomes if (evaluations := o.last.evaluations)] for row in rows
    }
    values = [
        100 * evaluation[key]
        for runs in curves.values()
        for evaluations in runs
        for evaluation in evaluations
        for key in keys
        if key in evaluation
    ]
    if not values:
        return []
    low = max(0.0, float(10 * np.floor((min(values) - 2) / 10)))
    charts = []
    for i, (name, runs) in enumerate((n, r) for n, r in curves.items() if r):
        last = np.mean([100 * evaluations[-1][keys[0]] for evaluations in runs])
        target, source = ([_series(evaluations, key, 100) for evaluations in runs] for key in keys)
        alt = f"{name}: target {metric.word} by step, ends at {last:.1f} %"
        make = partial(_draw_learning_curve, name, target, source, low, f"{metric.word}, %")
        charts.append(Chart(f"curve{i}", alt, make))
    return charts


def _draw_learning_curve(
    name: str, target: Sequence[Series], source: Sequence[Series], low: float, axis: str
) -> Figure:
    figure, axes = new(3.1, 2.1)
    _seeds_and_mean(axes, target, TARGET, "-")
    _seeds_and_mean(axes, source, SOURCE, "--")
    axes.set(title=panel_title(name), ylim=(low, 103), xlabel="step of the last stage", ylabel=axis)
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    return figure


def loss_curves(row: Variant) -> list[Chart]:
    """Return a chart of the losses of every stage that led to a row, as means over its seeds."""
    charts = []
    for i in range(max(len(o.chain) for o in row.outcomes)):
        stages = [o.chain[i] for o in row.outcomes if i < len(o.chain)]
        names = list(dict.fromkeys(k for r in stages for m in r.metrics for k in m if k.startswith("loss/")))
        if not names:
            continue
        losses = {
            name.removeprefix("loss/"): [s for r in stages if len((s := _series(r.metrics, name))[0])]
            for name in names
        }
        alt = f"Losses of stage {stages[0].stage}: {', '.join(losses)}"
        title = f"{stages[0].stage}: {stages[0].label}"
        charts.append(Chart(f"loss{i}", alt, partial(_draw_losses, title, losses)))
    return charts


def _draw_losses(title: str, losses: dict[str, list[Series]]) -> Figure:
    figure, axes = new(3.1, 2.5)
    for j, (name, series) in enumerate(losses.items()):
        line = "-" if j < len(COLORS) else "--"
        _seeds_and_mean(axes, series, COLORS[j % len(COLORS)], line, name, thin=False)
    axes.set(title=panel_title(title), xlabel="step", ylabel="loss", xlim=(0, None), ylim=(0, None))
    axes.grid(axis="y")
    figure.legend(loc="outside lower left", ncols=2, handlelength=1.2, columnspacing=1)
    return figure


def class_bars(rows: Sequence[Variant]) -> list[Chart]:
    """Return one chart per row: the target accuracy (segmentation: IoU) of each class.

    Dots are seeds, and a dash is the row's own source-only network. Of many classes only the row's worst and
    best are shown, lowest first.
    """
    charts = []
    for i, row in enumerate(rows):
        values, mean = (f([o.last for o in row.outcomes]) for f in (by_class, mean_by_class))
        if values is None or mean is None:
            continue
        baseline = mean_by_class(
            [o.baseline for o in row.outcomes if o.baseline and o.baseline.id != o.last.id]
        )
        total = values.shape[1]
        names = row.outcomes[0].last.classes or tuple(map(str, range(total)))
        shown = worst_and_best(mean.tolist())
        classes = [cut(names[c], 18) for c in shown]
        selection = f": {EACH} worst, {EACH} best of {total:,}" if len(shown) < total else ""
        word = row.metric.class_word
        description = ", ".join(
            f"{c} {v:.0f}" for c, v in zip(classes, mean[shown], strict=True) if not np.isnan(v)
        )
        make = partial(
            _draw_class_bars,
            panel_title(row.name + selection),
            classes,
            values[:, shown],
            mean[shown],
            baseline[shown] if baseline is not None and len(baseline) == total else None,
            axis=f"{word}, %",
            color=COLORS[3] if row.oracle else TARGET,
            halves=bool(selection),
        )
        alt = f"{row.name}: target {word} in % by class{selection}: {description}"
        charts.append(Chart(f"class{i}", alt, make))
    return charts


def _draw_class_bars(
    title: str,
    classes: Sequence[str],
    values: np.ndarray,
    mean: np.ndarray,
    baseline: np.ndarray | None,
    *,
    axis: str,
    color: str,
    halves: bool,
) -> Figure:
    """Draw the bars of one row.

    Args:
        title: The title, with special characters escaped.
        classes: The names of the k classes.
        values: (S, k) the score of each seed, in percent; NaN where a class is absent.
        mean: (k,) their mean.
        baseline: (k,) the mean of the source-only networks.
        axis: The label of the vertical axis.
        color: The colour of the bars.
        halves: Whether to draw a line between the `EACH` worst classes and the best.
    """
    k = len(classes)
    long = max(map(len, classes), default=0) > 2
    figure, axes = new(3.1, 2.7 if long else 2.1)
    axes.bar(range(k), mean, color=color, width=0.72, alpha=0.75, linewidth=0)
    if len(values) > 1:
        places = np.tile(np.arange(k), len(values))
        axes.plot(places, values.ravel(), "o", color=INK, markersize=2, alpha=0.55)
    if baseline is not None:
        axes.hlines(baseline, np.arange(k) - 0.42, np.arange(k) + 0.42, color=SOURCE, linewidth=2)
    axes.set(title=title, ylim=(0, 103), ylabel=axis)
    axes.set_xticks(range(k), map(plain, classes), rotation=90 if long else 0)
    axes.grid(axis="y")
    if halves:
        axes.axvline(EACH - 0.5, color=INK, linewidth=0.7, linestyle=(0, (3, 3)), alpha=0.6)
    return figure


def _series(rows: Sequence[dict[str, float]], key: str, scale: float = 1) -> Series:
    points = [(r["step"], scale * r[key]) for r in rows if key in r]
    return np.array([s for s, _ in points]), np.array([v for _, v in points])


def _seeds_and_mean(
    axes: Axes,
    series: Sequence[Series],
    color: str,
    line: str,
    label: str | None = None,
    thin: bool = True,
) -> None:
    """Draw a thin line for each seed, and a strong one for the mean at the steps that all seeds have."""
    series = [s for s in series if len(s[0])]
    if not series:
        return
    draw = axes.plot
    if thin and len(series) > 1:
        for steps, values in series:
            draw(steps, values, line, color=color, linewidth=0.7, alpha=0.45)
    common = sorted(set.intersection(*(set(s.tolist()) for s, _ in series)))
    means = [np.mean([v[s == step][0] for s, v in series]) for step in common]
    draw(
        common,
        means,
        line,
        color=color,
        label=label,
        linewidth=1.8 if thin else 1.2,
        marker="o" if len(common) < 4 else None,
        markersize=3,
    )
