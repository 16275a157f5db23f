"""The table of `cycada evaluate`: one row per domain, or one per class where columns do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from cycada.core.console import make_plain_console
from cycada.core.errors import list_some
from cycada.evaluation.scores import headline, percent
from cycada.metrics.many_classes import cut, lowest

DOWN = 40
"""Largest number of classes shown as rows, which is how they are shown where their columns do not fit."""


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print the scores of `evaluate_run` as a table of bounded size; --json prints all of them."""
    classes, domains = scores["classes"], scores["scores"]
    word = next(iter(headline(values)[0] for values in domains.values()))
    by_class = {name: values.get("class_iou", values["class_accuracy"]) for name, values in domains.items()}
    totals = {name: percent(values) for name, values in domains.items()}
    title = f"{scores['experiment']}, stage {scores['stage']}, last step"
    rows = [(name, totals[name], *map(_share, by_class[name])) for name in domains]
    table = _table(title, ("domain", word, *classes), rows)
    out = make_plain_console()
    shown: Sequence[int] = range(len(classes))
    if out.measure(table, options=out.options.update(width=10 * out.width)).maximum > out.width:
        last = list(by_class.values())[-1]
        if len(classes) > DOWN:
            shown = lowest([math.nan if value is None else value for value in last], DOWN)
        rows = [
            (word, *totals.values()),
            *((cut(classes[k]), *(_share(of[k]) for of in by_class.values())) for k in shown),
        ]
        table = _table(title, ("class", *domains), rows)
    out.print(table)
    if len(shown) < len(classes):
        out.print(
            f"Shown are the {len(shown)} of {len(classes)} classes with the lowest values of "
            f"{list(domains)[-1]}; --json has all."
        )
    for name, values in domains.items():
        if absent := [c for c, share in zip(classes, values["class_accuracy"], strict=True) if share is None]:
            over = f"the mean is over {len(classes) - len(absent)} of {len(classes)} classes"
            out.print(f"{name}: {over}; its test set does not hold: {list_some(absent)}.")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
