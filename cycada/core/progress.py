"""Progress of a run on the screen: bars on a terminal, and one line for each stage elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column


class Progress:
    """Messages, warnings and progress bars on stderr, so that stdout stays clean for `--json`.

    Args:
        quiet: Whether to show warnings only.
        whose: Name of the run, which warnings begin with where several runs write to one screen.
    """

    def __init__(self, quiet: bool = False, whose: str = "") -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
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
        """Start the progress bar of a stage of `total` steps, `done` of which were trained earlier."""
        self._began = time.perf_counter()
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
        """Move the bar to a step.

        Args:
            step: Steps done.
            rate: Image pairs for each second.
            values: Reported values, of which `loss/NAME` are shown.
        """
        if self._progress:
            losses = "  ".join(
                f"{name[5:]} {value:.3f}" for name, value in values.items() if name.startswith("loss/")
            )
            self._progress.update(self._task, completed=step, rate=f"{rate:,.0f} img/s", losses=losses)

    def end(self) -> None:
        """Remove the progress bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None
