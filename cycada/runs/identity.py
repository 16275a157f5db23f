"""What a stage is known by: a hash of all that determines what it learns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cycada.build import Datasets, partners
from cycada.config import Config, digest
from cycada.errors import CycadaError
from cycada.plan import StagePlan
from cycada.train.device import Device

FORMAT = 1
"""Part of every stage's id: raise it when the same config would no longer give the same weights."""


def stage_id(config: Config, plan: StagePlan, parents: Mapping[str, str], datasets: Datasets, device: Device) -> str:
    """The hash of all that determines what a stage learns; where `evaluation` is not the default, `-` and a hash of it behind.

    parents: stage name -> id, for the stages before this one.
    """
    starts = {}
    for role, start in plan.stage.init.items():
        if role in plan.specs:
            path, file, inner = start.partition("#")
            if file:
                starts[role] = [_file_digest(Path(path).expanduser()), inner]
            else:
                stage, _, parent_role = start.partition(".")
                starts[role] = [trained_as(parents[stage]), parent_role]
    data = config.data.model_dump(mode="json", include={"source", "target", "size", "channels", "resize"})
    whole = plan.identity() | {
        "format": FORMAT,
        "seed": config.seed,
        "init": starts,
        "data": data,
        "fingerprint": datasets.fingerprint,
        "world": device.world,
    }
    if plan.asks_for("pair_t"):
        whole["pairs"] = partners(plan, datasets).fingerprint(masks=False)
    evaluation = plan.evaluation.changes()
    return f"{digest(whole)}-{digest(evaluation)[:6]}" if evaluation else digest(whole)


def trained_as(identity: str) -> str:
    """What the ids of stages share that learn the same and are evaluated in different ways."""
    return identity.partition("-")[0]


def _file_digest(path: Path) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise CycadaError(f"init: cannot read {path}: {error.strerror}.") from None
