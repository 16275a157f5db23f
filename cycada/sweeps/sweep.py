"""Train a sweep: every stage once, parents first; where one fails, all others are still trained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from cycada.config.schema import Config, Tracking, digest
from cycada.core.errors import CycadaError, os_message
from cycada.core.files import prepare_folder, warn_if_read_only, write_json
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.runs.records import Records, has_records
from cycada.runs.reuse import check_run_folder
from cycada.runs.run import Products, run, run_stages
from cycada.storage.store import RECORDS, RunFolder
from cycada.sweeps.launchers import Handle, InProcess, Launcher, WorkerDied
from cycada.sweeps.plan import Cell, Job, Sweep, SweepPlan, load_sweep
from cycada.sweeps.progress import SweepProgress
from cycada.tracking.open_tracker import SeveralTrackers, check_trackers, open_tracker
from cycada.train.allocator import return_freed_memory

POLL = 0.3
"""Seconds between two checks of what runs."""
TRIES = 2
"""How often a stage is started again whose process died, the first time included."""

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


def run_sweep(
    planned: SweepPlan,
    launcher: Launcher | None = None,
    screen: Progress | None = None,
    products: Products = Products(),
    records: Path | None = None,
) -> dict[str, Any]:
    """Train a planned sweep, write results/sweeps/NAME.json, and mirror the cells into the tracker.

    Args:
        planned: The sweep.
        launcher: Where stages are trained; None means in this process. It is closed at the end.
        screen: Where progress is shown; None shows warnings only.
        products: What trackers get beside the stages; cells get no report of their own.
        records: A folder of records. What cells need that have theirs, or that no report shows, is not
            trained, and the records of each cell are written as soon as it is done. None keeps no records.

    Returns:
        The file's content. Of a failed stage only the cells fail that need it.

    Raises:
        Interrupted: After Ctrl-C, when all that ran is saved.
    """
    screen = screen or Progress(quiet=True)
    for warning in planned.warnings():
        screen.warn(f"{planned.file}: {warning}")
    progress = find_finished(planned, screen, records)
    write = partial(_write, planned, progress, screen, records)
    train_stages(planned, launcher, progress, screen, write)
    of_cells = replace(products, report=None)  # a report takes seconds; that of the sweep shows all cells
    opened: dict[tuple[Any, ...], SeveralTrackers] = {}  # so that an address is waited for once
    for cell in planned.cells:
        tracking = cell.config.tracking
        is_here = all(progress.states[i] == "done" and planned.jobs[i].folder.done for i in cell.ids.values())
        if tracking.kinds and is_here:
            where = (tracking.kinds, tracking.uri)
            if where not in opened:
                opened[where] = open_tracker(*where, cell.config.results, screen.warn)
            if opened[where].where:  # all stages are finished: this only mirrors them
                run(cell.config, Progress(quiet=True), cell.variant, opened[where], of_cells)
    return write()


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


def train_stages(
    planned: SweepPlan,
    launcher: Launcher | None,
    progress: SweepState,
    screen: Progress,
    write: Callable[[], Any],
) -> None:
    """Train all stages that wait; where one fails, the others are still trained.

    Args:
        planned: The sweep.
        launcher: See `run_sweep`.
        progress: The state at the beginning, which is kept up to date.
        screen: Where progress is shown.
        write: Called after every stage.

    Raises:
        Interrupted: After Ctrl-C, when all that ran is saved.
    """
    for cell in planned.cells:
        check_trackers(cell.config.tracking.kinds)
    launcher = launcher or InProcess()
    try:
        with stop_on_signal(enabled=True) as stopped, SweepProgress(screen, planned.jobs) as show:
            _train_all(planned, launcher, progress, show, write, stopped.is_set)
    finally:
        launcher.close()


def _train_all(
    planned: SweepPlan,
    launcher: Launcher,
    progress: SweepState,
    show: SweepProgress,
    write: Callable[[], Any],
    stopped: Callable[[], bool],
) -> None:
    """Submit stages whose parents are done and collect those that ended, to the end or until Ctrl-C."""
    running: dict[str, Handle] = {}
    tries: dict[str, int] = {}
    ending = False
    while True:
        if stopped() and not ending:
            ending = True
            launcher.stop()
            show.info("Stopping: every stage that runs saves first.")
        for identity in () if ending else _ready(planned, progress)[: launcher.slots - len(running)]:
            job = planned.jobs[identity]
            progress.states[identity] = "running"
            tries[identity] = tries.get(identity, 0) + 1
            screen = show.screen if isinstance(launcher, InProcess) else None
            task = partial(train_job, _for_any_process(job.config), launcher.threads, screen)
            running[identity] = launcher.submit(task, _title(job))
        for identity in [i for i, handle in running.items() if handle.done()]:
            retry = tries[identity] < TRIES and not ending
            progress.states[identity] = _collect(running.pop(identity), identity, progress, retry)
            if progress.states[identity] in ("done", "failed"):
                show.finished(identity, progress.states[identity], progress.errors.get(identity))
            if progress.states[identity] == "waiting" and isinstance(launcher, InProcess):
                ending = True  # Ctrl-C reached the stage itself
            write()
        if not running and (ending or not _ready(planned, progress)):
            break
        show.update(progress.of("running"), len(progress.of("done")))
        if running:
            time.sleep(POLL)
    if ending:
        left = len(progress.of("waiting", "running"))
        raise Interrupted(
            f"Stopped with {left} of {len(planned.jobs)} stages to go. The same command goes on from there."
        )


def _ready(planned: SweepPlan, progress: SweepState) -> list[str]:
    """Return the waiting stages whose parents are done; those of a failed parent become `skipped`."""
    ready_ids = []
    for identity in progress.of("waiting"):
        parents = [progress.states[p] for p in planned.jobs[identity].parents]
        if any(s in ("failed", "skipped") for s in parents):
            progress.states[identity] = "skipped"
        elif all(s == "done" for s in parents):
            ready_ids.append(identity)
    return ready_ids


def _collect(handle: Handle, identity: str, progress: SweepState, retry: bool) -> State:
    """Return the state of a stage that has ended, and note its error."""
    try:
        handle.result()
    except Interrupted:
        return "waiting"
    except WorkerDied as error:
        if retry:
            return "waiting"
        progress.errors[identity] = str(error)
        return "failed"
    except OSError as error:
        progress.errors[identity] = os_message(error)
        return "failed"
    except Exception as error:  # one stage's error must not end the others
        progress.errors[identity] = (
            str(error) if isinstance(error, CycadaError) else f"{type(error).__name__}: {error}"
        )
        return "failed"
    return "done"


def _for_any_process(config: Config) -> Config:
    """Return the config with absolute paths and without tracking, which the sweep does itself."""
    data = config.data.model_copy(update={"root": config.data.resolved_root().resolve()})
    return config.model_copy(
        update={"results": config.results.resolve(), "data": data, "tracking": Tracking(kind="none")}
    )


def train_job(config: Config, threads: int | None, screen: Progress | None = None) -> None:
    """Train the last stage of a config whose other stages are done, in whichever process the launcher chose.

    Args:
        config: The experiment, with absolute paths.
        threads: How many threads PyTorch uses; None leaves that to the config.
        screen: Where progress is shown; None shows warnings only, with the experiment's name.
    """
    if threads:
        torch.set_num_threads(threads)
        config = config.model_copy(update={"threads": config.threads or threads})
    screen = screen or Progress(quiet=True, whose=f"{config.name}, seed {config.seed}")
    run_stages(config, SeveralTrackers({}), screen)
    return_freed_memory()


def _title(job: Job) -> str:
    return f"{job.plan.name} of {job.config.name}, seed {job.config.seed}"


def _write(
    planned: SweepPlan, progress: SweepState, screen: Progress, records: Path | None
) -> dict[str, Any]:
    """Write results/sweeps/NAME.json after every stage, so that a report can be made of half a sweep.

    The file keeps cells of other seeds that the same sweep trained with the same overrides (`--seeds`). The
    records of cells that are done are written, too, where there is a folder for them.

    Returns:
        The file's content with the planned cells alone.
    """
    sweep, path = planned.sweep, sweep_file(planned.results, planned.sweep.name)
    content: dict[str, Any] = {
        "name": sweep.name,
        "file": str(planned.file),
        "definition": definition(sweep),
        "compare_to": sweep.compare_to or sweep.base,
        **({"settled_on": sweep.settled_on} if sweep.settled_on else {}),
        **({"overrides": planned.overrides} if planned.overrides else {}),
        "cells": [_cell(cell, progress) for cell in planned.cells],
    }
    cells = [*content["cells"], *_other_seeds(content, path)]
    seeds = list(dict.fromkeys(cell["seed"] for cell in cells))
    whole = {
        **content,
        **({"seeds": sorted(seeds)} if set(seeds) != set(sweep.seeds) else {}),
        "cells": cells,
    }
    with warn_if_read_only("the summary", screen.warn):
        prepare_folder(path.parent)
        write_json(path, whole)
    if records:
        with warn_if_not_recorded(screen.warn):
            Records(records).add_sweep(whole, planned.results, replace=False)
    return content


def _other_seeds(content: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the cells of other seeds in the file that an equal sweep left there."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if any(before.get(key) != content.get(key) for key in ("definition", "overrides")):
            return []
        planned = {cell["seed"] for cell in content["cells"]}
        return [cell for cell in before["cells"] if cell["seed"] not in planned]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # there is no file, or it is not what was written


@contextmanager
def warn_if_not_recorded(warn: Callable[[str], None]) -> Iterator[None]:
    """Turn an error of writing records into a warning, as it must not end what is trained meanwhile."""
    try:
        yield
    except Interrupted:
        raise
    except (CycadaError, OSError) as error:
        message = os_message(error) if isinstance(error, OSError) else error
        warn(f"No record was written: {message}")


def definition(sweep: Sweep) -> str:
    """Return a digest of a sweep's file, by which `describe_change` knows whether it was changed."""
    return digest(sweep.model_dump(mode="json"))


