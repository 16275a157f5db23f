"""Estimates of how long the stages of a sweep take, by those that are finished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.storage.store import RECORDS, RunFolder
from cycada.sweeps.plan import Job


def seconds_left(jobs: Iterable[Job], results: Path) -> dict[str, float | None]:
    """Estimate how long each stage takes by itself, in seconds.

    An estimate is the mean of finished stages of the same recipe, also of those of which there is only a
    record; else the seconds of all finished stages of the same method by the images that they trained on, so
    that a trial of a few steps counts little; None where there is none.

    Args:
        jobs: The stages.
        results: The results folder with finished stages.

    Returns:
        Id -> seconds.
    """
    by_recipe: dict[str, list[float]] = {}
    by_method: dict[str, list[tuple[float, int]]] = {}
    folders = {
        path.parent.name: RunFolder(path.parent)
        for place in (results / RECORDS, results)
        for path in (place / "runs").glob("*/manifest.json")
    }
    for folder in folders.values():
        if not folder.done and not folder.is_record:
            continue
        try:
            manifest = folder.read_json("manifest.json")
        except CycadaError:
            continue  # reported where that stage is needed
        if "seconds" in manifest:
            seconds, images = manifest["seconds"], manifest["steps"] * manifest["batch"]
            by_recipe.setdefault(manifest.get("recipe", ""), []).append(seconds)
            by_method.setdefault(manifest["method"], []).append((seconds, images))
    estimates: dict[str, float | None] = {}
    for job in jobs:
        stage = job.plan.stage
        if same := by_recipe.get(job.plan.recipe()):
            estimates[job.id] = sum(same) / len(same)
        elif alike := by_method.get(stage.method):
            seconds, images = map(sum, zip(*alike, strict=True))
            estimates[job.id] = seconds / images * stage.steps * stage.batch
        else:
            estimates[job.id] = None
    return estimates
