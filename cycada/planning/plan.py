"""Plan of an experiment: its config, checked against all registries before anything is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from cycada.config.schema import Config, EvaluationConfig, Loss, ScheduleConfig, Spec, Stage, digest
from cycada.core.bounds import takes_none
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.registry import check_options, typed
from cycada.core.sources import look_for_modules_in
from cycada.data import domains, scene_domains
from cycada.data.domain import Wanted
from cycada.losses import Ramp, Term, losses
from cycada.methods import TEACHER, Method, PhaseSpec, methods, roles_in
from cycada.methods.renamed_tensors import present_name
from cycada.networks import HEAD, NETWORKS, kind_of
from cycada.planning.checks import check_evaluation, check_task, check_terms
from cycada.planning.epochs import Epochs, Images, Set, counter, epochs
from cycada.planning.tasks import TaskRules, task_of


@dataclass(frozen=True)
class ResolvedPhase:
    """Phase of a stage, reduced to its active terms and to the networks that they need.

    Attributes:
        name: Name of the phase.
        trains: Roles of the networks that it trains, or paths of their submodules (`f_t.head`).
        terms: Its losses with a weight other than 0.
        optimizer: Settings of its optimizer: those of the method, replaced by those of the config.
        every: The phase runs in every so many-th step.
        repeat: How many times it runs within a step.
        shares_optimizer_of: Name of the phase whose optimizer it uses; None for its own.
        schedule: Its own learning-rate schedule; None for that of the stage.
    """

    name: str
    trains: tuple[str, ...]
    terms: tuple[Term, ...]
    optimizer: Mapping[str, Any]
    every: int
    repeat: int
    shares_optimizer_of: str | None
    schedule: ScheduleConfig | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the networks that the phase trains, wholly or in part."""
        return roles_in(self.trains)


@dataclass(frozen=True)
class StagePlan:
    """One stage, checked and resolved.

    Attributes:
        name: Name of the stage.
        stage: Its settings, with epochs converted to steps.
        method: Its method.
        options: The method's options, a dataclass.
        phases: The phases that have a loss, in order.
        specs: Role to the architecture of its network, without image pools.
        frozen: Roles of networks that no phase trains.
        pools: Roles of image pools.
        needs_target: Whether any loss depends on target images.
        has_teacher: Whether any loss depends on an EMA of f_t.
        evaluation: How its predictions are made for scores.
        epochs: The epochs that its steps come from; None where the config gives steps.
    """

    name: str
    stage: Stage
    method: Method
    options: Any
    phases: tuple[ResolvedPhase, ...]
    specs: Mapping[str, Spec]
    frozen: tuple[str, ...]
    pools: tuple[str, ...]
    needs_target: bool
    has_teacher: bool
    evaluation: EvaluationConfig
    epochs: Epochs | None = None

    def asks_for(self, tensor: str) -> str | None:
        """Return the name of the first loss that depends on a tensor, such as `pair_t`; None if none does."""
        return next(
            (
                t.name
                for p in self.phases
                for t in p.terms
                if tensor in self.method.tensors.dependencies(t.needs)
            ),
            None,
        )

    def recipe(self) -> str:
        """Return a hash of the stage that does not depend on its seed, its data or its initial weights.

        Returns:
            12 hex characters; stages that share them take equally long to train.
        """
        return digest(self.identity())

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine what the stage learns, as plain values."""
        return dict(self._identity)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        stage = self.stage
        kept = {"method", "steps", "batch", "schedule", "precision", "augment", "ema", "compile"}
        kept |= {key for key in ("crop", "size", "load_size", "crop_area") if getattr(stage, key)}
        kept |= {"translate"} if stage.translate == "once" else set()
        return stage.model_dump(mode="json", include=kept) | {
            "options": self.options.identity(),
            "networks": {role: spec.model_dump() for role, spec in self.specs.items()},
            "phases": [
                {
                    "name": p.name,
                    "every": p.every,
                    "optimizer": {k: v for k, v in p.optimizer.items() if v is not None},
                    "terms": [(t.name, t.weight, asdict(t.ramp), _identity_of_options(t)) for t in p.terms],
                }
                | ({"repeat": p.repeat} if p.repeat != 1 else {})
                | ({"schedule": p.schedule.model_dump()} if p.schedule else {})
                for p in self.phases
            ],
        }


RENAMED = {
    ("self_training", "target"): {
        "summed_probabilities": "probabilities",
        "probabilities": "mean_probabilities",
    }
}
"""(loss, option) to a value's name, and that to its name in ids.

