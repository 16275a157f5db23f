"""MLflow mirrors the run folders; the only file that imports it. A tracker that fails or is absent fails no run."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from cycada.secrets import redacted

Warn = Callable[[str], None]


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

    uri None: sqlite and artifacts under `results`.
    """

    def __init__(self, uri: str | None, results: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
        from mlflow import MlflowClient, entities

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it announces every migration of a new database
        logging.getLogger("alembic").setLevel(logging.WARNING)

        self.entities = entities
        results.mkdir(parents=True, exist_ok=True)
        self.results = results.resolve()
        address = uri or f"sqlite:///{self.results / 'mlflow.db'}"
        self.where = redacted(address)
        self.local = uri is None
        with FileLock(self.results / "mlflow.lock"):  # processes that create one database at once break each other
            self.client = MlflowClient(address)
            self.client.search_experiments(max_results=1)
        self.parent = self.stage = self.experiment = ""
        self.seen = -1

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        with FileLock(self.results / "mlflow.lock"):
            found = self.client.get_experiment_by_name(name)
            place = (self.results / "mlflow").as_uri() if self.local else None
            self.experiment = found.experiment_id if found else self.client.create_experiment(name, artifact_location=place)
        self.parent = self._run(f"{name} seed {seed}", {"cycada.config_id": config_id}, tags)

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        keys = {"cycada.stage_id": stage_id, "mlflow.parentRunId": self.parent}
        self.stage = self._run(stage, keys, tags)
        run = self.client.get_run(self.stage)
        self.seen = int(run.data.tags.get("cycada.last_step", -1))
        new = {k: str(v)[:500] for k, v in params.items() if _name(k) not in run.data.params}
        self.client.log_batch(self.stage, params=[self.entities.Param(_name(k), v) for k, v in new.items()])

    def _run(self, name: str, keys: dict[str, str], tags: dict[str, str]) -> str:
        query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in keys.items())
        found = self.client.search_runs([self.experiment], query, max_results=1)
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        run = self.client.create_run(self.experiment, tags={**tags, **keys}, run_name=name)
        return str(run.info.run_id)

    def log(self, step: int, values: dict[str, float]) -> None:
        if step > self.seen:  # a run that went on repeats steps that are there already
            self.seen = step
            self._metrics(self.stage, step, values, [self.entities.RunTag("cycada.last_step", str(step))])

    def _metrics(self, run: str, step: int, values: dict[str, float], tags: list[Any]) -> None:
        now = int(time.time() * 1000)
        metrics = [self.entities.Metric(_name(k), float(v), now, step) for k, v in values.items() if math.isfinite(v)]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[start : start + 1000], tags=tags)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        have = {item.path for item in self.client.list_artifacts(self.stage)}
        for file in files:
            if file.name not in have:
                self.client.log_artifact(self.stage, str(file))
        self._metrics(self.stage, max(self.seen, 0), {f"final/{k}": v for k, v in scores.items()}, [])
        self.client.set_terminated(self.stage)

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        if failed and self.stage:
            self.client.set_terminated(self.stage, status="FAILED")
        self._metrics(self.parent, 0, scores, [])
        self.client.set_terminated(self.parent, status="FAILED" if failed else "FINISHED")

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        everywhere = [e.experiment_id for e in self.client.search_experiments()]
        for run in self.client.search_runs(everywhere, f"tags.`cycada.stage_id` = '{stage_id}'"):
            step = int(run.data.tags.get("cycada.last_step", 0))
            self._metrics(run.info.run_id, step, values, [])
            self.client.log_artifact(run.info.run_id, str(file))


class Guarded(NoTracker):
    """Passes everything on until the first failure, of which it warns once; after that it is silent."""

    def __init__(self, tracker: NoTracker, warn: Warn) -> None:
        self.tracker: NoTracker | None = tracker
        self.warn, self.where = warn, tracker.where

    def _pass_on(self, what: str, *values: Any, **named: Any) -> None:
        if self.tracker is None:
            return
        try:
            getattr(self.tracker, what)(*values, **named)
        except Exception as error:  # whatever a tracking server does, the run goes on
            self.warn(
                f"Tracking stopped ({type(error).__name__}: {redacted(str(error))[:200]}). The run goes on; its folder holds everything."
            )
            self.tracker = None

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
    try:
        return Guarded(MlflowTracker(uri, results), warn)
    except Exception as error:
        warn(f"No tracking ({type(error).__name__}: {redacted(str(error))[:200]}). The run folder holds everything.")
        return NoTracker()


def _name(key: str) -> str:
    return re.sub(r"[^\w\-./ ]", "_", key)
