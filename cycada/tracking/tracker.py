"""What a run tells an experiment tracker, and the registry of trackers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from cycada.core.registry import Registry


@dataclass(frozen=True)
class TrackedDataset:
    """One set of images that an experiment uses, as trackers show it.

    Attributes:
        name: Name of the domain, and in parentheses what its images are for, such as `svhn (source train)`.
        digest: Fingerprint of all images and labels of the experiment.
        context: What the images are for, such as `source train`.
        images: Number of images.
        source: The domain with its options, as in YAML.
    """

    name: str
    digest: str
    context: str
    images: int
    source: Mapping[str, Any]


@dataclass(frozen=True)
class Details:
    """What is worth knowing of an experiment beside its name and seed.

    Attributes:
        variant: Label of the sweep's row that the experiment is; empty outside a sweep.
        params: Its settings, flat, with dots in their names.
        description: What it is, in Markdown.
        datasets: The images that it uses.
    """

    variant: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    datasets: Sequence[TrackedDataset] = ()


@dataclass(frozen=True)
class TrackedModel:
    """An exported network, for trackers that keep models.

    Attributes:
        folder: The folder of the export.
        stage_id: Id of the stage that it comes from.
        kind: What it does with images: names their class, names the class of every pixel, or translates them.
        classes: Names of the classes; empty for a generator.
        channels: Number of image channels.
        size: Height and width that it was trained on, in pixels.
    """

    folder: Path
    stage_id: str
    kind: Literal["classifier", "segmenter", "generator"]
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]


class Tracker(Protocol):
    """Interface that a run reports to, from the beginning of an experiment to its end.

    A tracker is registered as a class whose constructor takes the address `uri` (None for a place under the
    results folder), the results folder, and a function `warn` that shows a warning.

    Attributes:
        where: The command that shows what was tracked, without passwords; empty where nothing is tracked.
    """

    @property
    def where(self) -> str:
        """The command that shows what was tracked."""

    def begin(
        self, name: str, seed: int, config_id: str, tags: dict[str, str], details: Details = Details()
    ) -> None:
        """Begin an experiment, or go on with it.

        Args:
            name: The experiment's name; for a row of a sweep that of the sweep.
            seed: Its seed.
            config_id: A hash of its config, by which its run is found again.
            tags: Versions of Python, PyTorch and this code.
            details: What is shown beside these.
        """

    def begin_stage(
        self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str], description: str = ""
    ) -> None:
        """Begin a stage of the experiment, go on with it, or show one that is reused.

        Args:
            stage: The stage's name.
            stage_id: Its id, by which its run is found again.
            params: Its settings, flat, with dots in their names.
            tags: The experiment, method, device and seed, and the versions.
            description: What it is, in Markdown.
        """

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log a row of metrics at a step of the stage."""

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """End the stage with its files and its last scores, as in `target/accuracy`."""

    def log_model(self, model: TrackedModel) -> None:
        """Keep the model of a stage of the experiment, before the experiment ends; only MLflow does."""

    def end(
        self,
        scores: dict[str, float],
        failed: bool = False,
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        """End the experiment.

        Args:
            scores: The scores of its stages.
            failed: Whether it stopped before its end.
            files: Files of the experiment as a whole, by the folder that they are shown in ('' for none).
        """

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Add what was measured of a finished stage afterwards, wherever the stage is shown.

        Args:
            stage_id: The stage's id.
            file: The file that holds the measurements.
            values: The numbers, by metric.
        """


trackers: Registry[Any] = Registry("tracker")
"""Name in `tracking.kind` to the class of the tracker."""


def run_name(name: str, seed: int, variant: str, stage: str = "") -> str:
    """Return what a run is called: `tiny seed 0`, or `pixel, - cycle seed 0` for a stage of a sweep's row.

    Args:
        name: The experiment's name.
        seed: Its seed.
        variant: Label of the sweep's row, which takes the place of the name; empty outside a sweep.
        stage: Name of the stage, for the run of a stage.
    """
    whole = f"{variant or name} seed {seed}"
    return f"{stage}, {whole}" if stage else whole


def final_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the last scores of a stage under the keys that they have in every tracker, `final/...`."""
    return {f"final/{key}": value for key, value in scores.items()}


def split_picture_name(file: Path) -> tuple[str, int | None]:
    """Return the name and the step of a picture such as `grid_0000500.png`; None where it names no step."""
    match = re.fullmatch(r"(.+)_(\d+)", file.stem)
    return (match[1], int(match[2])) if match else (file.stem, None)
