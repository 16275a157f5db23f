"""MLflow mirrors the run folders; the only file that imports it. A tracker that fails or is absent fails no run."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from posixpath import normpath
from queue import Empty, Queue
from typing import Any, TypeVar

from cycada.core.interrupt import Interrupted
from cycada.core.lock import locked
from cycada.core.secrets import HIDDEN, redacted
from cycada.tracking.mlflow_database import prepare_database

Warn = Callable[[str], None]
T = TypeVar("T")
V = TypeVar("V")

PATIENCE = 5.0
"""Seconds for a tracking server to answer for the first time."""
QUIET_WAIT, LONGEST_WAIT = 1, 30
"""Seconds to wait for another process that looks for its runs: before that is said, and in all."""
LONGEST_NAME = 250
"""Characters that MLflow takes in a name."""
AFTERWARDS = ("final/", "quality/")
"""What the names of metrics begin with that are of the finished stage, not of a step."""


class NoTracker:
    """`tracking.kind: none`. Also the interface: what a run tells a tracker."""

    where = ""

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        """An experiment starts."""

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """A stage starts, goes on, or is reused."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """What was measured at a step of the stage."""

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """The stage is done."""

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        """The experiment is done, or stopped."""

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Something was measured of a finished stage, in all experiments that show it."""


