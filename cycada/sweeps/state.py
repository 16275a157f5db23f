"""The state of every stage of a sweep, at the beginning and while the sweep is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.runs.records import has_records
from cycada.runs.reuse import check_run_folder
from cycada.sweeps.plan import Job, SweepPlan

State = Literal["waiting", "running", "done", "failed", "skipped", "left out"]


@dataclass
class SweepState:
    """State of every stage of a sweep.

    Attributes:
        states: Id -> state.
        errors: Id -> why the stage failed.
        reused: Ids of stages that were finished before.
    """

    states: dict[str, State]
    errors: dict[str, str] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)

    def of(self, *states: State) -> list[str]:
        """Return the ids of the stages in these states."""
        return [i for i, s in self.states.items() if s in states]


def find_finished(planned: SweepPlan, screen: Progress, records: Path | None = None) -> SweepState:
    """Return the state at the beginning; a finished stage whose files changed counts as failed.

    Args:
        planned: The sweep.
        screen: Where warnings are shown.
        records: A folder of records; see `run_sweep`. Stages that need not be trained are done where they
            have a record, and left out otherwise.
    """
    progress = SweepState(dict.fromkeys(planned.jobs, "waiting"))
    wanted = planned.jobs.keys() if records is None else unrecorded_jobs(planned, records)
    for identity, job in planned.jobs.items():
        if records and identity not in wanted:
            progress.states[identity] = "done" if has_records([identity], records) else "left out"
        elif job.folder.done:
            try:
                check_run_folder(job.folder, screen.warn)
            except CycadaError as error:
                progress.states[identity], progress.errors[identity] = "failed", str(error)
            else:
                progress.states[identity] = "done"
                progress.reused.add(identity)
    return progress


def unrecorded_jobs(planned: SweepPlan, records: Path) -> dict[str, Job]:
    """Return the stages of those cells of a report that lack a record of any of their stages, by id."""
    lacking = [c for c in planned.reported_cells if not has_records(c.ids.values(), records)]
    wanted = {identity for cell in lacking for identity in cell.ids.values()}
    return {identity: job for identity, job in planned.jobs.items() if identity in wanted}
