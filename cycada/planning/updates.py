"""Numbers of optimizer steps, by which rows of a table are compared: how long was each network trained?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from cycada.planning.plan import StagePlan

TASK_NETWORKS = {"f_t", "pair_d"}
"""Roles of networks that classify: f_t, and CoGAN's discriminators, on which its class head sits."""


@dataclass(frozen=True)
class Updates:
    """Numbers of optimizer steps of a stage, or of several.

    Attributes:
        task: Steps that train the task network (`TASK_NETWORKS`), wholly or in part.
        all: Steps that train any network.
    """

    task: int
    all: int


def count_updates(plan: StagePlan) -> Updates:
    """Return how many optimizer steps a stage takes.

    A phase takes `repeat` steps in every `every`-th step of the stage. A phase whose learning rate is 0 moves
    batch-norm statistics and no weight, and takes none.
    """
    task = total = 0
    for phase in plan.phases:
        if phase.optimizer.get("lr") == 0:
            continue
        count = phase.repeat * ceil(plan.stage.steps / phase.every)
        total += count
        task += count if TASK_NETWORKS & set(phase.roles) else 0
    return Updates(task, total)


def add_updates(counts: Iterable[Updates]) -> Updates:
    """Return the sum over several stages."""
    task = total = 0
    for count in counts:
        task, total = task + count.task, total + count.all
    return Updates(task, total)
