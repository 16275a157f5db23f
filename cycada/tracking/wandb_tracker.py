"""Weights & Biases, offline unless the user says otherwise by WANDB_MODE."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config.schema import digest
from cycada.core.files import file_digest, write_text
from cycada.tracking.tracker import (
    Details,
    TrackedModel,
    final_scores,
    run_name,
    split_picture_name,
    trackers,
)


@trackers("wandb")
class WandbTracker:
    """Tracker that keeps a run for each stage, and one for the experiment, in one group of a project.

    Offline runs are folders `wandb/offline-run-TIME-ID` under the results, which `wandb sync` uploads. A run
    that was not ended is removed and written anew, since a stage that is resumed sends all its rows again.
    One that was ended is noted under `wandb/ended` and left alone, so that every step is there once.

    Args:
        uri: Has no meaning here: wandb's own settings and WANDB_BASE_URL say where its server is.
        results: The results folder.
        warn: Not called: nothing is waited for.

    Attributes:
        where: The command that uploads the runs; in another mode than offline, the mode.
    """

    def __init__(
        self, uri: str | None, results: Path, warn: Callable[[str], None] = lambda text: None
    ) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb = wandb
        self._results = results.resolve()
        self._folder = self._results / "wandb"
        self._mode = os.environ.get("WANDB_MODE", "offline")
        is_offline = self._mode == "offline"
        self.where = f"wandb sync {shlex.quote(str(self._folder))}" if is_offline else f"wandb ({self._mode})"
        self._name, self._seed, self._config_id, self._details = "", 0, "", Details()
        self._tags: dict[str, str] = {}
        self._run: Any = None

    def begin(
        self, name: str, seed: int, config_id: str, tags: dict[str, str], details: Details = Details()
    ) -> None:
        """Note the experiment, whose run is written at its end."""
        self._name, self._seed, self._config_id, self._details = name, seed, config_id, details
        self._tags = tags

    def begin_stage(
        self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str], description: str = ""
    ) -> None:
        """Begin the stage's run, unless it has been ended before."""
        self._finish(failed=True)
        name = run_name(self._name, self._seed, self._details.variant, stage)
        self._run = self._start(name, stage_id, stage, params, tags, description)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log a row of metrics."""
        if self._run is not None:
            self._run.log(values, step=step)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Give the run its last scores, its pictures and files, and end it."""
        if self._run is not None:
            files = list(files)
            pictures = {
                f"images/{split_picture_name(file)[0]}": self._wandb.Image(str(file))
                for file in files
                if file.suffix == ".png"
            }
            if pictures:
                self._run.log(pictures)
            self._run.summary.update(final_scores(scores))
            self._copy(files)
        self._finish()

    def log_model(self, model: TrackedModel) -> None:
        """Do nothing: models are kept by MLflow."""

    def end(
        self,
        scores: dict[str, float],
        failed: bool = False,
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        """End a stage that did not come to its end, or write the run of the whole experiment."""
        self._finish(failed=failed)
        if not failed:
            self._end_experiment(scores, files or {})
        self._wandb.teardown()  # waits until wandb's own process has written all

    def _end_experiment(self, scores: dict[str, float], files: Mapping[str, Sequence[Path]]) -> None:
        """Write the run of the whole experiment."""
        name = run_name(self._name, self._seed, self._details.variant)
        params, text = dict(self._details.params), self._details.description
        self._run = self._start(name, self._config_id, "experiment", params, self._tags, text, digest(scores))
        if self._run is not None:
            self._run.summary.update(scores)
            for folder, some in files.items():
                self._copy(some, folder)
        self._finish()

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Add later measurements to the runs of the stage in all experiments, unless they have them."""
        held = file_digest(file, 8)
        for note in self._folder.glob(f"ended/*-{stage_id}"):
            project, identity, *before = note.read_text(encoding="utf-8").split(" ")
            if before == [held]:
                continue
            time.sleep(1.1)  # wandb names the folders of a run's parts by the second
            self._run = self._wandb.init(
                project=project,
                id=identity,
                dir=self._results,
                mode=self._mode,  # type: ignore[arg-type]
                resume="allow",
                **self._quiet(),
            )
            self._run.summary.update(values)
            self._copy([file])
            self._run.finish()
            self._run = None
            write_text(note, f"{project} {identity} {held}")

    def _start(
        self,
        name: str,
        key: str,
        kind: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        description: str,
        outcome: str = "",
    ) -> Any:
        """Return the new run of a stage or an experiment; None where it has been ended before.

        `outcome` is a digest of an experiment's scores: where other data gave it others, it is written anew.
        """
        self._note = self._folder / "ended" / f"{self._config_id}-{key}"
        self._identity = hashlib.sha256(f"{self._config_id} {key}".encode()).hexdigest()[:16]
        self._noted = " ".join(filter(None, (self._project(), self._identity, outcome)))
        if self._note.exists() and (not outcome or self._note.read_text(encoding="utf-8") == self._noted):
            return None
        for unfinished in self._folder.glob(f"offline-run-*-{self._identity}"):
            shutil.rmtree(unfinished)
        datasets = {d.name: {"images": d.images, "digest": d.digest} for d in self._details.datasets}
        return self._wandb.init(
            project=self._project(),
            id=self._identity,
            name=name,
            group=run_name(self._name, self._seed, self._details.variant),
            job_type=kind,
            notes=description,
            config={**params, "environment": dict(tags), "datasets": datasets},
            dir=self._results,
            mode=self._mode,  # type: ignore[arg-type]
            resume=None if self._mode == "offline" else "allow",
            **self._quiet(),
        )

    def _project(self) -> str:
        """Return the experiment's name as wandb accepts it."""
        return re.sub(r"[^\w.-]+", "-", self._name)[:100]

    def _quiet(self) -> dict[str, Any]:
        """Return settings with which wandb prints nothing and looks at nothing but what it is given."""
        return {
            "settings": self._wandb.Settings(
                silent=True,
                console="off",
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
                disable_git=True,
            )
        }

    def _copy(self, files: Iterable[Path], folder: str = "") -> None:
        """Copy files into the run's own folder, from which they are uploaded with it."""
        place = Path(self._run.dir) / folder
        place.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, place / ("run_" + file.name if file.name == "config.yaml" else file.name))

    def _finish(self, failed: bool = False) -> None:
        """End the current run; one that did not come to its end is written anew the next time."""
        if self._run is None:
            return
        self._run.finish(exit_code=1 if failed else 0)
        self._run = None
        if not failed:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._note, self._noted)
