"""What a run tells an experiment tracker; a tracker that fails or is absent fails no run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from cycada.core.interrupt import Interrupted
from cycada.core.secrets import HIDDEN, redacted
from cycada.tracking.mlflow_tracker import MlflowTracker


class Tracker(Protocol):
    """Interface that a run reports to, from the beginning of an experiment to its end.

    Attributes:
        where: The tracker's address without passwords, to be shown to a person; empty where nothing is
            tracked.
    """

    @property
    def where(self) -> str:
        """The tracker's address."""

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        """Begin an experiment, or go on with it.

        Args:
            name: The experiment's name.
            seed: Its seed.
            config_id: A hash of its config, by which its run is found again.
            tags: Versions of Python, PyTorch and this code.
        """

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """Begin a stage of the experiment, go on with it, or show one that is reused.

        Args:
            stage: The stage's name.
            stage_id: Its id, by which its run is found again.
            params: Its settings, flat, with dots in their names.
            tags: The experiment, method, device and seed, and the versions.
        """

    def log(self, step: int, values: dict[str, float]) -> None:
        """Log a row of metrics at a step of the stage."""

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """End the stage with its files and its last scores, as in `target/accuracy`."""

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        """End the experiment with the scores of its stages; `failed` where it stopped before its end."""

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Add what was measured of a finished stage afterwards, wherever the stage is shown.

        Args:
            stage_id: The stage's id.
            file: The file that holds the measurements.
            values: The numbers, by metric.
        """


class NullTracker:
    """Tracker that does nothing, for `tracking.kind: none`."""

    where = ""

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        """Do nothing."""

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """Do nothing."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Do nothing."""

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Do nothing."""

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        """Do nothing."""

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Do nothing."""


class SafeTracker:
    """Tracker that passes everything on to another until that fails.

    It warns of the first failure and does nothing afterwards.

    Args:
        tracker: The tracker that may fail.
        warn: Called with the warning.
    """

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        self._tracker: Tracker | None = tracker
        self._warn = warn
        self.where = tracker.where

    def _pass_on(self, method: str, *values: Any, **named: Any) -> None:
        if self._tracker is None:
            return
        try:
            getattr(self._tracker, method)(*values, **named)
        except Interrupted:
            raise
        except Exception as error:  # whatever a tracking server does, the run goes on
            self._warn(
                f"Tracking stopped ({_short(error)}). The run goes on, and its folder holds all results."
            )
            self._tracker, self.where = None, ""

    def begin(self, name: str, seed: int, config_id: str, tags: dict[str, str]) -> None:
        """Pass the beginning of an experiment on."""
        self._pass_on("begin", name, seed, config_id, tags)

    def begin_stage(self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str]) -> None:
        """Pass the beginning of a stage on."""
        self._pass_on("begin_stage", stage, stage_id, params, tags)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Pass a row of metrics on."""
        self._pass_on("log", step, values)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Pass the end of a stage on."""
        self._pass_on("end_stage", files, scores)

    def end(self, scores: dict[str, float], failed: bool = False) -> None:
        """Pass the end of an experiment on."""
        self._pass_on("end", scores, failed=failed)

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Pass later measurements of a finished stage on."""
        self._pass_on("measured", stage_id, file, values)


def open_tracker(kind: str, uri: str | None, results: Path, warn: Callable[[str], None]) -> Tracker:
    """Return the tracker that a config asks for, or a `NullTracker` and a warning where it cannot be opened.

    Args:
        kind: `mlflow` or `none`.
        uri: MLflow's tracking address; None keeps a SQLite database under `results`.
        results: The results folder.
        warn: Called with each warning.
    """
    if kind == "none":
        return NullTracker()
    if uri and HIDDEN in uri:
        warn(
            f"No tracking: {uri} was stored without its password. The run folder holds all results. "
            "To mirror them, run `cycada run` with the full tracking.uri, or leave the password out of the "
            "address and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
        return NullTracker()
    try:
        return SafeTracker(MlflowTracker(uri, results, warn), warn)
    except Interrupted:
        raise
    except Exception as error:
        warn(f"No tracking ({_short(error)}). The run folder holds all results.")
        return NullTracker()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {redacted(str(error))[:200]}"
