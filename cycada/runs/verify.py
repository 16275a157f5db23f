"""A finished stage read again from its files, and scored again by its weights: whether what is stored is what was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cycada.config.schema import Config
from cycada.core.errors import CycadaError
from cycada.evaluation.scoring import Evaluation, evaluate_stage, stored_scores
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import find_run, load_stage, trained_networks
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder, environment
from cycada.train.device import Device

MOVED = 0.005
"""On another machine, number of threads or version of torch: the share of test images (of scenes: pixels) that may be answered in another
way. Where all of these are the same, none may."""


@dataclass
class Verified:
    """What was found of one run: (what was looked at, whether it is right, what was seen). None: it could not be looked at."""

    run: str
    path: Path
    stage: str = ""
    checks: list[tuple[str, bool | None, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return all(right is not False for _, right, _ in self.checks)

    def add(self, what: str, right: bool | None, seen: str) -> None:
        self.checks.append((what, right, seen))

    def as_dict(self) -> dict[str, Any]:
        checks = [{"what": what, "right": right, "seen": seen} for what, right, seen in self.checks]
        return {
            "run": self.run,
            "folder": str(self.path),
            "stage": self.stage,
            "sound": self.sound,
            "checks": checks,
        }


def every_run(results: Path) -> list[Path]:
    """The folders of all finished stages."""
    return sorted(path.parent for path in (results / "runs").glob("*/done"))


def verify(
    run: Path | str, results: Path | str = "results", data_root: Path | None = None, score: bool = True
) -> Verified:
    """Read everything of a finished run again; with `score`, also score its weights on its data and compare with what is stored.

    Nothing is written. Raises CycadaError where there is no such finished run; all that is wrong with it is in the result.
    """
    folder = find_run(run, results, check=False)
    found = Verified(folder.id, folder.path)
    _files(folder, found)
    try:
        config, stage = load_stage(folder, data_root)
        manifest = folder.read_json("manifest.json")
    except CycadaError as error:
        found.add("config", False, str(error))
        return found
    found.stage = stage.name
    _agreement_of_files(folder, stage, manifest, found)
    if not score:
        return found
    try:
        device = Device.find(config.device)
        datasets = load_datasets(config, [stage], device)
    except (CycadaError, OSError) as error:
        found.add("data", None, f"not there, so nothing was scored: {error}")
        return found
    _identity(folder, config, stage, datasets, device, manifest, found)
    if found.sound:
        _scores(folder, config, stage, datasets.resized_to(config, stage.stage), device, manifest, found)
    return found


def _files(folder: RunFolder, found: Verified) -> None:
    """Digests, then whether each file can be read and has its shape."""
    try:
        digests, changed = folder.digests(), folder.changed()
    except CycadaError as error:
        digests, changed = None, {"done": str(error)}
    for name, what in changed.items():
        found.add(name, False, what)
    if not changed:
        seen = (
            f"{len(digests)} files as they were written"
            if digests
            else "made by an older version, which kept no digests"
        )
        found.add("files", True if digests else None, seen)
    reads = {
        "scores.json": folder.read_json, "manifest.json": folder.read_json, "confusion.json": folder.read_json,
        "drift.json": folder.read_json, "quality.json": folder.read_json, "metrics.jsonl": lambda name: folder.metrics(),
        "analysis.npz": folder.arrays, "weights.safetensors": lambda name: folder.load_weights(),
    }  # fmt: skip
    for name, read in reads.items():
        if (folder.path / name).exists() and name not in changed:
            try:
                read(name)
            except CycadaError as error:
                found.add(name, False, str(error))
    for picture in sorted(folder.images.glob("*.png")):
        try:
            with Image.open(picture) as opened:
                opened.load()
        except (OSError, SyntaxError, ValueError) as error:
            found.add(f"images/{picture.name}", False, f"not readable ({error})")


def _agreement_of_files(
    folder: RunFolder, stage: StagePlan, manifest: dict[str, Any], found: Verified
) -> None:
    """What one file says of the others, and whether the stages that it started from are there."""
    said = {"stage": stage.name, "method": stage.stage.method, "steps": stage.stage.steps, "id": folder.id}
    if other := [key for key, value in said.items() if manifest.get(key, value) != value]:
        found.add(
            "manifest.json",
            False,
            f"its {other[0]} is {manifest[other[0]]!r}, the config's {said[other[0]]!r}",
        )
    for role, parent in manifest.get("parents", {}).items():
        beside = RunFolder(folder.path.parent / parent)
        if "#" in parent:
            continue
        if not beside.done:
            found.add(f"parent {parent}", None, f"where {role} started from is no longer there")
            continue
        try:
            beside.check()
        except CycadaError as error:
            found.add(f"parent {parent}", False, str(error))
    try:
        rows, scores = folder.metrics(), folder.read_json("scores.json")
    except CycadaError:
        return  # named already
    last = rows[-1] if rows else {}
    if last.get("step") != stage.stage.steps:
        found.add("metrics.jsonl", False, f"ends at step {last.get('step')} of {stage.stage.steps}")
    for side, values in scores.items():
        for name in ("accuracy", "miou"):
            stored = values.get(name)
            if stored is not None and last.get(f"{side}/{name}", stored) != stored:
                found.add(
                    "scores.json",
                    False,
                    f"{side} {name} is {stored}, in the last row of metrics.jsonl {last[f'{side}/{name}']}",
                )


def _identity(
    folder: RunFolder, config: Config, stage: StagePlan, datasets: Datasets, device: Device, manifest: dict[str, Any], found: Verified
) -> None:  # fmt: skip
    """The id, computed again from config, data, plug-ins and parents."""
    if (before := manifest.get("data_fingerprint")) and before != datasets.fingerprint:
        found.add(
            "data",
            False,
            f"other data than the stage was trained with (fingerprint {datasets.fingerprint}, expected {before})",
        )
        return
    starts = {role: start for role, start in stage.stage.init.items() if "#" not in start}
    parents = {start.partition(".")[0]: manifest["parents"].get(role, "") for role, start in starts.items()}
    processes = max(1, manifest["batch"] // stage.stage.batch)
    try:
        again = stage_id(config, stage, parents, datasets, replace(device, world=processes))
    except (CycadaError, KeyError) as error:
        found.add("id", None, f"not computed again: {error}")
        return
    seen = (
        "follows from config, data and parents"
        if again == folder.id
        else f"{again} follows from config, data, plug-ins and parents"
    )
    found.add("id", again == folder.id, seen)


def _scores(
    folder: RunFolder, config: Config, stage: StagePlan, datasets: Datasets, device: Device, manifest: dict[str, Any], found: Verified
) -> None:  # fmt: skip
    """The stage's own evaluation by the stored weights, without its pictures."""
    try:
        nets = trained_networks(folder, config, stage, len(datasets.classes), device)
        again = evaluate_stage(stage, nets, datasets, device, None, stage.stage.steps)
        stored, counts = stored_scores(folder), folder.read_json("confusion.json")
    except CycadaError as error:
        found.add("scores", False, str(error))
        return
    here = environment()
    then = manifest.get("environment", {})
    same = manifest.get("device") == device.describe() and all(
        then.get(key) == here[key] for key in ("torch", "platform")
    )
    if not again.scores and not stored:
        found.add("scores", True, "none, as its networks classify nothing")
    elif set(again.scores) != set(stored) or set(counts) != set(stored):
        found.add(
            "scores",
            False,
            f"scored {', '.join(again.scores) or 'nothing'}, stored {', '.join(stored) or 'nothing'}",
        )
    else:
        _compare(again, stored, counts, same, found)


