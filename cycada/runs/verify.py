"""Verify finished stages: read their files, score their weights again, and compare with what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.core.versions import environment
from cycada.evaluation.scores import headline_scores, stored_scores
from cycada.evaluation.scoring import Evaluation, evaluate_stage
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, trained_networks
from cycada.storage.identity import stage_id
from cycada.storage.store import WEIGHTS, RunFolder
from cycada.train.device import Device

MOVED = 0.005
"""Fraction of predictions that may differ on another machine or version of torch.

Predictions are of test images, or of pixels in segmentation. On the same machine and versions, none may.
"""


@dataclass
class Verified:
    """Outcome of verifying one run.

    Attributes:
        run: The run's id.
        path: Its folder.
        stage: The stage's name; empty where its config cannot be read.
        checks: (what was checked, whether it is right, what was seen); None where it could not be checked.
    """

    run: str
    path: Path
    stage: str = ""
    checks: list[tuple[str, bool | None, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; what could not be checked counts as right."""
        return all(right is not False for _, right, _ in self.checks)

    def add(self, what: str, right: bool | None, seen: str) -> None:
        """Add a check."""
        self.checks.append((what, right, seen))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `cycada verify --json` prints them."""
        checks = [{"what": what, "right": right, "seen": seen} for what, right, seen in self.checks]
        return {
            "run": self.run,
            "folder": str(self.path),
            "stage": self.stage,
            "sound": self.sound,
            "checks": checks,
        }


def every_run(results: Path) -> list[Path]:
    """Return the folders of all finished stages."""
    return sorted(path.parent for path in (results / "runs").glob("*/done"))


def verify(
    run: Path | str, results: Path | str = "results", data_root: Path | None = None, score: bool = True
) -> Verified:
    """Read all files of a finished run, score its weights again, and compare with what is stored.

    Nothing is written.

    Args:
        run: A run folder, or its id under results/runs.
        results: The results folder.
        data_root: The data root, over the run's own.
        score: Whether to score the weights on the run's data.

    Returns:
        Everything that was checked, and what is wrong.

    Raises:
        CycadaError: Where there is no such finished run.
    """
    folder = find_run(run, results, check=False)
    outcome = Verified(folder.id, folder.path)
    _check_files(folder, outcome)
    try:
        config, stage = load_stage(folder, data_root)
        manifest = folder.read_json("manifest.json")
    except CycadaError as error:
        outcome.add("config", False, str(error))
        return outcome
    outcome.stage = stage.name
    _check_agreement(folder, stage, manifest, outcome)
    if not score:
        return outcome
    try:
        device = Device.find(config.device)
        datasets = load_datasets(config, [stage], device)
    except (CycadaError, OSError) as error:
        outcome.add("data", None, f"not loaded, so nothing was scored: {error}")
        return outcome
    _check_identity(folder, config, stage, datasets, device, manifest, outcome)
    if outcome.sound:
        resized = datasets.resized_to(config, stage.stage)
        _check_scores(folder, config, stage, resized, device, manifest, outcome)
    return outcome


def _check_files(folder: RunFolder, outcome: Verified) -> None:
    """Compare digests, then check that each file can be read and matches its schema."""
    try:
        digests, changed = folder.digests(), folder.changed()
    except CycadaError as error:
        digests, changed = None, {"done": str(error)}
    for name, fault in changed.items():
        outcome.add(name, False, fault)
    if not changed:
        seen = (
            f"{len(digests)} files as they were written"
            if digests
            else "made by an older version, which kept no digests"
        )
        outcome.add("files", True if digests else None, seen)
    reads: dict[str, Callable[[str], object]] = {
        "scores.json": folder.read_json,
        "manifest.json": folder.read_json,
        "confusion.json": folder.read_json,
        "drift.json": folder.read_json,
        "quality.json": folder.read_json,
        "metrics.jsonl": lambda name: folder.metrics(),
        "analysis.npz": folder.arrays,
        WEIGHTS: lambda name: folder.load_weights(),
    }
    for name, read in reads.items():
        if (folder.path / name).exists() and name not in changed:
            try:
                read(name)
            except CycadaError as error:
                outcome.add(name, False, str(error))
    for picture in sorted(folder.images.glob("*.png")):
        try:
            with Image.open(picture) as opened:
                opened.load()
        except (OSError, SyntaxError, ValueError) as error:
            outcome.add(f"images/{picture.name}", False, f"not readable ({error})")


def _check_agreement(
    folder: RunFolder, stage: StagePlan, manifest: dict[str, Any], outcome: Verified
) -> None:
    """Check that the files agree with each other, and that the stages that this one started from exist."""
    expected = {
        "stage": stage.name,
        "method": stage.stage.method,
        "steps": stage.stage.steps,
        "id": folder.id,
    }
    if other := [key for key, value in expected.items() if manifest.get(key, value) != value]:
        outcome.add(
            "manifest.json",
            False,
            f"its {other[0]} is {manifest[other[0]]!r}, the config's {expected[other[0]]!r}",
        )
    for role, parent in manifest.get("parents", {}).items():
        parent_folder = RunFolder(folder.path.parent / parent)
        if "#" in parent:
            continue
        if not parent_folder.done:
            outcome.add(f"parent {parent}", None, f"where {role} started from is no longer there")
            continue
        try:
            parent_folder.check()
        except CycadaError as error:
            outcome.add(f"parent {parent}", False, str(error))
    try:
        rows, scores = folder.metrics(), folder.read_json("scores.json")
    except CycadaError:
        return  # reported by `_check_files`
    last = rows[-1] if rows else {}
    if last.get("step") != stage.stage.steps:
        outcome.add("metrics.jsonl", False, f"ends at step {last.get('step')} of {stage.stage.steps}")
    for key, stored in headline_scores(scores).items():
        if last.get(key, stored) != stored:
            seen = f"{key.replace('/', ' ')} is {stored}, in the last row of metrics.jsonl {last[key]}"
            outcome.add("scores.json", False, seen)


def _check_identity(
    folder: RunFolder,
    config: Config,
    stage: StagePlan,
    datasets: Datasets,
    device: Device,
    manifest: dict[str, Any],
    outcome: Verified,
) -> None:
    """Compute the id again from config, data, plug-ins and parents."""
    if (before := manifest.get("data_fingerprint")) and before != datasets.fingerprint:
        fingerprints = f"fingerprint {datasets.fingerprint}, expected {before}"
        outcome.add("data", False, f"other data than the stage was trained with ({fingerprints})")
        return
    starts = {role: start for role, start in stage.stage.init.items() if "#" not in start}
    parents = {start.partition(".")[0]: manifest["parents"].get(role, "") for role, start in starts.items()}
    processes = max(1, manifest["batch"] // stage.stage.batch)
    try:
        again = stage_id(config, stage, parents, datasets, replace(device, world=processes))
    except (CycadaError, KeyError) as error:
        outcome.add("id", None, f"not computed again: {error}")
        return
    seen = (
        "follows from config, data and parents"
        if again == folder.id
        else f"{again} follows from config, data, plug-ins and parents"
    )
    outcome.add("id", again == folder.id, seen)


def _check_scores(
    folder: RunFolder,
    config: Config,
    stage: StagePlan,
    datasets: Datasets,
    device: Device,
    manifest: dict[str, Any],
    outcome: Verified,
) -> None:
    """Repeat the stage's evaluation with the stored weights, without its images."""
    try:
        nets = trained_networks(folder, config, stage, len(datasets.classes), device)
        again = evaluate_stage(stage, nets, datasets, device, None, stage.stage.steps)
        stored, counts = stored_scores(folder), folder.read_json("confusion.json")
    except CycadaError as error:
        outcome.add("scores", False, str(error))
        return
    now, then = environment(), manifest.get("environment", {})
    same = manifest.get("device") == device.describe() and all(
        then.get(key) == now[key] for key in ("torch", "platform")
    )
    if not again.scores and not stored:
        outcome.add("scores", True, "none, as its networks classify nothing")
    elif set(again.scores) != set(stored) or set(counts) != set(stored):
        outcome.add(
            "scores",
            False,
            f"scored {', '.join(again.scores) or 'nothing'}, stored {', '.join(stored) or 'nothing'}",
        )
    else:
        _compare(again, stored, counts, same, outcome)