class MlflowTracker(NoTracker):
    """One parent run per experiment and seed, one nested run per stage; both are found again when a run goes on.

    What MLflow holds already is never logged again: a row of metrics is completed where a process was killed in the middle of it, and
    left alone otherwise. uri None: sqlite and artifacts under `results`. warn: is told of waiting and of what was mended.
    """

    def __init__(self, uri: str | None, results: Path, warn: Warn = lambda text: None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
        from mlflow import MlflowClient, entities
        from mlflow.store.db import utils

        logging.getLogger("mlflow").setLevel(
            logging.WARNING
        )  # it announces every migration of a new database
        logging.getLogger("alembic").setLevel(logging.WARNING)

        utils.MAX_RETRY_COUNT = 1  # or it would wait 100 seconds for a database that cannot be opened
        self.entities, self.warn, self.said = entities, warn, False
        results.mkdir(parents=True, exist_ok=True)
        self.results = results.resolve()
        address = uri or f"sqlite:///{self.results / 'mlflow.db'}"
        self.where = redacted(address)
        database = (
            Path(address.removeprefix("sqlite:///")) if re.fullmatch(r"sqlite:///[^?:]+", address) else None
        )
        self.local = database is not None and database.resolve() == self.results / "mlflow.db"

        def opened(address: str) -> Any:
            client = MlflowClient(address)
            client.search_experiments(max_results=1)
            return client

        if database:
            os.environ.setdefault(
                "MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool"
            )  # a kept connection outlives a file that is put aside
            with self._alone():  # processes that create one database at once break each other
                prepare_database(database, self.results / "mlflow" if self.local else None, opened, warn)
                self.client = opened(address)
        else:
            self.client = within(PATIENCE, lambda: opened(address))
        self.parent = self.stage = self.experiment = ""
        self.there: dict[str, int] = {}
        self.seen, self.unfit = -1, 0

    def _alone(self) -> AbstractContextManager[None]:
        """Inside, no other process looks for a run and makes it where there is none, which two at once would do twice."""
        path = self.results / "mlflow.lock"

        def waiting() -> None:
            if not self.said:
                self.warn(
                    f"Another process holds {path}; tracking waits for it, at most {LONGEST_WAIT} seconds."
                )
            self.said = True

        return locked(path, waiting, QUIET_WAIT, LONGEST_WAIT)

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        with self._alone():
            found = self.client.get_experiment_by_name(name)
            place = (self.results / "mlflow").as_uri() if self.local else None
            self.experiment = (
                found.experiment_id if found else self.client.create_experiment(name, artifact_location=place)
            )
            self.parent = self._run(f"{name} seed {seed}", {"cycada.config_id": config_id}, tags)

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        keys = {"cycada.stage_id": stage_id, "mlflow.parentRunId": self.parent}
        with self._alone():
            self.stage = self._run(stage, keys, tags)
        run = self.client.get_run(self.stage)
        self.there = _last_steps(run)
        rows = [step for key, step in self.there.items() if not key.startswith(AFTERWARDS)]
        self.seen, self.unfit = max(rows, default=-1), 0
        new = {k: str(v)[:500] for k, v in _named(params).items() if k not in run.data.params}
        if new:
            self.client.log_batch(self.stage, params=[self.entities.Param(k, v) for k, v in new.items()])

    def _run(self, name: str, keys: dict[str, str], tags: dict[str, str]) -> str:
        found = self._search(keys)
        if found:
            if found[0].info.status not in ("RUNNING", "FINISHED"):
                self.client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        made = self.client.create_run(self.experiment, tags={**tags, **keys}, run_name=name).info.run_id
        first = self._search(keys)[0].info.run_id
        if first != made:  # another machine, which has another lock, was quicker
            self.client.delete_run(made)
        return str(first)

    def _search(self, keys: dict[str, str]) -> Any:
        """The runs that have these tags, the oldest first."""
        query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in keys.items())
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return self.client.search_runs([self.experiment], query, max_results=1, order_by=order)

    def log(self, step: int, values: dict[str, float]) -> None:
        if step < self.seen:  # a run that went on repeats steps that are there already
            return
        self.seen = step
        row = {k: v for k, v in _named(values).items() if k != "step"}
        self.unfit += sum(
            not math.isfinite(v) for v in row.values()
        )  # MLflow would show the largest float instead
        new = {k: v for k, v in row.items() if self.there.get(k, -1) < step and math.isfinite(v)}
        self._metrics(self.stage, step, new)
        self.there |= dict.fromkeys(new, step)

    def _metrics(self, run: str, step: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self.entities.Metric(k, float(v), now, step) for k, v in values.items() if math.isfinite(v)
        ]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[start : start + 1000])

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        self._artifacts(self.stage, files)
        self._changed(self.stage, max(self.seen, 0), {f"final/{k}": v for k, v in scores.items()})
        if self.unfit and self.client.get_run(self.stage).data.tags.get("cycada.not_finite") != str(
            self.unfit
        ):
            self.client.set_tag(self.stage, "cycada.not_finite", str(self.unfit))
        self._ended(self.stage, "FINISHED")
        self.stage = ""

    def _artifacts(self, run: str, files: Iterable[Path]) -> None:
        """Files that are not there, or not to their last byte."""
        have = {item.path: item.file_size for item in self.client.list_artifacts(run)}
        for file in files:
            if have.get(file.name) != file.stat().st_size:
                self.client.log_artifact(run, str(file))

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        if failed and self.stage:
            self._ended(self.stage, "FAILED")
        with self._alone():
            self._changed(self.parent, 0, scores)
            self._ended(self.parent, "FAILED" if failed else "FINISHED")

    def _ended(self, run: str, status: str) -> None:
        """A run that has ended already keeps its time."""
        if self.client.get_run(run).info.status != status:
            self.client.set_terminated(run, status=status)

    def _changed(self, run: str, step: int, values: dict[str, float]) -> None:
        """Metrics that are not there, or with another value."""
        there = self.client.get_run(run).data.metrics
        self._metrics(run, step, {k: v for k, v in _named(values).items() if there.get(k) != float(v)})

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        everywhere = [e.experiment_id for e in self.client.search_experiments()]
        with self._alone():
            for run in self.client.search_runs(everywhere, f"tags.`cycada.stage_id` = '{stage_id}'"):
                rows = [step for key, step in _last_steps(run).items() if not key.startswith(AFTERWARDS)]
                self._changed(run.info.run_id, max(rows, default=0), values)
                self.client.log_artifact(run.info.run_id, str(file))


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do something that may hang, such as reaching a server. Raises what it raises, and TimeoutError after so many seconds."""
    outcome: Queue[tuple[T | None, BaseException | None]] = Queue()

    def attempt() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:  # handed on to whoever waits
            outcome.put((None, error))

    threading.Thread(target=attempt, daemon=True).start()
    try:
        found, error = outcome.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} seconds") from None
    if error:
        raise error
    return found  # type: ignore[return-value]


def _last_steps(run: Any) -> dict[str, int]:
    """Metric -> the last step at which a run has it."""
    return {metric.key: metric.step for metric in run.to_proto().data.metrics}


def _named(values: Mapping[str, V]) -> dict[str, V]:
    """With names that MLflow takes. One that is changed ends in a digest of what it was, so that no two become one, in any row."""
    return {_name(key): value for key, value in values.items()}


def _name(key: str) -> str:
    fit = re.sub(r"[^\w\-./ ]", "_", key)
    if key == fit == normpath(key) and not key.startswith((".", "/")) and len(key) <= LONGEST_NAME:
        return key
    return f"{re.sub(r'[./]*/[./]*', '/', fit).strip('./ ')[: LONGEST_NAME - 9]}_{sha256(key.encode()).hexdigest()[:8]}"


class SafeTracker(NoTracker):
    """Passes everything on until the first failure, of which it warns once; after that it is silent."""

    def __init__(self, tracker: NoTracker, warn: Warn) -> None:
        self.tracker: NoTracker | None = tracker
        self.warn, self.where = warn, tracker.where

    def _pass_on(self, what: str, *values: Any, **named: Any) -> None:
        if self.tracker is None:
            return
        try:
            getattr(self.tracker, what)(*values, **named)
        except Interrupted:
            raise
        except Exception as error:  # whatever a tracking server does, the run goes on
            self.warn(
                f"Tracking stopped ({type(error).__name__}: {redacted(str(error))[:200]}). The run goes on; its folder holds everything."
            )
            self.tracker, self.where = None, ""

    def begin(self, *values: Any) -> None:
        self._pass_on("begin", *values)

    def begin_stage(self, *values: Any) -> None:
        self._pass_on("begin_stage", *values)

    def log(self, *values: Any) -> None:
        self._pass_on("log", *values)

    def end_stage(self, *values: Any) -> None:
        self._pass_on("end_stage", *values)

    def end(self, *values: Any, **named: Any) -> None:
        self._pass_on("end", *values, **named)

    def measured(self, *values: Any) -> None:
        self._pass_on("measured", *values)


def tracker(kind: str, uri: str | None, results: Path, warn: Warn) -> NoTracker:
    """The tracker that a config asks for; none, with a warning, where it cannot be had."""
    if kind == "none":
        return NoTracker()
    if uri and HIDDEN in uri:
        warn(
            f"No tracking: {uri} was stored without its password. Its folder holds everything; `cycada run` with tracking.uri in full, or "
            "with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD set and an address without them, mirrors the run."
        )
        return NoTracker()
    try:
        return SafeTracker(MlflowTracker(uri, results, warn), warn)
    except Interrupted:
        raise
    except Exception as error:
        warn(
            f"No tracking ({type(error).__name__}: {redacted(str(error))[:200]}). The run folder holds everything."
        )
        return NoTracker()
