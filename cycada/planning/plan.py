"""Plan of an experiment: its config, checked against all registries before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, Spec
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.sources import import_plugin, look_for_modules_in
from cycada.data import domains, segmentation_domains
from cycada.data.domain import Wanted
from cycada.losses import Term
from cycada.methods import Method, methods, roles_in
from cycada.networks import NETWORKS, kind_of
from cycada.planning.auto_compile import decide_compile
from cycada.planning.checks import check_evaluation, check_task
from cycada.planning.epochs import Images, Set, convert_epochs, make_image_counter
from cycada.planning.resolve import network_at, plan_stage
from cycada.planning.stage_plan import RENAMED, ResolvedPhase, StagePlan
from cycada.planning.tasks import task_of

__all__ = [
    "RENAMED",
    "ResolvedPhase",
    "StagePlan",
    "load_plugins",
    "network_at",
    "plan",
    "replace_epochs_by_steps",
]


def load_plugins(config: Config) -> None:
    """Import the modules under `plugins:`, which register themselves.

    Beside the places that Python looks in, they are found in the working directory, and beside the config by
    `cycada.config.schema.read_as`.

    Raises:
        CycadaError: A module cannot be imported, or `config` is no Config.
    """
    if not isinstance(config, Config):
        raise CycadaError(
            f"Found a {type(config).__name__}, expected a Config, which cycada.load_config(FILE) and "
            "cycada.parse_config(MAPPING) return."
        )
    if config.plugins:
        look_for_modules_in(Path())
    for module in config.plugins:
        import_plugin(module, "plugins")


def plan(config: Config) -> list[StagePlan]:
    """Return the plans of all stages of an experiment, in order.

    It checks the whole config against the registries, and reads no images; for a stage with `epochs` it
    counts them.

    Raises:
        CycadaError: The config has a mistake: the first one, with its path and the nearest known name.
    """
    load_plugins(config)
    labelled = _check_domains(config)
    _check_kinds(config)
    images_of = make_image_counter(config)
    plans: dict[str, StagePlan] = {}
    for name, stage in config.stages.items():
        in_steps = _in_steps(plan_stage(config, name, stage, labelled), images_of)
        plans[name] = decide_compile(in_steps, config.device)
        _check_init(plans[name], plans)
        if stage.translate == "once":
            _check_once(plans[name])
    return list(plans.values())


def _check_domains(config: Config) -> dict[str, bool]:
    """Check the settings of both domains, and return whether each is labelled, as far as is known.

    Raises:
        CycadaError: A domain is unknown, or a setting does not suit it.
    """
    known: dict[str, Any] = {**domains, **segmentation_domains}
    sides: dict[str, Spec] = {"source": config.data.source, "target": config.data.target}
    for side, spec in sides.items():
        if spec.name not in known:
            raise CycadaError(f"data.{side}: unknown domain {shown(spec.name)}.{nearest(spec.name, known)}")
    check_task(config)
    check_evaluation(config)
    task = task_of(config)
    labelled = {}
    for side, spec in sides.items():
        domain = task.domain(spec, side)
        # Whether a folder of images has labels shows when it is read; until then it counts as labelled.
        labelled[side] = getattr(domain, "labelled", True)
        task.prepare(domain, Wanted(config.shapes()[side][0], config.data.resize), side)
        if config.evaluation.flip and not domain.flip_safe:
            raise CycadaError(
                f"evaluation.flip: images of the {side} {shown(spec.name)} may not be mirrored, they would "
                f"show another class. Set it to false; for your own images that look the same mirrored, set "
                f"data.{side}.flip_safe: true."
            )
        for name, stage in config.stages.items():
            if (
                stage.augment
                and stage.augment.flip
                and stage.augment.domains in ("both", side)
                and not domain.flip_safe
            ):
                raise CycadaError(
                    f"stages.{name}.augment.flip: images of the {side} {shown(spec.name)} may not be "
                    f"mirrored, they would show another class. Take it out; for your own images that look "
                    f"the same mirrored, set data.{side}.flip_safe: true."
                )
    return labelled


def replace_epochs_by_steps(config: Config, plans: Sequence[StagePlan]) -> Config:
    """Return the experiment with all epochs converted to steps and `compile: auto` replaced, as it is stored.

    So nobody who reads a stored experiment needs its data to count steps, or its machine.

    Args:
        config: The experiment.
        plans: All its stages.
    """
    return config.model_copy(update={"stages": {p.name: p.stage for p in plans}})


def _in_steps(this: StagePlan, images_of: Callable[[Set], Images]) -> StagePlan:
    """Return the plan with its epochs converted to steps."""
    if this.stage.epochs is None:
        return this
    kinds = {kind_of(role) for p in this.phases for role in p.roles}
    oracle = this.method.supervision == "target"
    converted = convert_epochs(
        this.stage.epochs, this.stage.batch, kinds, oracle, images_of, f"stages.{this.name}"
    )
    return replace(
        this, stage=this.stage.model_copy(update={"steps": converted.steps, "epochs": None}), epochs=converted
    )


def _check_kinds(config: Config) -> None:
    """Raise CycadaError where a key of `networks` is neither a kind (f, g, d_feat) nor a role (f_t, d_s)."""
    roles = {
        *NETWORKS,
        "f_s",
        "f_t",
        *(f"{kind}_{way}" for kind in ("g", "h") for way in ("st", "ts")),
        "d_s",
        "d_t",
    }
    roles |= {
        role
        for m in methods.values()
        for p in m.phases
        for role in roles_in(p.trains)
        if kind_of(role) in NETWORKS
    }
    sets = {"networks": config.networks} | {
        f"stages.{name}.networks": stage.networks for name, stage in config.stages.items()
    }
    for where, given in sets.items():
        for key in given:
            if key not in roles:
                raise CycadaError(
                    f"{where}: there is no kind of network and no role {shown(key)}.{nearest(key, roles)}"
                )


def _check_init(this: StagePlan, plans: Mapping[str, StagePlan]) -> None:
    """Raise CycadaError where a stage's `init` names no network, or another one, or leaves one untrained."""
    where = f"stages.{this.name}.init"
    for role, start in this.stage.init.items():
        if role not in this.specs:
            if any(role in this.method.tensors.roles_of(tensors) for tensors in _all_needs(this.method)):
                continue  # only losses of weight 0 need the role
            raise CycadaError(
                f"{where}: the method '{this.stage.method}' has no network "
                f"{shown(role)}.{nearest(role, this.specs)}"
            )
        if "#" in start:
            continue
        stage, _, parent_role = start.partition(".")
        parent = plans[stage]
        if parent_role not in parent.specs:
            raise CycadaError(
                f"{where}.{role}: stage '{stage}' has no network "
                f"{shown(parent_role)}.{nearest(parent_role, parent.specs)}"
            )
        if _architecture(parent.specs[parent_role]) != _architecture(this.specs[role]):
            raise CycadaError(
                f"{where}.{role}: {start} is {parent.specs[parent_role].model_dump()}, but {role} is "
                f"{this.specs[role].model_dump()} here. Give both the same network."
            )
    for role in this.frozen:
        features = role in this.method.tensors.feature_extractors
        if role not in this.stage.init and not (
            features and any(this.specs[role].options.get(k) for k in ("weights", "pretrained"))
        ):
            tensors = this.method.tensors
            needing = [
                term.name
                for phase in this.phases
                for term in phase.terms
                if role in tensors.roles_of(tensors.dependencies(term.needs))
            ]
            example = f"{role}: {_trained_network(role, this.name, plans)}"
            file = ", or name a file of weights: in networks" if features else ""
            raise CycadaError(
                f"{where}: {shown(role)} is frozen in this stage, so it must start from a trained network, "
                f"for example {example}{file}. An untrained one would teach noise. It is needed by "
                f"{', '.join(needing) or 'the method'}."
            )


