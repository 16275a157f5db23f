"""A stage's twin: it learnt the same and was evaluated in another way, so its weights are taken and only scored again."""

from __future__ import annotations

from torch import Tensor

from cycada.planning.build import pick
from cycada.planning.plan import StagePlan
from cycada.storage.identity import weights_id
from cycada.storage.store import RunFolder

SCORED = ("source", "target", "selection")
"""What the keys in metrics.jsonl begin with that depend on the evaluation."""


def twin_of(folder: RunFolder) -> RunFolder | None:
    """A finished stage that learnt what this one would learn. Raises CycadaError where it is damaged."""
    beside = folder.path.parent
    twins = [
        RunFolder(path) for path in sorted(beside.glob(f"{weights_id(folder.id)}*")) if path != folder.path
    ]
    return next((twin.check() for twin in twins if twin.done), None)


def weights_of(twin: RunFolder, plan: StagePlan) -> dict[str, dict[str, Tensor]]:
    """role -> the weights that it ended with."""
    weights = twin.load_weights()
    return {role: pick(weights, role, str(twin.path / "weights.safetensors")) for role in plan.specs}


def metrics_of(twin: RunFolder, last: dict[str, float], step: int) -> list[dict[str, float]]:
    """The rows of its metrics.jsonl with no scores but those of the last step, which are `last`."""
    rows = [{k: v for k, v in row.items() if k.split("/")[0] not in SCORED} for row in twin.metrics()] or [
        {"step": step}
    ]
    return [*rows[:-1], rows[-1] | last]