def _compare(
    again: Evaluation, stored: dict[str, Any], counts: dict[str, Any], same: bool, outcome: Verified
) -> None:
    """Compare scores and confusion matrices; `same`: machine and versions are those of the run."""
    for side, scores in again.scores.items():
        before, now = np.array(counts[side], np.int64), again.counts[side].cpu().numpy().astype(np.int64)
        if before.shape != now.shape or before.sum() != now.sum():
            outcome.add(
                f"{side} scores",
                False,
                f"{now.sum()} predictions of {len(now)} classes, stored {before.sum()} of {len(before)}",
            )
            continue
        moved = int(abs(before - now).sum()) // 2 / max(1, int(now.sum()))
        wrong = [
            name for name, value in scores.items() if name in stored[side] and stored[side][name] != value
        ]
        if moved == 0:
            outcome.add(
                f"{side} scores",
                not wrong,
                f"equal to the last digit{f' but for {wrong[0]}' if wrong else ''}",
            )
        else:
            why = (
                "the same machine and versions: none may be"
                if same
                else f"another machine or version: {100 * MOVED:g} % may be"
            )
            outcome.add(
                f"{side} scores",
                not same and moved <= MOVED,
                f"{100 * moved:.3g} % of the predictions are others ({why})",
            )


def complaint(outcomes: Sequence[Verified]) -> str:
    """Return a message with one line for everything that is wrong; empty where nothing is."""
    bad = [outcome for outcome in outcomes if not outcome.sound]
    if not bad:
        return ""
    lines = [f"  {f.path}: {what}: {seen}" for f in bad for what, right, seen in f.checks if right is False]
    first = (
        f"{len(bad)} of {len(outcomes)} runs are not as they were made. "
        "Put the files back from a copy, or delete the folders."
    )
    return "\n".join([first, *lines])
