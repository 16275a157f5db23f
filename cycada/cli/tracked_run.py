"""Runs and sweeps whose trackers also get what the upper floors make of a finished experiment.

A run folder is all that `cycada.runs` writes. The report of an experiment and its exported model come from
packages above it, so that they are handed in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cycada.config.schema import Config, digest
from cycada.core.bounds import Count
from cycada.core.files import warn_if_read_only, write_text
from cycada.core.profile import Profile
from cycada.core.progress import Progress
from cycada.core.registry import typed
from cycada.core.sources import toolkit_digest
from cycada.core.versions import environment
from cycada.planning.slow import find_slow_settings
from cycada.runs import run as runs
from cycada.runs.run import Products, Summary
from cycada.storage.store import RunFolder
from cycada.sweeps.launchers import make_launcher
from cycada.sweeps.plan import plan_sweep
from cycada.sweeps.sweep import run_sweep
from cycada.tracking.tracker import TrackedModel

STAMP = "inputs.txt"
"""File in a report's folder with the digest of what the report was made of."""


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
    if jobs is not None:
        jobs = typed(jobs, Count, "jobs")
    planned, screen = plan_sweep(file, assignments, seeds), screen or Progress(quiet=True)
    unfinished = [job.plan for job in planned.jobs.values() if not job.folder.done]
    for warning in find_slow_settings(planned.cells[0].config, unfinished) if not cluster else ():
        screen.warn(warning)
    launcher = make_launcher(cluster, jobs, planned.results / "sweeps" / "logs", planned.sweep.cluster)
    return run_sweep(planned, launcher, screen, PRODUCTS)


def report_files(config: Config, summary: Summary, screen: Progress) -> list[Path]:
    """Write the report on an experiment's stages beside its summary, and return its page and its tables.

    A report that was made of the same stages by the same version is kept: to draw it takes longer than all
    else where every stage is reused.

    Args:
        config: The experiment.
        summary: Its outcome.
        screen: Where it is said whether the report was written.

    Returns:
        The files; none for an experiment without scores of the target, which has no report.
    """
    scored = [stage.folder for stage in summary.stages if "target" in stage.scores]
    if not scored:
        return []
    folder = config.results / "experiments" / config.name / f"report-seed{config.seed}"
    written, stamp = [folder / name for name in ("report.html", "table.md", "table.csv")], folder / STAMP
    title, inputs = f"{config.name}, seed {config.seed}", _digest_of_inputs(summary)
    if inputs and stamp.is_file() and stamp.read_text() == inputs and all(f.is_file() for f in written):
        screen.info(f"The report is up to date: {written[0]}")
        return written
    from cycada.report.report import report  # imports scipy and matplotlib

    with warn_if_read_only("the report", screen.warn):
        stamp.unlink(missing_ok=True)
        report(list(map(str, scored)), config.results, folder, title=title)
        write_text(stamp, inputs)
        screen.info(f"Report: {written[0]}")
        return written
    return []


def _digest_of_inputs(summary: Summary) -> str:
    """Return a hash of what a report is made of: the digests of its stages' files, and the code.

    Returns:
        The hash; '' where a stage of an older version has no digests.
    """
    digests = {stage.id: RunFolder(stage.folder).digests() for stage in summary.stages}
    return "" if None in digests.values() else digest([digests, toolkit_digest(), environment()])


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
