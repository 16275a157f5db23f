"""MLflow, which mirrors the run folders; this is the only file that imports it."""

from __future__ import annotations

import getpass
import json
import logging
import math
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from posixpath import normpath
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from cycada.core.lock import locked
from cycada.core.secrets import redacted
from cycada.tracking.mlflow_database import page_command, prepare_database
from cycada.tracking.mlflow_model import save_model
from cycada.tracking.tracker import Details, TrackedModel, final_scores, run_name, trackers

T = TypeVar("T")
V = TypeVar("V")

PATIENCE = 5.0
"""Seconds that a tracking server may take for its first answer."""
QUIET_WAIT, LONGEST_WAIT = 1, 30
"""Seconds to wait for another process that looks for its runs: before a message says so, and in total."""
LONGEST_NAME = 250
"""Characters that MLflow accepts in a name."""
AFTERWARDS = ("final/", "quality/")
"""Prefixes of metrics that belong to the finished stage and not to a step."""
LONGEST_TAG = 5000
"""Characters that every version of MLflow accepts in a tag."""
TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""Tag with which MLflow's page shows an experiment as one of training, without asking what it is."""


@trackers("mlflow")
class MlflowTracker:
    """Tracker that keeps one parent run per experiment and seed in MLflow, and one nested run per stage.

    A resumed experiment finds its runs again.
    What MLflow already holds is never logged again. Where a process was killed in the middle of a row of
    metrics, the row is completed; otherwise it is left alone.

    Args:
        uri: MLflow's tracking address; None keeps a SQLite database and artifacts under `results`.
        results: The results folder, which also holds the lock between processes.
        warn: Called when another process is waited for and when a broken database was replaced.

    Attributes:
        client: The `mlflow.MlflowClient`.
        experiment, parent, stage: MLflow's ids of the experiment, its run, and the current stage's run.
        logged_steps: Metric -> the last step at which the current stage has it.
        last_step: The last step of a whole row of the current stage; -1 before the first.
        not_finite: How many values of the current stage were NaN or infinite, which MLflow cannot show.
    """

    def __init__(
        self, uri: str | None, results: Path, warn: Callable[[str], None] = lambda text: None
    ) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
        from mlflow import MlflowClient, entities
        from mlflow.store.db import utils

        for name in ("mlflow", "alembic"):  # they announce every migration of a new database
            logging.getLogger(name).setLevel(logging.WARNING)
        utils.MAX_RETRY_COUNT = 1  # otherwise it waits 100 seconds for a database that cannot be opened
        self._entities, self._warn, self._wait_was_reported = entities, warn, False
        results.mkdir(parents=True, exist_ok=True)
        self._results = results.resolve()
        address = os.path.expandvars(uri) if uri else f"sqlite:///{self._results / 'mlflow.db'}"
        if uri and address.startswith("$"):
            raise ValueError(f"found tracking.uri: {address}, but this variable is not set")
        self._address = redacted(address)
        is_file = re.fullmatch(r"sqlite:///[^?:]+", address)
        database = Path(address.removeprefix("sqlite:///")) if is_file else None
        self._is_local = database is not None and database.resolve() == self._results / "mlflow.db"

        def connect(address: str) -> Any:
            client = MlflowClient(address)
            client.search_experiments(max_results=1)
            return client

        if database:
            # a pooled connection would outlive a database file that is put aside
            os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
            with self._locked():  # processes that create one database at the same time break each other
                artifacts = self._results / "mlflow" if self._is_local else None
                prepare_database(database, artifacts, connect, warn)
                self.client = connect(address)
        else:
            self.client = call_within(PATIENCE, lambda: connect(address))
        self.experiment = self.parent = self.stage = ""
        self.logged_steps: dict[str, int] = {}
        self.last_step, self.not_finite = -1, 0
        self._name, self._seed, self._details = "", 0, Details()

    @property
    def where(self) -> str:
        """The command that opens MLflow's page, and the address of the experiment in it."""
        return page_command(self._address, self.experiment)

    def _locked(self) -> AbstractContextManager[None]:
        """Return a lock for what two processes at once would both do: create a run and log its parameters."""
        path = self._results / "mlflow.lock"

        def report_wait() -> None:
            if not self._wait_was_reported:
                self._warn(
                    f"Another process holds {path}; tracking waits for it for at most {LONGEST_WAIT} seconds."
                )
            self._wait_was_reported = True

        return locked(path, report_wait, QUIET_WAIT, LONGEST_WAIT)

    def begin(
        self, name: str, seed: int, config_id: str, tags: dict[str, str], details: Details = Details()
    ) -> None:
        """Find or create the experiment and the parent run of this config and seed."""
        self._name, self._seed, self._details = name, seed, details
        with self._locked():
            self.experiment = self._find_or_create_experiment(name)
            keys = {"cycada.config_id": config_id}
            self.parent = self._find_or_create_run(run_name(name, seed, details.variant), keys)
            self._describe(self.parent, details.params, tags, details.description)

    def _find_or_create_experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            location = (self._results / "mlflow").as_uri() if self._is_local else None
            return str(self.client.create_experiment(name, artifact_location=location, tags=TRAINING))
        for key, value in TRAINING.items():
            if key not in experiment.tags:
                self.client.set_experiment_tag(experiment.experiment_id, key, value)
        return str(experiment.experiment_id)

    def begin_stage(
        self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str], description: str = ""
    ) -> None:
        """Find or create the stage's nested run, and log what it does not have yet."""
        keys = {"cycada.stage_id": stage_id, "mlflow.parentRunId": self.parent}
        name = run_name(self._name, self._seed, self._details.variant, stage)
        with self._locked():
            self.stage = self._find_or_create_run(name, keys)
            found = self._describe(self.stage, params, tags, description)
        self.logged_steps = _last_steps(found)
        row_steps = [step for key, step in self.logged_steps.items() if not key.startswith(AFTERWARDS)]
        self.last_step, self.not_finite = max(row_steps, default=-1), 0

    def _describe(
        self, run_id: str, params: Mapping[str, Any], tags: Mapping[str, str], description: str
    ) -> Any:
        """Log the parameters, tags and datasets that a run does not have yet; return the run as it was."""
        run = self.client.get_run(run_id)
        wanted = {**tags, **_provenance(tags), "mlflow.note.content": description}
        new_tags = [
            self._entities.RunTag(key, value[:LONGEST_TAG])
            for key, value in wanted.items()
            if value and key not in run.data.tags
        ]
        new_params = [
            self._entities.Param(key, str(value)[:500])
            for key, value in _with_valid_names(params).items()
            if key not in run.data.params
        ]
        for tags_at_once in _in_parts(new_tags, 100):  # as many as MLflow takes at once
            self.client.log_batch(run_id, tags=tags_at_once)
        for params_at_once in _in_parts(new_params, 100):
            self.client.log_batch(run_id, params=params_at_once)
        present = {(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs}
        inputs = [
            self._entities.DatasetInput(
                self._entities.Dataset(
                    dataset.name,
                    dataset.digest,
                    "cycada",
                    json.dumps(dataset.source, default=str),
                    profile=json.dumps({"num_rows": dataset.images}),
                ),
                [self._entities.InputTag("mlflow.data.context", dataset.context)],
            )
            for dataset in self._details.datasets
            if (dataset.name, dataset.digest) not in present
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)
        return run

    def _find_or_create_run(self, name: str, keys: dict[str, str]) -> str:
        """Return the id of the oldest run that has the tags `keys`; create it where there is none."""
        runs = self._search(keys)
        if runs:
            if runs[0].info.status not in ("RUNNING", "FINISHED"):
                self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        tags = {**keys, "mlflow.user": _user()}
        created = self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id
        first = self._search(keys)[0].info.run_id
        if first != created:  # another machine, which has a lock of its own, was quicker
            self.client.delete_run(created)
        return str(first)

    def _search(self, keys: dict[str, str]) -> Any:
        """Return the runs that have these tags, the oldest first."""
        query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in keys.items())
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return self.client.search_runs([self.experiment], query, max_results=1, order_by=order)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log a row of metrics, without those that the stage has at this step or a later one.

        A resumed run repeats steps that were logged.
        """
        self.last_step = max(step, self.last_step)
        row = {k: v for k, v in _with_valid_names(values).items() if k != "step"}
        # counted and left out: MLflow would show the largest float instead
        self.not_finite += sum(not math.isfinite(v) for v in row.values())
        new = {k: v for k, v in row.items() if self.logged_steps.get(k, -1) < step and math.isfinite(v)}
        self._log_metrics(self.stage, step, new)
        self.logged_steps |= dict.fromkeys(new, step)

    def _log_metrics(self, run: str, step: int, values: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(k, float(v), now, step) for k, v in values.items() if math.isfinite(v)
        ]
        for some in _in_parts(metrics, 1000):  # as many as MLflow takes at once
            self.client.log_batch(run, metrics=some)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Upload the stage's files, log its last scores as `final/...`, and mark its run as finished."""
        self._upload(self.stage, files)
        self._log_changed(self.stage, max(self.last_step, 0), final_scores(scores))
        if self.not_finite:
            tags = self.client.get_run(self.stage).data.tags
            if tags.get("cycada.not_finite") != str(self.not_finite):
                self.client.set_tag(self.stage, "cycada.not_finite", str(self.not_finite))
        self._set_ended(self.stage, "FINISHED")
        self.stage = ""

    def _upload(self, run: str, files: Iterable[Path], folder: str = "") -> None:
        """Upload the files that MLflow does not hold, or not to their last byte, into a folder of the run."""
        sizes = {
            item.path.rpartition("/")[2]: item.file_size
            for item in self.client.list_artifacts(run, folder or None)
        }
        for file in files:
            if sizes.get(file.name) != file.stat().st_size:
                self.client.log_artifact(run, str(file), folder or None)

    def log_model(self, model: TrackedModel) -> None:
        """Log a model to the run of its stage, unless the run has one, ready for `mlflow models serve`."""
        keys = {"cycada.stage_id": model.stage_id, "mlflow.parentRunId": self.parent}
        run = self._search(keys)[0].info.run_id
        found = self.client.search_logged_models([self.experiment], f"source_run_id = '{run}'")
        if any(logged.status == "READY" for logged in found):
            return
        for unfinished in found:  # of a process that was killed
            self.client.delete_logged_model(unfinished.model_id)
        tags = {"cycada.stage_id": model.stage_id, "cycada.kind": model.kind}
        logged = self.client.create_logged_model(self.experiment, "model", run, tags)
        with TemporaryDirectory() as folder:
            save_model(model, Path(folder) / "model", run, logged.model_id)
            self.client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
        self.client.log_outputs(run, [self._entities.LoggedModelOutput(logged.model_id, 0)])
        self.client.finalize_logged_model(logged.model_id, "READY")

    def end(
        self,
        scores: dict[str, float],
        failed: bool = False,
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        """Log the scores of all stages and files to the parent run, and mark it as finished or failed."""
        if failed and self.stage:
            self._set_ended(self.stage, "FAILED")
        for folder, some in (files or {}).items():
            self._upload(self.parent, some, folder)
        with self._locked():
            self._log_changed(self.parent, 0, scores)
            self._set_ended(self.parent, "FAILED" if failed else "FINISHED")

    def _set_ended(self, run: str, status: str) -> None:
        """End a run; one that has ended this way before keeps its time."""
        if self.client.get_run(run).info.status != status:
            self.client.set_terminated(run, status=status)

    def _log_changed(self, run: str, step: int, values: dict[str, float]) -> None:
        """Log the metrics that the run does not have, or has with another value."""
        logged = self.client.get_run(run).data.metrics
        changed = {k: v for k, v in _with_valid_names(values).items() if logged.get(k) != float(v)}
        self._log_metrics(run, step, changed)

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Log later measurements to the runs of the stage in all experiments, and upload their file."""
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        with self._locked():
            for run in self.client.search_runs(experiments, f"tags.`cycada.stage_id` = '{stage_id}'"):
                row_steps = [step for key, step in _last_steps(run).items() if not key.startswith(AFTERWARDS)]
                self._log_changed(run.info.run_id, max(row_steps, default=0), values)
                self.client.log_artifact(run.info.run_id, str(file))


def call_within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of something that may hang, such as reaching a server.

    Raises:
        TimeoutError: After so many seconds without a result. What `work` itself raises is raised, too.
    """
    answer: Future[T] = Future()

    def attempt() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # handed on to the thread that waits
            answer.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()
    if not wait([answer], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return answer.result()


def _user() -> str:
    """Return who runs this; `unknown` where the machine does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


def _provenance(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags with which MLflow shows where a run comes from: its command and commit."""
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    source = {"mlflow.source.type": "LOCAL", "mlflow.source.name": redacted(shlex.join(command))}
    commit = tags.get("git", "")
    if not re.fullmatch(r"[0-9a-f]{7,64}\+?", commit):
        return source
    return source | {
        "mlflow.source.git.commit": commit.rstrip("+"),
        "mlflow.source.git.dirty": str(commit.endswith("+")),
    }


def _in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in parts of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _last_steps(run: Any) -> dict[str, int]:
    """Return metric -> the last step at which the run has it."""
    return {metric.key: metric.step for metric in run.to_proto().data.metrics}


def _with_valid_names(values: Mapping[str, V]) -> dict[str, V]:
    """Return the values under names that MLflow accepts.

    A changed name ends in a hash of the original, so that no two names become the same one, in any row.
    """
    return {_valid_name(key): value for key, value in values.items()}


def _valid_name(key: str) -> str:
    clean = re.sub(r"[^\w\-./ ]", "_", key)
    if key == clean == normpath(key) and not key.startswith((".", "/")) and len(key) <= LONGEST_NAME:
        return key
    head = re.sub(r"[./]*/[./]*", "/", clean).strip("./ ")[: LONGEST_NAME - 9]
    return f"{head}_{sha256(key.encode()).hexdigest()[:8]}"
