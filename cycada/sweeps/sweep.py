"""Train a sweep: every stage once, parents first; where one fails, all others are still trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cycada.config.schema import Config, Tracking
from cycada.core.errors import CycadaError, os_message
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.runs.run import Products, run, run_stages
from cycada.sweeps.idle import find_idle
from cycada.sweeps.launchers import Handle, InProcess, Launcher, WorkerDied
from cycada.sweeps.plan import Job, SweepPlan
from cycada.sweeps.progress import SweepProgress
from cycada.sweeps.state import State, SweepState, find_finished
from cycada.sweeps.summary import write_summary
from cycada.tracking.open_tracker import SeveralTrackers, check_trackers, open_tracker
from cycada.train.allocator import return_freed_memory

POLL = 0.3
"""Seconds between two checks of what runs."""
TRIES = 2
"""How often a stage is started again whose process died, the first time included."""


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
    for warning in find_idle(planned):
        screen.warn(f"{planned.file}: {warning}")
    progress = find_finished(planned, screen, records)
    write = partial(write_summary, planned, progress, screen, records)
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
            f"Stopped with {left} of {len(planned.jobs)} stages to go. The same command continues from there."
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
