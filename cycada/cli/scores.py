"""The table of `cycada evaluate`: one row per domain, or one per class where there are many classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from cycada.core.console import make_plain_console
from cycada.core.errors import list_some
from cycada.evaluation.scores import headline, percent
from cycada.metrics.many_classes import cut, lowest

ACROSS = 20
"""Largest number of classes for which each class has a column."""
DOWN = 40
"""Largest number of classes shown as rows, where the columns are domains."""


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print the scores of `evaluate_run` as a table of bounded size; --json prints all of them."""
    classes, domains = scores["classes"], scores["scores"]
    word = next(iter(headline(values)[0] for values in domains.values()))
    by_class = {name: values.get("class_iou", values["class_accuracy"]) for name, values in domains.items()}
    totals = {name: percent(values) for name, values in domains.items()}
    table = Table(title=f"{scores['experiment']}, stage {scores['stage']}, last step")
    if len(classes) <= ACROSS:
        rows = [(name, totals[name], *map(_share, by_class[name])) for name in domains]
        _fill(table, ("domain", word, *classes), rows)
    else:
        last = list(by_class.values())[-1]
        shown = lowest([math.nan if value is None else value for value in last], DOWN)
        rows = [
            (word, *totals.values()),
            *((cut(classes[k]), *(_share(of[k]) for of in by_class.values())) for k in shown),
        ]
        _fill(table, ("class", *domains), rows)
    out = make_plain_console()
    out.print(table)
    if len(classes) > ACROSS and len(shown) < len(classes):
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


def _fill(table: Table, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
