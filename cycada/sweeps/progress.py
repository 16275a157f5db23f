"""Progress of a sweep: one bar over all stages, or one line for each finished stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.sweeps.plan import Job


class SweepProgress:
    """Context manager that shows how far a sweep is.

    On a terminal it is one bar over all stages with those that run now; elsewhere one line per finished
    stage.

    Args:
        screen: Where to write.
        jobs: Id -> stage of the sweep.
    """

    def __init__(self, screen: Progress, jobs: Mapping[str, Job]) -> None:
        self.screen, self.jobs = screen, jobs
        self._bar: Bars | None = None
        self._began = time.perf_counter()

    def __enter__(self) -> SweepProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def info(self, text: str) -> None:
        """Print a line."""
        self.screen.info(text)

    def finished(self, identity: str, state: str, error: str | None) -> None:
        """Print that a stage is done, or warn that it failed.

        Args:
            identity: The stage's id.
            state: `done` or `failed`.
            error: Why it failed.
        """
        job = self.jobs[identity]
        name = f"{job.config.name}, seed {job.config.seed}: {job.plan.name}"
        minutes = (time.perf_counter() - self._began) / 60
        if error:
            self.screen.warn(f"{name} failed. {error}")
        else:
            self.info(f"[{minutes:6.1f} min] {name} {state}")

    def update(self, running: list[str], done: int) -> None:
        """Move the bar.

        Args:
            running: Ids of the stages that run now.
            done: How many stages are done.
        """
        if not self.screen.console.is_terminal or self.screen.quiet or not running:
            return
        if self._bar is None:
            whole = Column(no_wrap=True)
            self._bar = Bars(
                TextColumn("stages", table_column=whole),
                BarColumn(20, table_column=Column(min_width=12)),
                MofNCompleteColumn(table_column=whole),
                TextColumn(
                    "{task.fields[now]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
                ),
                console=self.screen.console,
                transient=True,
                expand=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=len(self.jobs), now="")
        self._bar.update(self._task, completed=done, now="  ".join(self._now(i) for i in running))

    def _now(self, identity: str) -> str:
        job = self.jobs[identity]
        rows: list[dict[str, float]] = []
        with suppress(CycadaError):  # another process may have written half a row
            rows = job.folder.metrics()
        step = int(rows[-1]["step"]) if rows else 0
        variant = job.config.name.rsplit("/", 1)[-1]
        return f"{variant}/{job.config.seed} {job.plan.name} {step}/{job.plan.stage.steps}"
