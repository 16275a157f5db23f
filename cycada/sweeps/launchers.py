"""Where a sweep's stages are trained: in this process, in several processes of this machine, or on a cluster."""

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
    """A stage that was sent off. result() raises what the stage raised."""

    def done(self) -> bool: ...
    def result(self) -> Any: ...


class WorkerDied(CycadaError):
    """The process that trained a stage died: out of memory, killed, or a crash below Python."""


class Launcher(Protocol):
    """slots: how many stages run at once. threads: what each may use; None leaves it to the config."""

    slots: int
    threads: int | None

    def submit(self, task: Task, name: str) -> Handle: ...
    def stop(self) -> None:
        """Ask everything that runs to save and end."""

    def close(self) -> None: ...


class InProcess:
    """One stage at a time, in this process, with its progress on the screen."""

    slots: int = 1
    threads: int | None = None

    def submit(self, task: Task, name: str) -> Handle:
        future: Future[None] = Future()
        try:
            task()
            future.set_result(None)
        except Exception as error:  # reported by the sweep, as from any other process
            future.set_exception(error)
        return future

    def stop(self) -> None:
        """Nothing runs between two stages."""

    def close(self) -> None:
        """Nothing is held."""


class ProcessPool:
    """`jobs` worker processes of this machine (joblib's loky), each with its share of the threads.

    A worker that dies takes the pool with it; the next submit makes a new one.
    """

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self.threads: int | None = max(1, cpu_count() // jobs)
        self._pool: Any = None

    def submit(self, task: Task, name: str) -> Handle:
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
        for pid in list(getattr(self._pool, "_processes", None) or {}):
            os.kill(pid, signal.SIGTERM)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


class _Remote:
    """A future whose broken pool reads as `Lost`."""

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
    """Leave Ctrl-C, which a terminal sends to every process, to the parent: it passes it on once, as SIGTERM.

    It is heard for as long as the worker lives: one that died of it between two stages would take the others along before they have saved.
    The parent says its own number: a worker that asked for it might have lost its parent already, while it started.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _while_it_lives.enter_context(stop_on_signal(enabled=True))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker soon after its parent was killed: first as after Ctrl-C, so that it saves, then at once."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
    os._exit(1)


_while_it_lives = ExitStack()


class Submitit:
    """Through submitit: `slurm`, or `local`, which runs the same code as processes of this machine.

    options: for the executor (timeout_min, cpus_per_task, gpus_per_node, slurm_partition, ...). `folder` is for logs and
    has to be seen from every node.
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
        except Exception as error:  # whatever submitit finds wrong with the cluster or the options
            raise CycadaError(
                f"--cluster {kind}: {error}. Expected slurm, on a machine that has srun, or local; the sweep's `cluster:` holds options."
            ) from None

    def submit(self, task: Task, name: str) -> Handle:
        self._executor.update_parameters(name=name)
        handle = _Submitted(self._executor.submit(task), self._submitit)
        self._handles.append(handle)
        return handle

    def stop(self) -> None:
        for handle in self._handles:
            if not handle.done():
                handle.job.cancel()

    def close(self) -> None:
        """Logs stay."""


class _Submitted:
    def __init__(self, job: Any, submitit: Any) -> None:
        self.job, self._submitit = job, submitit

    def done(self) -> bool:
        return bool(self.job.done())

    def result(self) -> Any:
        try:
            return self.job.result()
        except self._submitit.core.utils.FailedJobError as error:  # holds the traceback as text
            raise CycadaError(
                f"{str(error).strip().splitlines()[-1]} (job {self.job.job_id}, logs: {self.job.paths.stderr})"
            ) from None
        except self._submitit.core.utils.UncompletedJobError as error:
            raise WorkerDied(
                f"{str(error).strip().splitlines()[0][:300]} (job {self.job.job_id}, logs: {self.job.paths.stderr})"
            ) from None


def launcher(cluster: str | None, jobs: int | None, folder: Path, options: Mapping[str, Any]) -> Launcher:
    """What `--cluster` and `--jobs` ask for."""
    if cluster:
        return Submitit(cluster, folder, jobs or 16, options)
    return ProcessPool(jobs) if jobs and jobs > 1 else InProcess()
