"""Ids of stages: a hash of everything that determines what a stage learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, digest
from cycada.core.bounds import Home, PathText
from cycada.core.errors import CycadaError
from cycada.core.files import file_digest
from cycada.core.registry import Registry, has_type, typed
from cycada.losses import losses
from cycada.methods import methods
from cycada.networks import HEAD, NETWORKS, kind_of
from cycada.planning.build import Datasets, true_translations
from cycada.planning.known_data import KnownData
from cycada.planning.plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device

FORMAT = 1
"""Version in every stage id; raise it when the same config no longer gives the same weights."""


def stage_id(
    config: Config,
    plan: StagePlan,
    parents: Mapping[str, str],
    datasets: Datasets | KnownData,
    device: Device,
) -> str:
    """Return the hash of everything that determines what a stage learns.

    Where `evaluation` is not the default, `-` and a hash of it follow: such stages share weights but not
    scores.

    Args:
        config: The experiment.
        plan: The stage.
        parents: Stage name -> id, for the stages before this one.
        datasets: The experiment's data, of which the id holds a fingerprint, or what is known of them.
        device: Where the stage is trained; the number of processes is part of the id.

    Raises:
        CycadaError: Where a file that the stage starts from cannot be read.
    """
    starts = {}
    for role, start in plan.stage.init.items():
        if role in plan.specs:
            path, file, inner = start.partition("#")
            if file:
                where = f"stages.{plan.name}.init.{role}"
                starts[role] = [_file_digest(typed(path, Home, where), where), inner]
            else:
                stage, _, parent_role = start.partition(".")
                starts[role] = [weights_id(parents[stage]), parent_role]
    data = config.data.model_dump(mode="json", include={"source", "target", "size", "channels", "resize"})
    content = plan.identity()
    content |= {
        "networks": {role: _with_digest(role, spec) for role, spec in content["networks"].items()},
        "format": FORMAT,
        "seed": config.seed,
        "init": starts,
        "data": data,
        "fingerprint": datasets.fingerprint,
        "world": device.world,
    }
    if sources := plugin_sources(config, plan):
        content["plugins"] = sources
    if plan.asks_for("pair_t"):
        assert not isinstance(datasets, KnownData)  # nothing is remembered of paired data
        content["pairs"] = true_translations(plan, datasets).fingerprint(labels=False)
    evaluation = plan.evaluation.changes()
    return f"{digest(content)}-{digest(evaluation)[:6]}" if evaluation else digest(content)


def plugin_sources(config: Config, plan: StagePlan) -> dict[str, str]:
    """Return what the stage uses of plug-ins, each with a digest of its source files."""
    registry = task_of(config).domains
    used: list[tuple[Registry[Any], str]] = [(methods, plan.stage.method)]
    used += [(losses, term.name) for phase in plan.phases for term in phase.terms]
    used += [
        (NETWORKS["f" if kind_of(role) == HEAD else kind_of(role)], spec.name)
        for role, spec in plan.specs.items()
    ]
    used += [(registry, spec.name) for spec in (config.data.source, config.data.target)]
    return {f"{kind.kind} {name}": source for kind, name in used if (source := kind.source(name))}


def weights_id(identity: str) -> str:
    """Return the part of a stage id that does not depend on how the stage is evaluated."""
    return identity.partition("-")[0]


def _with_digest(role: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return an architecture with the digest of the file of weights that it names in place of its path."""
    weights, where = spec.get("weights"), f"networks.{role}.weights"
    if not isinstance(weights, str) or weights in ("", "random"):
        return spec
    path = typed(weights, Home, where)
    factory = NETWORKS["f" if kind_of(role) == HEAD else kind_of(role)][spec["name"]]
    if not path.is_file() and not has_type(factory, "weights", PathText):
        return spec  # a plug-in's word
    return spec | {"weights": _file_digest(path, where)}


def _file_digest(path: Path, where: str) -> str:
    try:
        return file_digest(path, size=8)
    except OSError as error:
        raise CycadaError(f"{where}: cannot read {path}: {error.strerror}.") from None