def _compare(
    again: Evaluation, stored: dict[str, Any], counts: dict[str, Any], same: bool, found: Verified
) -> None:
    for side, scores in again.scores.items():
        before, now = np.array(counts[side], np.int64), again.counts[side].cpu().numpy().astype(np.int64)
        if before.shape != now.shape or before.sum() != now.sum():
            found.add(
                f"{side} scores",
                False,
                f"{now.sum()} answers of {len(now)} classes, stored {before.sum()} of {len(before)}",
            )
            continue
        moved = int(abs(before - now).sum()) // 2 / max(1, int(now.sum()))
        wrong = [
            name for name, value in scores.items() if name in stored[side] and stored[side][name] != value
        ]
        if moved == 0:
            found.add(
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
            found.add(
                f"{side} scores",
                not same and moved <= MOVED,
                f"{100 * moved:.3g} % of the answers are others ({why})",
            )


def complaint(found: Sequence[Verified]) -> str:
    """One line for everything that is wrong; empty where all is sound."""
    bad = [f for f in found if not f.sound]
    if not bad:
        return ""
    lines = [f"  {f.path}: {what}: {seen}" for f in bad for what, right, seen in f.checks if right is False]
    return "\n".join(
        [
            f"{len(bad)} of {len(found)} runs are not as they were made. Put the files back from a copy, or delete the folders.",
            *lines,
        ]
    )
