"""One experiment over several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cycada.config.schema import load
from cycada.core.progress import Progress
from cycada.runs.run import Summary, run


def run_seeds(
    file: Path | str, assignments: Sequence[str], seeds: Sequence[int], screen: Progress | None = None
) -> list[Summary]:
    """Run an experiment once for each seed, without training finished stages again.

    Args:
        file: The experiment's YAML file.
        assignments: Settings over the file's, as in `data.root=DATA`.
        seeds: The seeds, in order.
        screen: Where progress is shown; None shows it on stderr.

    Returns:
        A summary for each seed.
    """
    screen = screen or Progress()
    return [run(load(file, [*assignments, f"seed={seed}"]), screen) for seed in seeds]
