"""Progress of a run on the screen: bars on a terminal, and one line for each report elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

SECONDS_BETWEEN_LINES = 10.0
"""Least number of seconds between two lines of work without losses, such as the translation of a folder."""


class Progress:
    """Messages, warnings and progress bars on stderr, so that stdout stays clean for `--json`.

    Args:
        quiet: Whether to show warnings only.
        whose: Name of the run, with which its warnings begin where several runs write to one screen.
        verbose: Whether to print every reported value, and so monitors and norms of gradients, too.
    """

    def __init__(self, quiet: bool = False, whose: str = "", verbose: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self.quiet, self.verbose = quiet, verbose
        self._whose = whose and f"{whose}: "
        self._progress: Bars | None = None

    def info(self, text: str) -> None:
        """Print a message, unless `quiet`."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.console.print(f"warning: {self._whose}{text}", style="yellow", markup=False)

    def begin(self, stage: str, done: int, total: int) -> None:
        """Start to show a stage of `total` steps, `done` of which were trained earlier."""
        self._stage, self._first, self._total = stage, done, total
        self._began = self._printed = time.perf_counter()
        self._said: float | None = None
        if self.console.is_terminal and not self.quiet:
            uncut, cut_to_fit = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
            self._progress = Bars(
                TextColumn("{task.description:>10}", table_column=uncut),
                BarColumn(20, table_column=Column(min_width=12)),
                MofNCompleteColumn(table_column=uncut),
                TextColumn("{task.fields[rate]}", table_column=uncut),
                TimeRemainingColumn(table_column=uncut),
                TextColumn("{task.fields[losses]}", table_column=cut_to_fit),
                console=self.console,
                transient=True,
                expand=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(stage, total=total, completed=done, rate="", losses="")

    def update(self, step: float, rate: float, values: dict[str, float]) -> None:
        """Move the bar to a step, or print a line where there is no terminal.

        Args:
            step: Steps done.
            rate: Image pairs for each second; 0 where it is not known.
            values: Reported values, of which `loss/NAME` are shown, or all of them if `verbose`.
        """
        shown = {
            name.removeprefix("loss/"): value
            for name, value in values.items()
            if self.verbose or name.startswith("loss/")
        }
        losses = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
        if self._progress:
            self._progress.update(self._task, completed=step, rate=f"{rate:,.0f} img/s", losses=losses)
        elif self.quiet or (not values and not self._is_due(step)):
            return
        if not self._progress or self.verbose:
            self._printed, self._said = time.perf_counter(), step
            self.info(", ".join(self._parts(step, rate, losses)))

    def _is_due(self, step: float) -> bool:
        """Return whether work without losses has a line to say: its end, once, or that it still goes on."""
        if step >= self._total:
            return step != self._said
        return time.perf_counter() - self._printed >= SECONDS_BETWEEN_LINES

    def _parts(self, step: float, rate: float, losses: str) -> list[str]:
        """Return the parts of a line: stage and step, losses, images for each second, and the time left."""
        done = step - self._first
        left = (time.perf_counter() - self._began) / done * (self._total - step) if done > 0 else 0.0
        parts = [f"{self._stage}: {'step ' if losses else ''}{step:.0f} of {self._total}", losses]
        parts += [f"{rate:,.0f} images/s" if rate else ""]
        parts += [f"{timedelta(seconds=round(left))} left" if step < self._total and done > 0 else ""]
        return [part for part in parts if part]

    def end(self) -> None:
        """Remove the progress bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None
