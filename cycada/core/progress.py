"""What a person sees of a run: bars on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column


class Progress:
    """Writes to stderr, so that stdout stays clean for `--json`. quiet: only warnings.

    whose: what a warning begins with, where several runs write side by side.
    """

    def __init__(self, quiet: bool = False, whose: str = "") -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._whose = whose and f"{whose}: "
        self._progress: Bars | None = None

    def info(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        self.console.print(f"warning: {self._whose}{text}", style="yellow", markup=False)

    def begin(self, stage: str, done: int, total: int) -> None:
        self._began = time.perf_counter()
        if self.console.is_terminal and not self.quiet:
            whole, rest = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
            self._progress = Bars(
                TextColumn("{task.description:>10}", table_column=whole),
                BarColumn(20, table_column=Column(min_width=12)),
                MofNCompleteColumn(table_column=whole),
                TextColumn("{task.fields[rate]}", table_column=whole),
                TimeRemainingColumn(table_column=whole),
                TextColumn("{task.fields[losses]}", table_column=rest),
                console=self.console,
                transient=True,
                expand=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(stage, total=total, completed=done, rate="", losses="")

    def update(self, step: float, rate: float, values: dict[str, float]) -> None:
        if self._progress:
            losses = "  ".join(
                f"{name[5:]} {value:.3f}" for name, value in values.items() if name.startswith("loss/")
            )
            self._progress.update(self._task, completed=step, rate=f"{rate:,.0f} img/s", losses=losses)

    def end(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None
