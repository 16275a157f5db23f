"""Launchers train a sweep's stages in this process, in several processes, or on a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from joblib import cpu_count

from cycada.core.errors import CycadaError
from cycada.core.interrupt import stop_on_signal

Task = Callable[[], None]


class Handle(Protocol):
    """Interface of a stage that was submitted."""

    def done(self) -> bool:
        """Return whether the stage has ended, in whatever way."""

    def result(self) -> Any:
        """Wait for the stage, and raise what it raised."""


class WorkerDied(CycadaError):  # noqa: N818 (it says what has happened)
    """Error for a stage whose process died: out of memory, killed, or a crash below Python."""


class Launcher(Protocol):
    """Interface of the places where stages are trained.

    Attributes:
        slots: How many stages run at the same time.
        threads: How many threads each may use; None leaves that to the config.
    """

    slots: int
    threads: int | None

    def submit(self, task: Task, name: str) -> Handle:
        """Start a stage; `name` is what a cluster's queue shows."""

    def stop(self) -> None:
        """Ask all stages that run to save and end."""

    def close(self) -> None:
        """Release processes and files."""


class InProcess:
    """Launcher that trains one stage at a time in this process, with its progress on the screen."""

    slots: int = 1
    threads: int | None = None

    def submit(self, task: Task, name: str) -> Handle:
        """Train the stage at once; the handle is done when this returns."""
        future: Future[None] = Future()
        try:
            task()
            future.set_result(None)
        except Exception as error:  # the sweep reports it, as it does for other launchers
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Do nothing: no stage runs when this is called."""

    def close(self) -> None:
        """Do nothing: no resource is held."""


class ProcessPool:
    """Launcher with worker processes on this machine (joblib's loky), each with its share of the threads.

    A worker that dies breaks the pool; the next submit creates a new one.

    Args:
        jobs: Number of worker processes.
        threads: Number of threads of each; None shares all threads of this machine.
    """

    def __init__(self, jobs: int, threads: int | None = None) -> None:
        self.slots = jobs
        self.threads: int | None = threads or max(1, cpu_count() // jobs)
        self._pool: Any = None

    def submit(self, task: Task, name: str) -> Handle:
        """Send the stage to a worker.

        Raises:
            WorkerDied: Where workers die as soon as they start.
        """
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.process_executor import BrokenProcessPool

        for _ in range(2):
            if self._pool is None:
                env = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
                self._pool = ProcessPoolExecutor(
                    self.slots, env=env, initializer=_begin_worker, initargs=(os.getpid(),)
                )
            try:
                return _Remote(self._pool.submit(task))
            except BrokenProcessPool:
                self.close()
        raise WorkerDied("The worker processes die as soon as they start.")

    def stop(self) -> None:
        """Send SIGTERM to all workers, at which stages save and end."""
        for pid in list(getattr(self._pool, "_processes", None) or {}):
            os.kill(pid, signal.SIGTERM)

    def close(self) -> None:
        """End all workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


class _Remote:
    """Future of a worker process; a broken pool is raised as `WorkerDied`."""

    def __init__(self, future: Any) -> None:
        self._future = future

    def done(self) -> bool:
        return bool(self._future.done())

    def result(self) -> Any:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            return self._future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(f"A worker process died ({str(error).splitlines()[0][:200]}).") from None


def _begin_worker(parent: int) -> None:
    """Prepare a worker for Ctrl-C and for the death of its parent.

    A terminal sends Ctrl-C to every process. Workers ignore it, and the parent passes it on once, as SIGTERM.
    They handle SIGTERM for as long as they live: a worker that died of it between two stages would break the
    pool before the others have saved.

    Args:
        parent: The parent's process id. The parent gives it itself, because a worker that asked for it might
            have lost its parent while it started.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _while_it_lives.enter_context(stop_on_signal(enabled=True))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker soon after its parent was killed: first by SIGTERM, at which it saves, then at once."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


_while_it_lives = ExitStack()
"""What a worker holds until it ends: its handling of SIGTERM."""


class Submitit:
    """Launcher that submits stages to a cluster through submitit.

    Args:
        kind: `slurm`, or `local`, which runs the same code as processes on this machine.
        folder: Where logs go; every node has to see it.
        jobs: How many stages are submitted at the same time.
        options: For submitit's executor: timeout_min, cpus_per_task, gpus_per_node, slurm_partition, ...

    Raises:
        CycadaError: Where submitit is not installed, or there is no such cluster or option.
    """

    def __init__(self, kind: str, folder: Path, jobs: int, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError:
            raise CycadaError("--cluster needs submitit: pip install 'cycada[cluster]'.") from None
        self.slots = jobs
        self.threads: int | None = None
        self._submitit: Any = submitit
        self._handles: list[_Submitted] = []
        try:
            self._executor = submitit.AutoExecutor(folder=folder / "%j", cluster=kind)
            self._executor.update_parameters(**{"timeout_min": 24 * 60, **options})
        except Exception as error:  # submitit raises many kinds, for the cluster and for the options
            raise CycadaError(
                f"--cluster {kind}: {error}. Expected slurm, on a machine that has srun, or local; "
                "the sweep's `cluster:` holds options."
            ) from None

    def submit(self, task: Task, name: str) -> Handle:
        """Submit the stage as a job of this name."""
        self._executor.update_parameters(name=name)
        handle = _Submitted(self._executor.submit(task), self._submitit)
        self._handles.append(handle)
        return handle

    def stop(self) -> None:
        """Cancel all jobs that run; they save first."""
        for handle in self._handles:
            if not handle.done():
                handle.job.cancel()

    def close(self) -> None:
        """Do nothing: logs are kept."""


class _Submitted:
    """Handle of a job that submitit submitted."""

    def __init__(self, job: Any, submitit: Any) -> None:
        self.job, self._submitit = job, submitit

    def done(self) -> bool:
        return bool(self.job.done())

    def result(self) -> Any:
        try:
            return self.job.result()
        except self._submitit.core.utils.FailedJobError as error:  # holds the traceback as text
            raise CycadaError(
                f"{str(error).strip().splitlines()[-1]} "
                f"(job {self.job.job_id}, logs: {self.job.paths.stderr})"
            ) from None
        except self._submitit.core.utils.UncompletedJobError as error:
            raise WorkerDied(
                f"{str(error).strip().splitlines()[0][:300]} "
                f"(job {self.job.job_id}, logs: {self.job.paths.stderr})"
            ) from None


def make_launcher(
    cluster: str | None, jobs: int | None, folder: Path, options: Mapping[str, Any]
) -> Launcher:
    """Return the launcher that `--cluster` and `--jobs` ask for.

    Args:
        cluster: `slurm` or `local` through submitit; None for this machine.
        jobs: How many stages at the same time; None for one, or 16 on a cluster.
        folder: Where a cluster's logs go.
        options: For submitit's executor.

    Raises:
        CycadaError: Where submitit is not installed, or there is no such cluster or option.
    """
    if cluster:
        return Submitit(cluster, folder, jobs or 16, options)
    return ProcessPool(jobs) if jobs and jobs > 1 else InProcess()
