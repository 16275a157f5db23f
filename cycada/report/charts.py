"""Charts of scores and losses: the ablation, learning curves, and scores by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cycada.metrics.many_classes import EACH, cut, worst_and_best
from cycada.render.figure import COLORS, INK, SOURCE, TARGET, Panel, new, panel, plain, short, styled
from cycada.report.rows import Variant
from cycada.report.table import TableRow, by_class, mean_by_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ablation(lines: Sequence[TableRow], reference: str) -> Panel:
    """Draw one bar per row with its standard error, a dot for each seed, and a line at the reference's mean.

    The axis begins at 0.
    """
    ticks = _ticks(max(max((line.target.mean, *line.target.values.values())) for line in lines))
    end = ticks[-1]
    with styled():
        figure, axes = new(4.9, 0.45 + 0.44 * len(lines))
        for y, line in enumerate(lines):
            color = COLORS[3] if line.row.oracle else TARGET
            strong = line.row.name == reference
            axes.barh(
                y, line.target.mean, height=0.42, color=color, alpha=0.95 if strong else 0.55, linewidth=0
            )
            seeds = list(line.target.values.values())
            if line.target.error is not None:
                axes.errorbar(
                    line.target.mean, y, xerr=line.target.error, color=INK, capsize=3, linewidth=1.1
                )
                axes.plot(seeds, [y] * len(seeds), "o", color=INK, markersize=2.6, alpha=0.55, linewidth=0)
            axes.text(
                0,
                y - 0.31,
                short(
                    line.row.name
                    + (" (oracle)" if line.row.oracle and "oracle" not in line.row.name else ""),
                    70,
                ),
                va="bottom",
                fontsize=8.5,
            )
            axes.text(
                1.02 * end,
                y,
                str(line.target),
                va="center",
                fontsize=8.5,
                weight="bold" if line.best else "normal",
            )
        mean = next(line.target.mean for line in lines if line.row.name == reference)
        axes.axvline(mean, color=INK, linewidth=0.7, linestyle=(0, (3, 3)), alpha=0.6)
        axes.set(xlim=(0, 1.22 * end), ylim=(len(lines) - 0.55, -0.75), yticks=[], xticks=ticks)
        word = lines[0].row.metric.word
        target = lines[0].row.outcomes[0].last.titles[1]
        axes.set_xlabel(short(f"{word} on {target} (target), %, last step", 70), loc="left")
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_bounds(0, end)
        alt = f"Target {word} by method: " + "; ".join(f"{line.row.name} {line.target}" for line in lines)
        return panel(figure, "ablation", alt)


def _ticks(highest: float) -> range:
    """Return the ticks of an axis from 0 % to just above `highest`: 20 apart, or 10 apart up to 60 %."""
    step = 20 if highest > 60 else 10
    return range(0, step * max(1, int(np.ceil(highest / step))) + 1, step)


def learning_curves(rows: Sequence[Variant]) -> list[Panel]:
    """Draw one panel per row: its target (full line) and source score (dashed) during its last stage."""
    metric = rows[0].metric
    curves = {
        row.name: [(o.seed, o.last.evaluations) for o in row.outcomes if o.last.evaluations] for row in rows
    }
    keys = (f"target/{metric.key}", f"source/{metric.key}")
    values = [
        100 * evaluation[key]
        for runs in curves.values()
        for _, evaluations in runs
        for evaluation in evaluations
        for key in keys
        if key in evaluation
    ]
    if not values:
        return []
    low = max(0, 10 * np.floor((min(values) - 2) / 10))
    panels = []
    for i, (name, runs) in enumerate((n, r) for n, r in curves.items() if r):
        with styled():
            figure, axes = new(3.1, 2.1)
            for side, color, line in (("target", TARGET, "-"), ("source", SOURCE, "--")):
                _seeds_and_mean(
                    axes, [_series(es, f"{side}/{metric.key}", 100) for _, es in runs], color, line
                )
            axes.set(
                title=short(name),
                ylim=(low, 103),
                xlabel="step of the last stage",
                ylabel=f"{metric.word}, %",
            )
            axes.set_xlim(left=0)
            axes.grid(axis="y")
            last = np.mean([100 * es[-1][f"target/{metric.key}"] for _, es in runs])
            panels.append(
                panel(figure, f"curve{i}", f"{name}: target {metric.word} by step, ends at {last:.1f} %")
            )
    return panels


def loss_curves(row: Variant) -> list[Panel]:
    """Draw the losses of every stage that led to a row, as means over its seeds."""
    panels = []
    for i in range(max(len(o.chain) for o in row.outcomes)):
        stages = [o.chain[i] for o in row.outcomes if i < len(o.chain)]
        names = list(dict.fromkeys(k for r in stages for m in r.metrics for k in m if k.startswith("loss/")))
        if not names:
            continue
        with styled():
            figure, axes = new(3.1, 2.5)
            for j, name in enumerate(names):
                series = [s for r in stages if len((s := _series(r.metrics, name))[0])]
                _seeds_and_mean(
                    axes,
                    series,
                    COLORS[j % len(COLORS)],
                    "-" if j < len(COLORS) else "--",
                    name.removeprefix("loss/"),
                    thin=False,
                )
            axes.set(
                title=short(f"{stages[0].stage}: {stages[0].label}"),
                xlabel="step",
                ylabel="loss",
                xlim=(0, None),
                ylim=(0, None),
            )
            axes.grid(axis="y")
            figure.legend(loc="outside lower left", ncols=2, handlelength=1.2, columnspacing=1)
            panels.append(
                panel(
                    figure,
                    f"loss{i}",
                    f"Losses of stage {stages[0].stage}: {', '.join(n.removeprefix('loss/') for n in names)}",
                )
            )
    return panels


def class_bars(rows: Sequence[Variant]) -> list[Panel]:
    """Draw one panel per row: the target accuracy (segmentation: IoU) of each class.

    Dots are seeds, and a dash is the row's own source-only network. Of many classes only the row's worst and
    best are shown, lowest first.
    """
    panels = []
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
        baseline = baseline[shown] if baseline is not None and len(baseline) == total else None
        values, mean, classes, k = (
            values[:, shown],
            mean[shown],
            [cut(names[c], 18) for c in shown],
            len(shown),
        )
        long = max(map(len, classes), default=0) > 2
        selection = f": {EACH} worst, {EACH} best of {total:,}" if k < total else ""
        with styled():
            figure, axes = new(3.1, 2.7 if long else 2.1)
            axes.bar(
                range(k), mean, color=COLORS[3] if row.oracle else TARGET, width=0.72, alpha=0.75, linewidth=0
            )
            if len(values) > 1:
                axes.plot(
                    np.tile(np.arange(k), len(values)),
                    values.ravel(),
                    "o",
                    color=INK,
                    markersize=2,
                    alpha=0.55,
                )
            if baseline is not None:
                axes.hlines(baseline, np.arange(k) - 0.42, np.arange(k) + 0.42, color=SOURCE, linewidth=2)
            axes.set(
                title=short(row.name, 42 - len(selection)) + selection,
                ylim=(0, 103),
                ylabel=f"{row.metric.class_word}, %",
            )
            axes.set_xticks(range(k), map(plain, classes), rotation=90 if long else 0)
            axes.grid(axis="y")
            if selection:
                axes.axvline(EACH - 0.5, color=INK, linewidth=0.7, linestyle=(0, (3, 3)), alpha=0.6)
            description = ", ".join(
                f"{c} {v:.0f}" for c, v in zip(classes, mean, strict=True) if not np.isnan(v)
            )
            panels.append(
                panel(
                    figure,
                    f"class{i}",
                    f"{row.name}: target {row.metric.class_word} in % by class{selection}: {description}",
                )
            )
    return panels


def _series(rows: Sequence[dict[str, float]], key: str, scale: float = 1) -> tuple[np.ndarray, np.ndarray]:
    points = [(r["step"], scale * r[key]) for r in rows if key in r]
    return np.array([s for s, _ in points]), np.array([v for _, v in points])


def _seeds_and_mean(
    axes: Axes,
    series: Sequence[tuple[np.ndarray, np.ndarray]],
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
