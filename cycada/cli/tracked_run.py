"""Runs and sweeps whose trackers also get what the upper floors make of a finished experiment.

A run folder is all that `cycada.runs` writes. The report of an experiment and its exported model come from
packages above it, so that they are handed in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cycada.config.schema import Config
from cycada.core.profile import Profile
from cycada.core.progress import Progress
from cycada.runs import run as runs
from cycada.runs.run import Products, Summary
from cycada.sweeps import sweep as sweeps
from cycada.tracking.tracker import TrackedModel


def run(
    config: Config, screen: Progress | None = None, profiles: dict[str, Profile] | None = None
) -> Summary:
    """Run every stage that is not done yet, and mirror the experiment into its config's trackers.

    Args:
        config: The experiment.
        screen: Where progress is shown; None shows warnings only.
        profiles: Gets the profile of each stage that is trained, by its name, as soon as it begins; it is
            also written to the stage's folder, as profile.json. None profiles nothing.

    Returns:
        The outcome of all stages.

    Raises:
        CycadaError: For a mistake in the config or the data, and where training fails; what was trained is
            kept.
        Interrupted: After Ctrl-C, when the stage has been saved.
    """
    return runs.run(config, screen, products=PRODUCTS, profiles=profiles)


def sweep(
    file: Path | str,
    assignments: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int | None = None,
    cluster: str | None = None,
    screen: Progress | None = None,
) -> dict[str, Any]:
    """Plan a sweep and train every stage that is not done, as `cycada sweep` does.

    Args:
        file: The sweep's YAML file.
        assignments: Settings over every experiment, as in `data.root=DATA`.
        seeds: Seeds instead of the file's.
        jobs: Stages at the same time, each with its share of this machine's threads; None means 1, or 16 on a
            cluster.
        cluster: `slurm`, or `local`, through submitit; None trains in this process or its children.
        screen: Where progress is shown; None shows warnings only.

    Returns:
        The content of results/sweeps/NAME.json. A cell that failed is in it with its error.

    Raises:
        CycadaError: For mistakes in the sweep, its experiments or the data.
        Interrupted: After Ctrl-C, when all that ran is saved.
    """
    return sweeps.sweep(file, assignments, seeds, jobs, cluster, screen, PRODUCTS)


def report_files(config: Config, summary: Summary, folder: Path) -> list[Path]:
    """Write the report on an experiment's stages into a folder, and return its page and its tables.

    Args:
        config: The experiment.
        summary: Its outcome.
        folder: Where to write.

    Returns:
        The files; none for an experiment without scores of the target, which has no report.
    """
    from cycada.report.report import report  # imports scipy and matplotlib

    scored = [str(stage.folder) for stage in summary.stages if "target" in stage.scores]
    if not scored:
        return []
    report(scored, config.results, folder, title=f"{config.name}, seed {config.seed}")
    return [folder / name for name in ("report.html", "table.md", "table.csv")]


def exported_model(config: Config, summary: Summary, folder: Path) -> TrackedModel:
    """Export the network that the last stage is for into a folder.

    Args:
        config: The experiment.
        summary: Its outcome.
        folder: Where to write.

    Raises:
        CycadaError: The stage has no network that can be exported.
    """
    from cycada.inference.export import export
    from cycada.inference.export_format import read_export

    last = summary.stages[-1]
    export(last.folder, folder, results=config.results)
    about = read_export(folder)[1]
    kind: Literal["classifier", "segmenter", "generator"] = (
        "generator" if about.translates else "segmenter" if about.segmentation else "classifier"
    )
    return TrackedModel(folder, last.id, kind, about.classes, about.channels, about.size)


PRODUCTS = Products(report=report_files, model=exported_model)
