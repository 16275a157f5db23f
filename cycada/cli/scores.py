"""The table of `cycada evaluate`: a row for every domain, or for every class where there are many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cycada.core.errors import list_some
from cycada.evaluation.scoring import headline, percent
from cycada.metrics.many_classes import cut, lowest

ACROSS = 20
"""Classes up to which each has a column."""
DOWN = 40
"""Classes that have a row, where columns are domains."""


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print what `evaluate_run` found, bounded in both directions; the whole is in its JSON."""
    classes, domains = scores["classes"], scores["scores"]
    word = next(iter(headline(found)[0] for found in domains.values()))
    by_class = {name: found.get("class_iou", found["class_accuracy"]) for name, found in domains.items()}
    totals = {name: percent(found) for name, found in domains.items()}
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
    out = Console(highlight=False)
    out.print(table)
    if len(classes) > ACROSS and len(shown) < len(classes):
        out.print(
            f"The {len(shown)} of {len(classes)} classes with the lowest values of {list(domains)[-1]}; --json has all."
        )
    for name, found in domains.items():
        if absent := [c for c, share in zip(classes, found["class_accuracy"], strict=True) if share is None]:
            over = f"over {len(classes) - len(absent)} of {len(classes)} classes"
            out.print(f"{name}: {over}; its test set does not hold: {list_some(absent)}.", markup=False)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _fill(table: Table, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for head in heads:
        table.add_column(head.replace("[", r"\["), justify="right")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
