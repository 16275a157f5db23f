"""Train a sweep: every stage once, children after their parents, what fails set aside, all else to the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from cycada.config.schema import Config, Tracking
from cycada.core.errors import CycadaError, os_message
from cycada.core.files import ready, unless_read_only, write_json
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.runs.reuse import checked
from cycada.runs.run import run, run_stages
from cycada.storage.store import RunFolder
from cycada.sweeps.launchers import Handle, InProcess, Launcher, WorkerDied, launcher
from cycada.sweeps.plan import Cell, Job, SweepPlan, plan_sweep
from cycada.sweeps.progress import SweepProgress
from cycada.tracking.tracker import NullTracker

POLL = 0.3
"""Seconds between two looks at what runs."""
TRIES = 2
"""How often a stage is started whose process dies."""

State = Literal["waiting", "running", "done", "failed", "skipped"]


@dataclass
class SweepState:
    """The state of every job, and why one failed."""

    states: dict[str, State]
    errors: dict[str, str] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)

    def of(self, *states: State) -> list[str]:
        return [i for i, s in self.states.items() if s in states]


def sweep(
    file: Path | str,
    assignments: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int | None = None,
    cluster: str | None = None,
    screen: Progress | None = None,
) -> dict[str, Any]:
    """What `cycada sweep` does: plan the YAML file, train what is not done, -> the content of results/sweeps/NAME.json.

    jobs: stages at once, each with its share of this machine's threads. cluster: `slurm` or `local` through submitit.
    Raises CycadaError for a mistake in the file; a cell that fails is in the content with its error.
    """
    planned = plan_sweep(file, assignments, seeds)
    return run_sweep(
        planned, launcher(cluster, jobs, planned.results / "sweeps" / "logs", planned.sweep.cluster), screen
    )


def run_sweep(
    planned: SweepPlan, place: Launcher | None = None, screen: Progress | None = None
) -> dict[str, Any]:
    """Train what is not done, write `results/sweeps/NAME.json`, mirror the cells into the tracker. -> that file's content.

    A failed stage takes along only the cells that need it. Raises Interrupted after Ctrl-C, when all that ran is saved.
    """
    place = place or InProcess()
    screen = screen or Progress(quiet=True)
    progress = _found(planned, screen)
    write = partial(_write, planned, progress, screen)
    try:
        with stop_on_signal(enabled=True) as stopped, SweepProgress(screen, planned.jobs) as show:
            _train_all(planned, place, progress, show, write, stopped.is_set)
    finally:
        place.close()
    lost: set[str | None] = set()  # an address that fails is waited for once
    for cell in planned.cells:
        uri = cell.config.tracking.uri
        if (
            cell.config.tracking.kind != "none"
            and uri not in lost
            and all(progress.states[i] == "done" for i in cell.ids.values())
        ):
            summary = run(cell.config, Progress(quiet=True))  # everything is there: this only mirrors it
            if not summary.tracking:
                lost.add(uri)
    return write()


def _found(planned: SweepPlan, screen: Progress) -> SweepState:
    """What is finished already. A finished stage whose files are not those that it wrote has failed."""
    progress = SweepState(dict.fromkeys(planned.jobs, "waiting"))
    for identity, job in planned.jobs.items():
        if job.folder.done:
            try:
                checked(job.folder, screen.warn)
            except CycadaError as error:
                progress.states[identity], progress.errors[identity] = "failed", str(error)
            else:
                progress.states[identity] = "done"
                progress.reused.add(identity)
    return progress


def _train_all(
    planned: SweepPlan,
    place: Launcher,
    progress: SweepState,
    show: SweepProgress,
    write: Callable[[], Any],
    stopped: Callable[[], bool],
) -> None:
    running: dict[str, Handle] = {}
    tries: dict[str, int] = {}
    ending = False
    while True:
        if stopped() and not ending:
            ending = True
            place.stop()
            show.info("Stopping: every stage that runs saves first.")
        for identity in () if ending else _ready(planned, progress)[: place.slots - len(running)]:
            job = planned.jobs[identity]
            progress.states[identity] = "running"
            tries[identity] = tries.get(identity, 0) + 1
            inside = show.screen if isinstance(place, InProcess) else None
            running[identity] = place.submit(
                partial(train_job, _on_its_own(job.config), place.threads, inside), _title(job)
            )
        for identity in [i for i, handle in running.items() if handle.done()]:
            progress.states[identity] = _ended(
                running.pop(identity), identity, progress, retry=tries[identity] < TRIES and not ending
            )
            if progress.states[identity] in ("done", "failed"):
                show.finished(identity, progress.states[identity], progress.errors.get(identity))
            if progress.states[identity] == "waiting" and isinstance(place, InProcess):
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
    """Waiting jobs whose parents are done. Those of a failed parent are set aside on the way."""
    found = []
    for identity in progress.of("waiting"):
        parents = [progress.states[p] for p in planned.jobs[identity].parents]
        if any(s in ("failed", "skipped") for s in parents):
            progress.states[identity] = "skipped"
        elif all(s == "done" for s in parents):
            found.append(identity)
    return found


def _ended(handle: Handle, identity: str, progress: SweepState, retry: bool) -> State:
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
    except Exception as error:  # one stage's mistake must not end the others
        progress.errors[identity] = (
            str(error) if isinstance(error, CycadaError) else f"{type(error).__name__}: {error}"
        )
        return "failed"
    return "done"


def _on_its_own(config: Config) -> Config:
    """Paths that mean the same in another process; tracking is the sweep's own business."""
    data = config.data.model_copy(update={"root": config.data.resolved_root().resolve()})
    return config.model_copy(
        update={"results": config.results.resolve(), "data": data, "tracking": Tracking(kind="none")}
    )


