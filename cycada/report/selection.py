"""What choosing without target labels would have cost: last, each label-free criterion, and the oracle, side by side.

Two choices are looked at: of the step within a run, and of the row within the table. HIGHER is better for all criteria.
Nothing here moves the table's numbers, which are of the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.table import Mean

PREFIX = "selection/"


@dataclass(frozen=True)
class Choice:
    """Target accuracy (mIoU of scenes) where a criterion was highest, and the regret: the oracle's less that."""

    accuracy: Mean
    regret: Mean


@dataclass(frozen=True)
class StepChoices:
    """Of one row. evaluations: to choose from. choices: `last` and each criterion. oracle: the best evaluation, known only with

    target labels.
    """

    row: Variant
    evaluations: int
    choices: dict[str, Choice]
    oracle: Mean


@dataclass(frozen=True)
class RowChoice:
    """Which row a criterion's last values choose, by seed, its accuracy (or mIoU) there, and the regret against the best row."""

    criterion: str
    chosen: dict[int, str]
    choice: Choice


def criteria_of(rows: Sequence[Variant]) -> tuple[str, ...]:
    """The criteria that any evaluation stored, in the order of their first occurrence."""
    found: dict[str, None] = {}
    for row in rows:
        for outcome in row.outcomes:
            found |= dict.fromkeys(
                k.removeprefix(PREFIX) for e in outcome.last.evaluations for k in e if k.startswith(PREFIX)
            )
    return tuple(found)


def choose_steps(rows: Sequence[Variant]) -> list[StepChoices]:
    """For every row whose runs stored criteria. A criterion counts where every evaluation of every seed has it."""
    found = []
    for row in rows:
        runs = {o.seed: o.last.evaluations for o in row.outcomes if o.last.evaluations}
        names = [n for n in criteria_of([row]) if all(PREFIX + n in e for es in runs.values() for e in es)]
        if not runs or not names:
            continue
        key = f"target/{row.metric.key}"
        oracle = {seed: 100 * max(e[key] for e in es) for seed, es in runs.items()}
        at = {"last": {seed: es[-1] for seed, es in runs.items()}}
        for name in names:  # of equals the later: what one more evaluation did not make worse
            key_of = itemgetter(PREFIX + name)
            at[name] = {seed: max(reversed(es), key=key_of) for seed, es in runs.items()}
        choices = {
            name: _choice({s: 100 * e[key] for s, e in chosen.items()}, oracle) for name, chosen in at.items()
        }
        found.append(StepChoices(row, max(map(len, runs.values())), choices, _mean(oracle)))
    return found


def choose_rows(rows: Sequence[Variant]) -> list[RowChoice]:
    """Per criterion, over the seeds that every row has. The oracle row is not up for choice. Empty below two rows."""
    rows = [row for row in rows if not row.oracle]
    seeds = [s for s in (rows[0].seeds if rows else ()) if all(s in row.seeds for row in rows)]
    if len(rows) < 2 or not seeds:
        return []
    runs = {(row.name, o.seed): o.last for row in rows for o in row.outcomes}
    accuracy = {key: run.score() or 0.0 for key, run in runs.items()}
    best = {s: max(accuracy[row.name, s] for row in rows) for s in seeds}
    found = []
    for name in criteria_of(rows):
        value = {key: _last(run, PREFIX + name) for key, run in runs.items()}
        if any(value[row.name, s] is None for row in rows for s in seeds):
            continue
        chosen = {s: max(rows, key=lambda row, s=s: value[row.name, s]).name for s in seeds}  # type: ignore[misc, arg-type]
        found.append(RowChoice(name, chosen, _choice({s: accuracy[chosen[s], s] for s in seeds}, best)))
    return found


def _last(run: Record, key: str) -> float | None:
    return run.evaluations[-1].get(key) if run.evaluations else None


def _choice(accuracy: dict[int, float], oracle: dict[int, float]) -> Choice:
    return Choice(_mean(accuracy), _mean({s: oracle[s] - a for s, a in accuracy.items()}))


def _mean(values: dict[int, float]) -> Mean:
    found = Mean.of(values)
    assert found is not None
    return found