def describe_change(word: str, results: Path) -> str | None:
    """Return a sentence where a sweep's file was changed after the sweep was trained; None otherwise.

    Args:
        word: A sweep's YAML file; of anything else nothing is known.
        results: The results folder.
    """
    if Path(word).suffix not in (".yaml", ".yml"):
        return None
    try:
        sweep = load_sweep(word)
        content = json.loads(sweep_file(results, sweep.name).read_text(encoding="utf-8"))
    except (CycadaError, OSError, ValueError):
        return None
    if content.get("definition") in (None, definition(sweep)):
        if overrides := content.get("overrides"):
            return f"{word}: '{sweep.name}' was trained with {' '.join(overrides)} over the file's settings."
        return None
    return (
        f"{word}: it was changed since '{sweep.name}' was trained. The report shows what was trained; "
        f"`cycada sweep {word}` trains what is missing."
    )


def sweep_file(results: Path, name: str) -> Path:
    """Return the path of the file that lists a sweep's cells."""
    return results / "sweeps" / f"{name}.json"


def _cell(cell: Cell, progress: SweepState) -> dict[str, Any]:
    states = [progress.states[i] for i in cell.ids.values()]
    status = (
        "failed"
        if any(s in ("failed", "skipped") for s in states)
        else "done"
        if set(states) == {"done"}
        else "not run"
    )
    errors = [f"stage {name}: {progress.errors[i]}" for name, i in cell.ids.items() if i in progress.errors]
    stages = [
        {"name": p.name, "label": p.method.label, "method": p.stage.method, "id": cell.ids[p.name]}
        for p in cell.plans
    ]
    return {
        "variant": cell.variant,
        "seed": cell.seed,
        "status": status,
        "error": "; ".join(errors) or None,
        "stages": stages,
    }