These names have changed their meaning since; ids keep the earlier names, so that trained stages keep their
ids."""


def _identity_of_options(term: Term) -> dict[str, Any]:
    """Return the options of a loss as they enter the stage's id."""
    return {
        key: RENAMED.get((term.name, key), {}).get(value, value) if isinstance(value, str) else value
        for key, value in term.options.items()
    }


def load_plugins(config: Config) -> None:
    """Import the modules under `plugins:`, which register themselves.

    Beside the places that Python looks in, they are found in the working directory, and beside the config by
    `cycada.config.schema.read_as`.

    Raises:
        CycadaError: A module cannot be imported.
    """
    if config.plugins:
        look_for_modules_in(Path())
    for module in config.plugins:
        try:
            importlib.import_module(module)
        except CycadaError:
            raise
        except Exception as error:  # a module may raise anything when it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise CycadaError(
                f"plugins: cannot import {shown(module)} ({reason}). It is looked for beside the config, in "
                f"the working directory and on PYTHONPATH; is it there, and is it PACKAGE.MODULE?"
            ) from error


def plan(config: Config) -> list[StagePlan]:
    """Return the plans of all stages of an experiment, in order.

    It checks the whole config against the registries, and reads no images; for a stage with `epochs` it
    counts them.

    Raises:
        CycadaError: The config has a mistake: the first one, with its path and the nearest known name.
    """
    load_plugins(config)
    known: dict[str, Any] = {**domains, **scene_domains}
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
    _check_kinds(config)
    images_of = counter(config)
    plans: dict[str, StagePlan] = {}
    for name, stage in config.stages.items():
        plans[name] = _in_steps(_plan_stage(config, name, stage, labelled), images_of)
        _check_init(plans[name], plans)
        if stage.translate == "once":
            _check_once(plans[name])
    return list(plans.values())


