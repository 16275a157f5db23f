"""Score a stage that differs from a finished one in its evaluation alone, instead of training it."""

from __future__ import annotations

from torch import Tensor

from cycada.planning.build import select_role_weights
from cycada.planning.plan import StagePlan
from cycada.storage.identity import weights_id
from cycada.storage.store import WEIGHTS, RunFolder

SCORED = ("source", "target", "selection")
"""Prefixes of the keys in metrics.jsonl that depend on the evaluation."""


def find_same_weights(folder: RunFolder) -> RunFolder | None:
    """Return a finished stage that learned what this one would learn, or None.

    Raises:
        CycadaError: Where its files are damaged.
    """
    candidates = sorted(folder.path.parent.glob(f"{weights_id(folder.id)}*"))
    others = [RunFolder(path) for path in candidates if path != folder.path]
    return next((other.check() for other in others if other.done), None)


def load_weights_by_role(folder: RunFolder, plan: StagePlan) -> dict[str, dict[str, Tensor]]:
    """Return role -> the state dict with which the finished stage ended.

    Raises:
        CycadaError: Where the weights cannot be read or lack a role.
    """
    weights = folder.load_weights()
    return {role: select_role_weights(weights, role, str(folder.path / WEIGHTS)) for role in plan.specs}


def replace_scores(folder: RunFolder, last: dict[str, float], step: int) -> list[dict[str, float]]:
    """Return the rows of a stage's metrics.jsonl with other scores.

    Args:
        folder: The stage that was trained.
        last: The scores of the new evaluation, which the last row gets; all other rows have none.
        step: The last step, for a stage without rows.
    """
    rows = [{k: v for k, v in row.items() if k.split("/")[0] not in SCORED} for row in folder.metrics()]
    rows = [row for row in rows if len(row) > 1] or [{"step": step}]  # at step 0 there were scores alone
    return [*rows[:-1], rows[-1] | last]
