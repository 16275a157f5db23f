"""Opening of the trackers that a config names; one that fails or is absent fails no run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.interrupt import Interrupted
from cycada.core.profile import span
from cycada.core.secrets import HIDDEN, redacted
from cycada.tracking.tracker import Details, TrackedModel, Tracker, trackers

NONE = "none"
"""What `tracking.kind` says where nothing is tracked."""
EXTRAS = ("tensorboard", "wandb")
"""Trackers whose library an extra of the package's own name installs."""


class SeveralTrackers:
    """Tracker that passes everything on to each of several, each until it fails; with none it does nothing.

    It warns of each one's first failure, and does not call that one afterwards.

    Args:
        opened: Name to the tracker.
        warn: Called with each warning.
        mirrored: The command that shows an experiment which was tracked before and need not be again.
    """

    def __init__(
        self,
        opened: Mapping[str, Tracker],
        warn: Callable[[str], None] = lambda text: None,
        mirrored: str = "",
    ) -> None:
        self._trackers = dict(opened)
        self._warn = warn
        self._mirrored = mirrored

    @property
    def where(self) -> str:
        """The commands that show what was tracked, one on each line."""
        return self._mirrored or "\n".join(tracker.where for tracker in self._trackers.values())

    @span("tracking")
    def _pass_on(self, method: str, *values: Any) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, method)(*values)
            except Interrupted:
                raise
            except Exception as error:  # whatever a tracking server does, the run goes on
                self._warn(
                    f"Tracking by {name} stopped ({_short(error)}). The run goes on, and its folder holds "
                    "all results."
                )
                del self._trackers[name]

    def begin(
        self, name: str, seed: int, config_id: str, tags: dict[str, str], details: Details = Details()
    ) -> None:
        """Pass the beginning of an experiment on."""
        self._pass_on("begin", name, seed, config_id, tags, details)

    def begin_stage(
        self, stage: str, stage_id: str, params: dict[str, Any], tags: dict[str, str], description: str = ""
    ) -> None:
        """Pass the beginning of a stage on."""
        self._pass_on("begin_stage", stage, stage_id, params, tags, description)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Pass a row of metrics on."""
        self._pass_on("log", step, values)

    def end_stage(self, files: Iterable[Path], scores: dict[str, float]) -> None:
        """Pass the end of a stage on."""
        self._pass_on("end_stage", list(files), scores)

    def log_model(self, model: TrackedModel) -> None:
        """Pass a model on."""
        self._pass_on("log_model", model)

    def end(
        self,
        scores: dict[str, float],
        failed: bool = False,
        files: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        """Pass the end of an experiment on."""
        self._pass_on("end", scores, failed, files)

    def measured(self, stage_id: str, file: Path, values: dict[str, float]) -> None:
        """Pass later measurements of a finished stage on."""
        self._pass_on("measured", stage_id, file, values)


def check_trackers(kinds: Sequence[str]) -> None:
    """Check that all trackers which a config names are registered.

    Raises:
        CycadaError: One is not.
    """
    known = [*trackers, NONE]
    for kind in kinds:
        if kind not in known:
            raise CycadaError(f"tracking.kind: unknown tracker {shown(kind)}.{nearest(kind, known)}")


def open_tracker(
    kinds: Sequence[str], uri: str | None, results: Path, warn: Callable[[str], None]
) -> SeveralTrackers:
    """Return the trackers that a config asks for, without those that cannot be opened, of which it warns.

    Args:
        kinds: Names of registered trackers, or `none`.
        uri: MLflow's tracking address; None keeps a SQLite database under `results`.
        results: The results folder.
        warn: Called with each warning.

    Raises:
        CycadaError: There is no tracker of a name.
    """
    check_trackers(kinds)
    opened: dict[str, Tracker] = {}
    for kind in kinds:
        if kind == NONE:
            continue
        if kind == "mlflow" and uri and HIDDEN in uri:
            warn(
                f"No tracking by mlflow: {uri} was stored without its password. The run folder holds all "
                "results. To mirror them, run `cycada run` with the full tracking.uri, or leave the password "
                "out of the address and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
            continue
        try:
            opened[kind] = trackers[kind](uri, results, warn)
        except Interrupted:
            raise
        except Exception as error:
            hint = _install_hint(kind, error)
            warn(f"No tracking by {kind} ({_short(error)}).{hint} The run folder holds all results.")
    return SeveralTrackers(opened, warn)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {redacted(str(error))[:200]}"


def _install_hint(kind: str, error: Exception) -> str:
    """Return how to install what a tracker needs, where that is what it lacks; else ''."""
    is_extra = isinstance(error, ImportError) and kind in EXTRAS
    return f" Install it with: pip install 'cycada[{kind}]'." if is_extra else ""
