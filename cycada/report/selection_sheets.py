"""The tables of what label-free criteria would choose: a step, or a row."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.render.table import Table
from cycada.report.cells import cell
from cycada.report.metric import Metric
from cycada.report.selection import CRITERIA, RowChoice, StepChoices


def step_sheets(steps: Sequence[StepChoices]) -> list[Table]:
    """Return two tables: the score of each choice of a step, and its regret."""
    word = steps[0].row.metric.word
    criteria = list(dict.fromkeys(name for s in steps for name in s.choices if name != "last"))
    heads = ("method", "evaluations", "last", *map(_criterion_title, criteria), "oracle *")
    accuracy, regret = [], []
    for s in steps:
        shown = [s.choices.get(c) for c in ("last", *criteria)]
        label = f"{s.row.name} *" if s.row.oracle else s.row.name
        accuracy.append(
            (label, str(s.evaluations), *(cell(c.accuracy if c else None) for c in shown), cell(s.oracle))
        )
        regret.append((label, str(s.evaluations), *(cell(c.regret if c else None) for c in shown), "0"))
    sample = max((o.last.scored_images or 0 for s in steps for o in s.row.outcomes), default=0)
    last = (
        f"Last: the last step. Before it, a run scores at most {sample:,} target test images, and then all; "
        "here every evaluation counts with the same ones, so that `last` may differ from the results table."
        if sample
        else "Last: the last step, as in the results table."
    )
    note = (
        f"Evaluations: how many there were to choose from. {last} Each criterion chooses, without target "
        "labels, the evaluation at which it was highest. * The oracle chooses with target labels: it is a "
        "bound, never a result. A method marked * was trained with target labels."
    )
    explained = [CRITERIA[c][1] for c in criteria if c in CRITERIA]
    return [
        Table(
            "selection_accuracy",
            f"Target {word} where each criterion would have stopped",
            heads,
            accuracy,
            notes=(note, *explained),
        ),
        Table(
            "selection_regret",
            "Regret of each criterion, in points",
            heads,
            regret,
            notes=("Regret: the oracle's score minus that of the choice, as a mean over seeds.",),
        ),
    ]


def row_sheet(choices: Sequence[RowChoice], metric: Metric) -> Table:
    """Return the table of the row that each criterion would choose."""
    rows = []
    for c in choices:
        counted = {row: list(c.chosen.values()).count(row) for row in dict.fromkeys(c.chosen.values())}
        chosen = ", ".join(
            row if len(c.chosen) == 1 else f"{row} ({n} of {len(c.chosen)})" for row, n in counted.items()
        )
        rows.append((_criterion_title(c.criterion), cell(c.choice.accuracy), cell(c.choice.regret), chosen))
    note = (
        "Each criterion chooses one of the rows (without the oracles) for each seed, by its value at the "
        "last step. Regret: the best row of each seed minus the chosen one. Compare the values of networks "
        "that were trained by different losses only with caution."
    )
    heads = ("criterion", f"target {metric.word}", "regret", "chooses")
    return Table("selection_rows", "Choosing the method without target labels", heads, rows, notes=(note,))


def _criterion_title(key: str) -> str:
    """Return how tables write a criterion; a plugin's by its key."""
    return CRITERIA[key][0] if key in CRITERIA else key.replace("_", " ")
