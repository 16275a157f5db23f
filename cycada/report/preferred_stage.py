"""Name the stage that a label-free criterion prefers to the last one."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.methods import methods
from cycada.runs.stage_context import StageResult
from cycada.storage.store import RunFolder

CRITERION = "information_maximisation"
"""The entropy of the mean prediction minus the mean entropy of predictions, on target training images."""
MARGIN = 0.01
"""In nats: by how much more a stage must have to be preferred."""


def preferred_stage(stages: Sequence[StageResult]) -> str:
    """Return a sentence on an earlier stage that is preferred to the last one; empty where there is none.

    Self-training on a pair that its teacher hardly knows can end below the stage it starts from. The
    criterion needs no target label, so that a user without any can see it.

    Args:
        stages: The stages of an experiment. Compared are the last one that trains the task network without
            target labels and those that it starts from, directly or through others.
    """
    by_id = {stage.id: stage for stage in stages if methods[stage.method].supervision != "target"}
    values: dict[str, float] = {}
    waiting = list(by_id)[-1:]
    while waiting:
        folder = RunFolder(by_id[waiting[0]].folder)
        manifest = folder.read_json("manifest.json")
        value = (folder.metrics() or [{}])[-1].get(f"selection/{CRITERION}")
        if manifest.get("updates", {}).get("task") and value is not None:
            values[waiting[0]] = value
        parents = manifest.get("parents", {}).values()
        waiting = [*waiting[1:], *(p for p in parents if p in by_id and p not in values)]
    last = next(iter(values), None)
    best = max(values, key=values.__getitem__, default=None)
    if last is None or best is None or values[best] <= values[last] + MARGIN:
        return ""
    return (
        f"Information maximisation, which needs no labels, prefers stage '{by_id[best].name}' "
        f"({values[best]:.3f}) to '{by_id[last].name}' ({values[last]:.3f}). To predict by it, give "
        f"`cycada predict` its folder, {by_id[best].folder}."
    )