def train_job(config: Config, threads: int | None, screen: Progress | None = None) -> None:
    """Train the last stage of a config whose other stages are done. Runs in whichever process the launcher chose."""
    if threads:
        torch.set_num_threads(threads)
        config = config.model_copy(update={"threads": config.threads or threads})
    run_stages(
        config, NullTracker(), screen or Progress(quiet=True, whose=f"{config.name}, seed {config.seed}")
    )


def _title(job: Job) -> str:
    return f"{job.plan.name} of {job.config.name}, seed {job.config.seed}"


def _write(planned: SweepPlan, progress: SweepState, screen: Progress) -> dict[str, Any]:
    """results/sweeps/NAME.json: what a report reads. Written after every stage, so that a report can be made half-way."""
    sweep = planned.sweep
    content = {
        "name": sweep.name,
        "file": str(planned.file),
        "compare_to": sweep.compare_to or sweep.base,
        "cells": [_cell(cell, progress) for cell in planned.cells],
    }
    path = sweep_file(planned.results, sweep.name)
    with unless_read_only("the summary", screen.warn):
        ready(path.parent)
        write_json(path, content)
    return content


def sweep_file(results: Path, name: str) -> Path:
    """Where a sweep's cells are listed."""
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
    """Job id -> how long it would take by itself, from finished stages: of the same recipe, else of the same method by
    images trained on; None where no stage of the method was ever finished here."""
    by_recipe: dict[str, list[float]] = {}
    by_method: dict[str, list[float]] = {}
    for path in (results / "runs").glob("*/manifest.json"):
        folder = RunFolder(path.parent)
        if not folder.done:
            continue
        try:
            m = folder.read_json("manifest.json")
        except CycadaError:
            continue  # whoever wants that stage hears of it
        if "seconds" in m:
            by_recipe.setdefault(m.get("recipe", ""), []).append(m["seconds"])
            by_method.setdefault(m["method"], []).append(m["seconds"] / (m["steps"] * m["batch"]))
    found: dict[str, float | None] = {}
    for job in jobs:
        stage = job.plan.stage
        if same := by_recipe.get(job.plan.recipe()):
            found[job.id] = sum(same) / len(same)
        elif alike := by_method.get(stage.method):
            found[job.id] = sum(alike) / len(alike) * stage.steps * stage.batch
        else:
            found[job.id] = None
    return found
