"""Training behind a row: the optimizer steps and seconds of its whole chain of stages."""

from __future__ import annotations

from dataclasses import dataclass

from cycada.core.errors import CycadaError
from cycada.planning.updates import Updates, add_updates
from cycada.render.table import NONE
from cycada.report.rows import Variant

NOTE = (
    "Updates: optimizer steps, summed over all stages that led to the row; `of f_t` counts those that train "
    "the task network, wholly or in part. Seconds: the training time of these stages, as a mean over seeds. "
    "A stage that several rows share is counted in each of them."
)
"""What the columns say, as a note below the table."""
HEADS = ("updates of f_t", "all updates", "seconds")
"""Heads of the columns."""


@dataclass(frozen=True)
class Budget:
    """Training behind a row.

    Attributes:
        updates: The optimizer steps of the chain; None where they are not known, or the seeds have others.
        seconds: The training time of the chain, as a mean over seeds.
    """

    updates: Updates | None
    seconds: float

    def cells(self) -> tuple[str, str, str]:
        """Return the columns of the row, in the order of `HEADS`."""
        counts = (self.updates.task, self.updates.all) if self.updates else (None, None)
        task, total = (NONE if n is None else f"{n:,}" for n in counts)
        return task, total, f"{self.seconds:,.0f}"


def budget_of(row: Variant) -> Budget:
    """Return the training behind a row, summed over its chain of stages."""
    seconds = [sum(r.manifest.get("seconds", 0.0) for r in o.chain) for o in row.outcomes]
    try:
        updates = {add_updates(r.updates for r in outcome.chain) for outcome in row.outcomes}
    except CycadaError:  # an older run that used a plug-in which is not here
        updates = set()
    return Budget(updates.pop() if len(updates) == 1 else None, sum(seconds) / len(seconds))