def _trained_network(role: str, stage: str, plans: Mapping[str, StagePlan]) -> str:
    """Return a network of another stage, as STAGE.ROLE, from which a frozen role may start."""
    wanted = "f_t" if kind_of(role) == "f" else role
    trained = [
        p.name for p in plans.values() if p.name != stage and wanted in p.specs and wanted not in p.frozen
    ]
    return f"{trained[-1] if trained else 'STAGE'}.{wanted}"


def _architecture(spec: Spec) -> dict[str, Any]:
    """Return what must agree where weights are passed on: all but how they start and how they are trained."""
    return {
        key: value
        for key, value in spec.model_dump().items()
        if key not in ("checkpointing", "frozen_norm", "weights", "pretrained")
    }


def _check_once(this: StagePlan) -> None:
    """Raise CycadaError where `translate: once` is set without a loss on translations or a frozen g_st."""
    where = f"stages.{this.name}.translate"
    if not any("fake_t" in this.method.tensors.dependencies(t.needs) for p in this.phases for t in p.terms):
        raise CycadaError(
            f"{where}: no loss of this stage looks at translated source images (fake_t). Take it out."
        )
    if "g_st" not in this.frozen:
        state = "learns" if "g_st" in this.specs else "is not there"
        raise CycadaError(
            f"{where}: found that g_st {state} in this stage, expected a frozen one, as in cycada_task. Take "
            f"it out."
        )


def _all_needs(method: Method) -> list[tuple[str, ...]]:
    """Return the tensors that each loss of a method needs."""
    return [Term(name).needs for p in method.phases for name in p.terms]