def counted(config: Config, plans: Sequence[StagePlan]) -> Config:
    """Return the experiment with all epochs converted to steps, as it is stored.

    So nobody who reads a stored experiment needs its data to count steps.

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
    converted = epochs(this.stage.epochs, this.stage.batch, kinds, oracle, images_of, f"stages.{this.name}")
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


def _plan_stage(config: Config, name: str, stage: Stage, labelled: Mapping[str, bool]) -> StagePlan:
    where = f"stages.{name}"
    if stage.method not in methods:
        raise CycadaError(
            f"{where}.method: unknown method {shown(stage.method)}.{nearest(stage.method, methods)}"
        )
    method = methods[stage.method]
    options = _options(method, stage.options, f"{where}.options", task_of(config))
    terms = _without_unopposed(method, _terms(method, stage, options, where))
    check_terms(config, name, method, [t for ts in terms.values() for t in ts], labelled)
    used = {
        role for active in terms.values() for term in active for role in method.tensors.roles_of(term.needs)
    }
    phases = tuple(
        ResolvedPhase(
            p.name,
            tuple(path for path in p.trains if roles_in([path])[0] in used),
            tuple(terms[p.name]),
            _optimizer(method, p, stage, where),
            stage.every.get(p.name, 1),
            stage.repeat.get(p.name, p.repeat),
            p.shares_optimizer_of if p.shares_optimizer_of and terms[p.shares_optimizer_of] else None,
            stage.schedules.get(p.shares_optimizer_of or p.name),
        )
        for p in method.phases
        if terms[p.name]
    )
    if not phases:
        raise CycadaError(
            f"{where}.losses: every weight is 0, so that nothing would be trained. Set one above 0."
        )
    for key in ("optimizers", "every", "repeat", "schedules"):
        for phase in getattr(stage, key):
            if phase not in [p.name for p in method.phases]:
                raise CycadaError(
                    f"{where}.{key}: unknown phase "
                    f"{shown(phase)}.{nearest(phase, [p.name for p in method.phases])}"
                )
    specs = {
        role: _spec(config, name, stage, role)
        for role in sorted(used)
        if kind_of(role) != "pool" and role != TEACHER
    }
    learning = {role for p in phases for role in p.roles}
    for role in stage.ema:
        if role not in learning:
            raise CycadaError(
                f"{where}.ema: {shown(role)} does not learn in this stage.{nearest(role, learning)}"
            )
    needs_target = any("real_t" in method.tensors.dependencies(t.needs) for p in phases for t in p.terms)
    frozen = tuple(role for role in specs if role not in learning)
    pools = tuple(sorted(role for role in used if kind_of(role) == "pool"))
    if TEACHER in used and "f_t" not in stage.ema:
        raise CycadaError(
            f"{where}.ema: {shown(stage.method)} learns from a teacher, the EMA of f_t. Add ema: {{f_t: "
            f"0.99}}."
        )
    return StagePlan(
        name,
        stage,
        method,
        options,
        phases,
        specs,
        frozen,
        pools,
        needs_target,
        TEACHER in used,
        config.evaluation,
    )


def _options(method: Method, given: Mapping[str, Any], where: str, task: TaskRules) -> Any:
    """Return the method's options with those that YAML sets, checked and converted."""
    fields = method.options.__dataclass_fields__
    for key in given:
        if key not in fields:
            raise CycadaError(f"{where}: unknown option {shown(key)}.{nearest(key, fields)}")
        only = bool(fields[key].metadata.get("image_labels_only"))
        task.check_option(f"{where}.{key}", given[key], only)
    hints = get_type_hints(method.options, include_extras=True)
    given = {key: value for key, value in given.items() if value is not None or takes_none(hints[key])}
    checked = {key: typed(value, hints[key], f"{where}.{key}") for key, value in given.items()}
    return method.options(**{**task.default_options(method.options), **checked})


def _terms(method: Method, stage: Stage, options: Any, where: str) -> dict[str, list[Term]]:
    """Return the terms of each phase whose weight is not 0.

    A term goes to the phase that YAML names, else to all phases that list it, else to the first phase; a
    weight in YAML is its weight in all of them.
    """
    homes: dict[str, dict[str, float]] = {}
    for p in method.phases:
        for term_name, usual_weight in p.terms.items():
            homes.setdefault(term_name, {})[p.name] = usual_weight
    names = [p.name for p in method.phases]
    known = method.tensors.names()
    terms: dict[str, list[Term]] = {name: [] for name in names}
    for name in {**homes, **stage.losses}:
        if name not in losses:
            raise CycadaError(f"{where}.losses: unknown loss {shown(name)}.{nearest(name, losses)}")
        given = stage.losses.get(name, Loss(weight=None))
        if given.phase and given.phase not in names:
            raise CycadaError(
                f"{where}.losses.{name}.phase: unknown phase "
                f"{shown(given.phase)}.{nearest(given.phase, names)}"
            )
        term = Term(name, 0.0, Ramp(**given.ramp.model_dump()), given.options, f"{where}.losses")
        if missing := [n for n in term.needs if n not in known]:
            able = [m for m in methods if not set(term.needs) - set(methods[m].tensors.names())]
            renamed = [f" '{n}' is called '{new}' now." for n in missing if (new := present_name(n))]
            raise CycadaError(
                f"{where}.losses.{name}: it needs {', '.join(missing)}, which the method "
                f"{shown(stage.method)} does not compute. Methods that do: {', '.join(able) or 'none'}."
                f"{''.join(renamed)}"
            )
        if term.accepts("mode") and "mode" not in term.options and hasattr(options, "gan"):
            term = replace(term, options={**term.options, "mode": options.gan})
        usual = homes.get(name, {})
        for phase in [given.phase] if given.phase else usual or names[:1]:
            default = usual.get(phase, max(usual.values(), default=0.0)) or float(name in stage.losses)
            if weight := default if given.weight is None else given.weight:
                terms[phase].append(replace(term, weight=weight))
    if getattr(options, "gan", None) == "wgan-gp" and not any(
        t.name.startswith("gradient_penalty") for ts in terms.values() for t in ts
    ):
        raise CycadaError(
            f"{where}.options.gan: wgan-gp needs its gradient penalty. Add losses: {{gradient_penalty_t: 10, "
            f"gradient_penalty_s: 10}}."
        )
    return terms


