"""What the stages of an experiment share, and what each of them comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.core.profile import Profile
from cycada.core.progress import Progress
from cycada.evaluation.scores import Scores, flatten_measurements, flatten_scores
from cycada.planning.build import Datasets
from cycada.planning.known_data import KnownData
from cycada.planning.plan import StagePlan
from cycada.storage.measurements import FILE, by_part, measured
from cycada.storage.store import RunFolder
from cycada.tracking.class_names import with_class_names
from cycada.tracking.metrics import tracked_row
from cycada.tracking.tracker import Tracker
from cycada.train.device import Device


@dataclass(frozen=True)
class StageResult:
    """Outcome of a stage.

    Attributes:
        name: The stage's name.
        method: Its method.
        label: What tables call its outcome.
        id: Its id.
        folder: Its run folder.
        seconds: Training time over all interruptions.
        scores: Domain -> its scores, all fractions.
        reused: Whether the stage had been finished before.
    """

    name: str
    method: str
    label: str
    id: str
    folder: Path
    seconds: float
    scores: Scores
    reused: bool


@dataclass(frozen=True)
class StageContext:
    """Objects that the stages of an experiment share.

    Attributes:
        config: The experiment.
        known: What is known of its data.
        read: Its data, at the image size of the stage that runs; None where all stages are finished.
        device: Where to train.
        tracker: The tracker that the stage is reported to.
        screen: Where progress is shown.
        variant: Label of the sweep's row that the experiment is; empty outside a sweep.
        profiles: Where the profile of each stage that is trained is kept, by its name; None profiles nothing.
    """

    config: Config
    known: KnownData
    read: Datasets | None
    device: Device
    tracker: Tracker
    screen: Progress
    variant: str = ""
    profiles: dict[str, Profile] | None = None

    @property
    def datasets(self) -> Datasets:
        """Its data, at the image size of the stage that runs.

        Raises:
            CycadaError: They were not read, since all stages were finished when the run began.
        """
        if self.read is None:
            raise CycadaError(
                f"{self.config.results / 'runs'}: found a stage gone that was finished when the run began. "
                "Run the same command again."
            )
        return self.read

    def track(self, plan: StagePlan, row: Mapping[str, float]) -> None:
        """Log a row of metrics.jsonl to the tracker."""
        self.tracker.log(int(row["step"]), tracked_row(row, plan, self.known.classes))

    def track_end(self, folder: RunFolder, scores: Scores) -> None:
        """Give the tracker the files and the last scores of a finished stage."""
        named = with_class_names(flatten_scores(scores), self.known.classes)
        self.tracker.end_stage(_artifacts(folder), named)
        if stored := measured(folder):  # also where the tracker was away when it was measured
            values = with_class_names(flatten_measurements(by_part(stored)), self.known.classes)
            self.tracker.measured(folder.id, folder.path / FILE, values)


def _artifacts(folder: RunFolder) -> list[Path]:
    """Return the files for the tracker: all that describe the stage, and the last images of each kind."""
    names = (
        "config.yaml",
        "manifest.json",
        "scores.json",
        "confusion.json",
        "drift.json",
        "analysis.npz",
        "metrics.jsonl",
    )
    confusions, mistakes, predictions, grids = (
        sorted(folder.images.glob(f"{kind}_*.png")) for kind in ("confusion", "mistakes", "answers", "grid")
    )
    return (
        [folder.path / n for n in names if (folder.path / n).exists()]
        + confusions
        + mistakes
        + predictions[-1:]
        + grids[-3:]
    )
