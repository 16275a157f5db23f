"""The cost of choosing without target labels: last step, label-free criteria and oracle side by side.

There are two choices: of the step within a run, and of the row within the table. For all criteria, higher is
better. Nothing here changes the numbers of the main table, which are those of the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.table import Mean

PREFIX = "selection/"
"""How the keys of the criteria begin in metrics.jsonl."""
CRITERIA = {
    "certainty": ("certainty", "Certainty: minus the mean entropy of the predictions (Morerio et al. 2018)."),
    "information_maximisation": (
        "InfoMax",
        "InfoMax (information maximisation): the entropy of the mean prediction minus the mean entropy of "
        "the predictions (Shi & Sha 2012).",
    ),
    "bnm": (
        "BNM",
        "BNM (batch nuclear-norm maximisation): the nuclear norm of all predictions as a matrix, divided by "
        "its largest possible value (Cui et al. 2020).",
    ),
    "snd": (
        "SND",
        "SND (soft neighbourhood density): the mean entropy of each image's similarities to all others "
        "(Saito et al. 2021).",
    ),
    "source_accuracy": ("source accuracy", "Source accuracy: the accuracy on the source test set."),
    "agreement": (
        "agreement",
        "Agreement: how often a source image (segmentation: each of its pixels) keeps its class when it is "
        "translated.",
    ),
}
"""Key of a criterion -> how tables write it, and a sentence that explains it."""


@dataclass(frozen=True)
class Choice:
    """The target score of one choice, and its regret.

    Attributes:
        accuracy: Target accuracy, or mIoU for segmentation, where the criterion was highest.
        regret: The oracle's score minus `accuracy`, in points.
    """

    accuracy: Mean
    regret: Mean


@dataclass(frozen=True)
class StepChoices:
    """The choices of a step within the runs of one row.

    Attributes:
        row: The row.
        evaluations: The number of evaluations to choose from.
        choices: The choice of `last`, the last step, and of each criterion.
        oracle: The score of the best evaluation, which only target labels can tell.
    """

    row: Variant
    evaluations: int
    choices: dict[str, Choice]
    oracle: Mean


@dataclass(frozen=True)
class RowChoice:
    """The choice of a row by the values of a criterion at the last step.

    Attributes:
        criterion: The key of the criterion.
        chosen: The name of the chosen row, by seed.
        choice: Its score, and the regret against the best row.
    """

    criterion: str
    chosen: dict[int, str]
    choice: Choice


def criteria_of(rows: Sequence[Variant]) -> tuple[str, ...]:
    """Return the criteria that any evaluation stored, in the order of their first occurrence."""
    names: dict[str, None] = {}
    for row in rows:
        for outcome in row.outcomes:
            names |= dict.fromkeys(
                k.removeprefix(PREFIX) for e in outcome.last.evaluations for k in e if k.startswith(PREFIX)
            )
    return tuple(names)


def choose_steps(rows: Sequence[Variant]) -> list[StepChoices]:
    """Return the choices of a step for every row whose runs stored criteria.

    A criterion counts only if every evaluation of every seed has it. All evaluations of a run are compared on
    the same images; rows in which the criteria are not (see `Record.criteria_images`) are left out.
    """
    step_choices = []
    for row in rows:
        if uneven_criteria(row):
            continue
        runs = {o.seed: o.last.on_common_images() for o in row.outcomes if o.last.evaluations}
        names = [n for n in criteria_of([row]) if all(PREFIX + n in e for es in runs.values() for e in es)]
        if not runs or not names:
            continue
        key = f"target/{row.metric.key}"
        oracle = {seed: 100 * max(e[key] for e in es) for seed, es in runs.items()}
        at = {"last": {seed: es[-1] for seed, es in runs.items()}}
        for name in names:  # among equal values the later evaluation, as training on did no harm
            key_of = itemgetter(PREFIX + name)
            at[name] = {seed: max(reversed(es), key=key_of) for seed, es in runs.items()}
        choices = {
            name: _choice({s: 100 * e[key] for s, e in chosen.items()}, oracle) for name, chosen in at.items()
        }
        step_choices.append(StepChoices(row, max(map(len, runs.values())), choices, _mean(oracle)))
    return step_choices


def uneven_criteria(row: Variant) -> bool:
    """Return whether the criteria of any of a row's runs are of more images at the last step than before."""
    runs = [o.last for o in row.outcomes if len(o.last.evaluations) > 1]
    return any(before != last for before, last in (run.criteria_images for run in runs))


def choose_rows(rows: Sequence[Variant]) -> list[RowChoice]:
    """Return the row that each criterion would choose, over the seeds that every row has.

    Oracles cannot be chosen. The list is empty for fewer than two other rows, and where the criteria of some
    are of more images than those of others, as some criteria grow with that number.
    """
    rows = [row for row in rows if not row.oracle]
    if len({o.last.criteria_images[1] for row in rows for o in row.outcomes}) > 1:
        return []
    seeds = [s for s in (rows[0].seeds if rows else ()) if all(s in row.seeds for row in rows)]
    if len(rows) < 2 or not seeds:
        return []
    runs = {(row.name, o.seed): o.last for row in rows for o in row.outcomes}
    accuracy = {key: run.score() or 0.0 for key, run in runs.items()}
    best = {s: max(accuracy[row.name, s] for row in rows) for s in seeds}
    row_choices = []
    for name in criteria_of(rows):
        found = {key: _last(run, PREFIX + name) for key, run in runs.items()}
        value = {key: number for key, number in found.items() if number is not None}
        if any((row.name, s) not in value for row in rows for s in seeds):
            continue
        by_seed = {s: {row.name: value[row.name, s] for row in rows} for s in seeds}
        chosen = {s: max(by_row, key=by_row.__getitem__) for s, by_row in by_seed.items()}
        row_choices.append(RowChoice(name, chosen, _choice({s: accuracy[chosen[s], s] for s in seeds}, best)))
    return row_choices


def _last(run: Record, key: str) -> float | None:
    return run.evaluations[-1].get(key) if run.evaluations else None


def _choice(accuracy: dict[int, float], oracle: dict[int, float]) -> Choice:
    return Choice(_mean(accuracy), _mean({s: oracle[s] - a for s, a in accuracy.items()}))


def _mean(values: dict[int, float]) -> Mean:
    mean = Mean.of(values)
    assert mean is not None  # there is at least one seed
    return mean