def _without_unopposed(method: Method, terms: dict[str, list[Term]]) -> dict[str, list[Term]]:
    """Return the terms without those of discriminators against which no other phase plays."""
    roles = {id(t): method.tensors.roles_of(t.needs) for ts in terms.values() for t in ts}

    def plays(phase: PhaseSpec, term: Term) -> bool:
        moved = roles[id(term)] & set(roles_in(phase.trains))
        if any(not role.startswith("d_") for role in moved) or not moved:
            return True
        return any(moved & roles[id(t)] for other, ts in terms.items() if other != phase.name for t in ts)

    return {p.name: [t for t in terms[p.name] if plays(p, t)] for p in method.phases}


def _optimizer(method: Method, phase: PhaseSpec, stage: Stage, where: str) -> dict[str, Any]:
    """Return the settings of a phase's optimizer: the method's, with the stage's own over them."""
    if phase.shares_optimizer_of:
        for key in ("optimizers", "schedules"):
            if phase.name in getattr(stage, key):
                raise CycadaError(
                    f"{where}.{key}.{phase.name}: it learns with the optimizer of "
                    f"'{phase.shares_optimizer_of}'. Set that one."
                )
        phase = next(p for p in method.phases if p.name == phase.shares_optimizer_of)
    settings = dict(phase.optimizer)
    for given in (stage.optimizer, stage.optimizers.get(phase.name)):
        settings |= given.model_dump(exclude_none=True) if given else {}
    return settings | ({"lr": 0.0} if phase.optimizer.get("lr") == 0 else {})


def network_at(config: Config, name: str, stage: Stage, role: str) -> tuple[str, str] | None:
    """Return where a config gives the architecture of a role.

    Args:
        config: The experiment.
        name: The stage's name.
        stage: The stage.
        role: The role.

    Returns:
        The path of the mapping and the key in it, such as `("networks", "f")`; None where it is not given.
    """
    if kind_of(role) == HEAD:  # a second head is built like the classifier to which it belongs
        role = role.replace(HEAD, "f", 1)
    for where, networks in ((f"stages.{name}.networks", stage.networks), ("networks", config.networks)):
        for key in (role, kind_of(role)):
            if key in networks:
                return where, key
    return None


def _spec(config: Config, name: str, stage: Stage, role: str) -> Spec:
    """Return the architecture of a role, checked."""
    kind = "f" if kind_of(role) == HEAD else kind_of(role)
    place = network_at(config, name, stage, role)
    if place is None:
        known = nearest("", NETWORKS[kind])
        raise CycadaError(
            f"stages.{name}: the method {shown(stage.method)} needs a network for {shown(role)}. Add "
            f"networks: {{{kind}: ...}}.{known}"
        )
    where, key = place
    spec = (config.networks if where == "networks" else stage.networks)[key]
    if spec.name not in NETWORKS[kind]:
        raise CycadaError(
            f"{where}.{key}: unknown {NETWORKS[kind].kind} "
            f"{shown(spec.name)}.{nearest(spec.name, NETWORKS[kind])}"
        )
    check_options(NETWORKS[kind][spec.name], spec.options, f"{where}.{key}")
    return spec


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
            raise CycadaError(
                f"{where}: {shown(role)} is frozen in this stage, so it must start from a trained network, "
                f"for example {role}: "
                f"source.f_t{', or name a file of weights: in networks' if features else ''}. An untrained "
                f"one would teach noise."
            )


def _architecture(spec: Spec) -> dict[str, Any]:
    """Return what must agree where weights are passed on: all but the initial weights and saving memory."""
    return {
        key: value
        for key, value in spec.model_dump().items()
        if key not in ("checkpointing", "weights", "pretrained")
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
