"""TensorBoard, whose event files mirror the run folders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cycada.tracking.tracker import (
    Details,
    TrackedModel,
    final_scores,
    run_name,
    split_picture_name,
    trackers,
)

FOLDER = "tensorboard"
"""Folder of the event files under the results."""
PARAMS, IMAGES = "params", "images"
"""First parts of the tags of the table of parameters and of images."""


@trackers("tensorboard")
class TensorBoardTracker:
    """Tracker that keeps a folder of event files for each stage, and one for the experiment's last scores.

    The folders are `tensorboard/EXPERIMENT/RUN-CONFIG_ID/STAGE-STAGE_ID` under the results. What the event
    files already hold is never written again, so that a stage which is resumed or mirrored anew has every
    step once.

    Args:
        uri: Has no meaning here.
        results: The results folder.
        warn: Not called: nothing is waited for.

    Attributes:
        where: The command that opens TensorBoard.
    """

    def __init__(
        self, uri: str | None, results: Path, warn: Callable[[str], None] = lambda text: None
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._make_writer = SummaryWriter
        self._root = results.resolve() / FOLDER
        self.where = f"tensorboard --logdir {shlex.quote(str(self._root))}"
        self._experiment = self._root
        self._params: Mapping[str, Any] = {}
        self._step = 0
        self._open: _Events | None = None

    def begin(
        self, name: str, seed: int, config_id: str, tags: dict[str, str], details: Details = Details()
    ) -> None:
        """Choose the experiment's folder, and write its parameters and description."""
        whole = run_name(name, seed, details.variant)
        self._experiment = self._root / _as_path(name) / f"{_as_path(whole)}-{config_id}"
        with self._events(self._experiment) as events:
            events.add_text("description", details.description)
            events.add_text(PARAMS, _as_markdown(details.params))
            lines = {d.name: f"{d.images} images, {d.digest}" for d in details.datasets}
            events.add_text("datasets", _as_markdown(lines))
            events.add_text("environment", _as_markdown(tags))

    def begin_stage(
        self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str], description: str = ""
    ) -> None:
        """Open the stage's folder, and write its parameters."""
        self._close()
        self._params, self._step = params, 0
        self._open = self._events(self._experiment / f"{_as_path(stage)}-{stage_id}")
        self._open.add_text("description", description)
        self._open.add_text(PARAMS, _as_markdown(params))
        self._open.add_text("environment", _as_markdown(tags))

    def log(self, step: int, values: dict[str, float]) -> None:
        """Write a row of metrics, without those that the stage has at this step or a later one."""
        self._step = max(step, self._step)
        if self._open:
            self._open.add_scalars(step, values)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Write the last scores, the pictures among the files, and the line of the HParams page."""
        if self._open:
            final = final_scores(scores)
            for file in files:
                if file.suffix == ".png":
                    name, number = split_picture_name(file)
                    self._open.add_image(f"{IMAGES}/{name}", file, self._step if number is None else number)
            self._open.add_hparams(self._params, final)
            self._open.add_scalars(self._step, final)
        self._close()

    def log_model(self, model: TrackedModel) -> None:
        """Do nothing: models are kept by MLflow."""

    def end(
        self,
        scores: dict[str, float],
        failed: bool = False,
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        """Write the scores of all stages to the experiment's folder."""
        self._close()
        with self._events(self._experiment) as events:
            events.add_latest(0, scores)

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Write later measurements into the folders of the stage in all experiments."""
        for folder in self._root.glob(f"**/*-{stage_id}"):
            with self._events(folder) as events:
                events.add_latest(max(events.last_steps.values(), default=0), values)

    def _events(self, folder: Path) -> _Events:
        return _Events(folder, self._make_writer)

    def _close(self) -> None:
        if self._open:
            self._open.close()
        self._open = None


class _Events:
    """Event files of one folder, to which only what they do not hold is added.

    Args:
        folder: The folder.
        make_writer: Makes a `SummaryWriter` of the folder; it is made when there is something to write.
    """

    def __init__(self, folder: Path, make_writer: Callable[[str], Any]) -> None:
        self.folder = folder
        self.last_steps, self._last_values = _last_of(folder)
        self._make_writer, self._writer = make_writer, None

    def __enter__(self) -> _Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def writer(self) -> Any:
        if self._writer is None:
            self._writer = self._make_writer(str(self.folder))
        return self._writer

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            if self._is_new(tag, step):
                self.writer.add_scalar(tag, value, step)

    def add_latest(self, step: int, values: Mapping[str, float]) -> None:
        """Write values that replace earlier ones, which events cannot: a changed one gets a later step."""
        for tag, value in values.items():
            if tag not in self._last_values or self._last_values[tag] != np.float32(value):
                self.add_scalars(max(step, self.last_steps.get(tag, -1) + 1), {tag: value})

    def add_text(self, tag: str, text: str) -> None:
        if text and self._is_new(f"{tag}/text_summary", 0):
            self.writer.add_text(tag, text, 0)

    def add_image(self, tag: str, file: Path, step: int) -> None:
        from PIL import Image

        if self._is_new(tag, step):
            with Image.open(file) as image:
                self.writer.add_image(tag, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def add_hparams(self, params: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Add a line to the HParams page: the parameters with the last scores."""
        from torch.utils.tensorboard.summary import hparams

        if scores and self._is_new("_hparams_/session_start_info", 0):
            plain = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in params.items()}
            for summary in hparams(plain, dict(scores)):
                self.writer.file_writer.add_summary(summary)

    def _is_new(self, tag: str, step: int) -> bool:
        """Return whether the tag has no value at this step or a later one, and note that it gets one."""
        if self.last_steps.get(tag, -1) >= step:
            return False
        self.last_steps[tag] = step
        return True

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def _last_of(folder: Path) -> tuple[dict[str, int], dict[str, float]]:
    """Return tag -> the last step at which the event files of a folder have it, and tag -> its value there.

    The end of a file that a killed process was writing is left out.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    steps: dict[str, int] = {}
    values: dict[str, float] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if event.step >= steps.get(value.tag, -1):
                    steps[value.tag] = event.step
                    values |= dict(zip([value.tag], value.tensor.float_val, strict=False))
    return steps, values


def _as_path(name: str) -> str:
    """Return a name as a part of a path; a `/` between parts of an experiment's name stays."""
    return re.sub(r"[^\w./=+-]+", "_", name).strip("._") or "_"


def _as_markdown(values: Mapping[str, Any]) -> str:
    """Return values as a Markdown table; empty where there are none."""
    rows = [[str(word).replace("|", "\\|") for word in row] for row in values.items()]
    lines = [f"| {' | '.join(row)} |" for row in [["name", "value"], ["---", "---"], *rows]]
    return "\n".join(lines) if rows else ""