def seconds_left(jobs: Iterable[Job], results: Path) -> dict[str, float | None]:
    """Estimate how long each stage takes by itself, in seconds.

    An estimate is the mean of finished stages of the same recipe, also of those of which there is only a
    record; else, by images trained on, that of finished stages of the same method; None where there is none.

    Args:
        jobs: The stages.
        results: The results folder with finished stages.

    Returns:
        Id -> seconds.
    """
    by_recipe: dict[str, list[float]] = {}
    by_method: dict[str, list[float]] = {}
    folders = {
        path.parent.name: RunFolder(path.parent)
        for place in (results / RECORDS, results)
        for path in (place / "runs").glob("*/manifest.json")
    }
    for folder in folders.values():
        if not folder.done and not folder.is_record:
            continue
        try:
            manifest = folder.read_json("manifest.json")
        except CycadaError:
            continue  # reported where that stage is needed
        if "seconds" in manifest:
            seconds, images = manifest["seconds"], manifest["steps"] * manifest["batch"]
            by_recipe.setdefault(manifest.get("recipe", ""), []).append(seconds)
            by_method.setdefault(manifest["method"], []).append(seconds / images)
    estimates: dict[str, float | None] = {}
    for job in jobs:
        stage = job.plan.stage
        if same := by_recipe.get(job.plan.recipe()):
            estimates[job.id] = sum(same) / len(same)
        elif alike := by_method.get(stage.method):
            estimates[job.id] = sum(alike) / len(alike) * stage.steps * stage.batch
        else:
            estimates[job.id] = None
    return estimates
