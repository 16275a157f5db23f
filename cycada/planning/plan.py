"""A config, checked against everything that is registered, before anything is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_type_hints

from cycada.config.schema import Config, EvaluationConfig, Loss, ScheduleConfig, Spec, Stage, digest
from cycada.core.bounds import takes_none
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.registry import check_options, typed
from cycada.data import Domain, domains, scene_domains
from cycada.data.domain import Wanted, prepare_domain
from cycada.losses import Ramp, Term, losses
from cycada.methods import TEACHER, Method, PhaseSpec, methods, roles_in
from cycada.networks import HEAD, NETWORKS, kind_of
from cycada.planning.checks import check_evaluation, check_scenes, check_terms
from cycada.planning.epochs import Epochs, Images, Set, counter, epochs


@dataclass(frozen=True)
class ResolvedPhase:
    """A phase with what is left of it: active terms, and only the networks (or parts of them) that they need."""

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
        return roles_in(self.trains)


@dataclass(frozen=True)
class StagePlan:
    """One stage, resolved. stage: with its epochs as steps. specs: role -> network. frozen: roles that no phase moves.

    epochs: what the steps were counted from; None where the config gives steps.
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

    def asks_for(self, view: str) -> str | None:
        """The first loss for which a view may be computed."""
        return next(
            (
                t.name
                for p in self.phases
                for t in p.terms
                if view in self.method.tensors.dependencies(t.needs)
            ),
            None,
        )

    def recipe(self) -> str:
        """12 hex characters that stages share which differ in seed, data and start alone: they take equally long."""
        return digest(self.identity())

    def identity(self) -> dict[str, Any]:
        """Everything of the config that determines what is learnt, as plain values."""
        s = self.stage
        kept = {"method", "steps", "batch", "schedule", "precision", "augment", "ema", "compile"}
        kept |= {key for key in ("crop", "size", "load_size", "crop_area") if getattr(s, key)}
        kept |= {"translate"} if s.translate == "once" else set()
        return s.model_dump(mode="json", include=kept) | {
            "options": self.options.identity(),
            "networks": {role: spec.model_dump() for role, spec in self.specs.items()},
            "phases": [
                {
                    "name": p.name,
                    "every": p.every,
                    "optimizer": {k: v for k, v in p.optimizer.items() if v is not None},
                    "terms": [(t.name, t.weight, asdict(t.ramp), _hashed(t)) for t in p.terms],
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
"""(loss, option) -> a value's name -> how an id spells it, where a name has changed its meaning: an old id keeps the old one."""


def _hashed(term: Term) -> dict[str, Any]:
    return {
        key: RENAMED.get((term.name, key), {}).get(value, value) if isinstance(value, str) else value
        for key, value in term.options.items()
    }


def load_plugins(config: Config) -> None:
    """Import `plugins:`, so that what they register is known. Raises CycadaError."""
    for module in config.plugins:
        try:
            importlib.import_module(module)
        except CycadaError:
            raise
        except (
            Exception
        ) as error:  # also of a name that is none, such as ../x, and of what the module itself does
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise CycadaError(
                f"plugins: cannot import {shown(module)} ({said}). Is its folder on PYTHONPATH, and is it PACKAGE.MODULE?"
            ) from error


def plan(config: Config) -> list[StagePlan]:
    """All stages. Raises CycadaError for the first mistake, with its path and the nearest name."""
    load_plugins(config)
    known: dict[str, Any] = {**domains, **scene_domains}
    sides: dict[str, Spec] = {"source": config.data.source, "target": config.data.target}
    for side, spec in sides.items():
        if spec.name not in known:
            raise CycadaError(f"data.{side}: unknown domain {shown(spec.name)}.{nearest(spec.name, known)}")
    check_scenes(config, is_segmentation(config))
    check_evaluation(config, is_segmentation(config))
    labelled = {}
    for side, spec in sides.items():
        domain = known[spec.name](**check_options(known[spec.name], spec.options, f"data.{side}"))
        labelled[side] = getattr(
            domain, "labelled", True
        )  # of folders of images one knows when they are read
        if isinstance(domain, Domain):
            prepare_domain(domain, Wanted(config.shapes()[side][0], config.data.resize), side)
        if config.evaluation.flip and not domain.flip_safe:
            raise CycadaError(
                f"evaluation.flip: images of the {side} {shown(spec.name)} may not be mirrored, they would show another class. "
                f"Set it to false; for your own images that look the same mirrored, set data.{side}.flip_safe: true."
            )
        for name, stage in config.stages.items():
            if (
                stage.augment
                and stage.augment.flip
                and stage.augment.domains in ("both", side)
                and not domain.flip_safe
            ):
                raise CycadaError(
                    f"stages.{name}.augment.flip: images of the {side} {shown(spec.name)} may not be mirrored, they would show another "
                    f"class. Take it out; for your own images that look the same mirrored, set data.{side}.flip_safe: true."
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
    """The experiment with the epochs of every stage as steps, as it is stored: whoever reads it needs no data to count them."""
    return config.model_copy(update={"stages": {p.name: p.stage for p in plans}})


def _in_steps(this: StagePlan, images_of: Callable[[Set], Images]) -> StagePlan:
    if this.stage.epochs is None:
        return this
    kinds = {kind_of(role) for p in this.phases for role in p.roles}
    oracle = this.method.supervision == "target"
    found = epochs(this.stage.epochs, this.stage.batch, kinds, oracle, images_of, f"stages.{this.name}")
    return replace(
        this, stage=this.stage.model_copy(update={"steps": found.steps, "epochs": None}), epochs=found
    )


def _check_kinds(config: Config) -> None:
    """`networks` may name kinds (f, g, d_feat) and roles of theirs (f_t, d_s). Raises CycadaError for what is neither."""
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


def is_segmentation(config: Config) -> bool:
    """Whether the experiment is about images with masks."""
    return config.data.source.name in scene_domains


def _plan_stage(config: Config, name: str, stage: Stage, labelled: Mapping[str, bool]) -> StagePlan:
    where = f"stages.{name}"
    if stage.method not in methods:
        raise CycadaError(
            f"{where}.method: unknown method {shown(stage.method)}.{nearest(stage.method, methods)}"
        )
    method = methods[stage.method]
    options = _options(method, stage.options, f"{where}.options", is_segmentation(config))
    terms = _without_idle(method, _terms(method, stage, options, where))
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
        raise CycadaError(f"{where}.losses: every weight is 0, so nothing would learn.")
    for key in ("optimizers", "every", "repeat", "schedules"):
        for phase in getattr(stage, key):
            if phase not in [p.name for p in method.phases]:
                raise CycadaError(
                    f"{where}.{key}: unknown phase {shown(phase)}.{nearest(phase, [p.name for p in method.phases])}"
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
            f"{where}.ema: {shown(stage.method)} is taught by the moving average of f_t. Add ema: {{f_t: 0.99}}."
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


def _options(method: Method, given: Mapping[str, Any], where: str, scenes: bool) -> Any:
    fields = method.options.__dataclass_fields__
    for key in given:
        if key not in fields:
            raise CycadaError(f"{where}: unknown option {shown(key)}.{nearest(key, fields)}")
        if scenes and given[key] and fields[key].metadata.get("image_labels_only"):
            raise CycadaError(
                f"{where}.{key}: it is for whole images; a scene's pixels would leave their labels. Take it out."
            )
    hints = get_type_hints(method.options, include_extras=True)
    given = {key: value for key, value in given.items() if value is not None or takes_none(hints[key])}
    checked = {key: typed(value, hints[key], f"{where}.{key}") for key, value in given.items()}
    return method.options(**((method.options.on_scenes() if scenes else {}) | checked))


def _terms(method: Method, stage: Stage, options: Any, where: str) -> dict[str, list[Term]]:
    """Phase -> terms whose weight is not 0. A term goes to the phase that YAML names, else to all that list it, else to
    the first; a weight of YAML's is its weight in all of them."""
    homes: dict[str, dict[str, float]] = {}
    for p in method.phases:
        for term_name, usual_weight in p.terms.items():
            homes.setdefault(term_name, {})[p.name] = usual_weight
    names = [p.name for p in method.phases]
    known = method.tensors.names()
    found: dict[str, list[Term]] = {name: [] for name in names}
    for name in {**homes, **stage.losses}:
        if name not in losses:
            raise CycadaError(f"{where}.losses: unknown loss {shown(name)}.{nearest(name, losses)}")
        given = stage.losses.get(name, Loss(weight=None))
        if given.phase and given.phase not in names:
            raise CycadaError(
                f"{where}.losses.{name}.phase: unknown phase {shown(given.phase)}.{nearest(given.phase, names)}"
            )
        term = Term(name, 0.0, Ramp(**given.ramp.model_dump()), given.options, f"{where}.losses")
        if missing := [n for n in term.needs if n not in known]:
            able = [m for m in methods if not set(term.needs) - set(methods[m].tensors.names())]
            raise CycadaError(
                f"{where}.losses.{name}: it needs {', '.join(missing)}, which the method {shown(stage.method)} does not compute. "
                f"Methods that do: {', '.join(able) or 'none'}."
            )
        if term.accepts("mode") and "mode" not in term.options and hasattr(options, "gan"):
            term = replace(term, options={**term.options, "mode": options.gan})
        usual = homes.get(name, {})
        for phase in [given.phase] if given.phase else usual or names[:1]:
            default = usual.get(phase, max(usual.values(), default=0.0)) or float(name in stage.losses)
            if weight := default if given.weight is None else given.weight:
                found[phase].append(replace(term, weight=weight))
    if getattr(options, "gan", None) == "wgan-gp" and not any(
        t.name.startswith("gradient_penalty") for ts in found.values() for t in ts
    ):
        raise CycadaError(
            f"{where}.options.gan: wgan-gp needs its gradient penalty. Add losses: {{gradient_penalty_t: 10, gradient_penalty_s: 10}}."
        )
    return found


def _without_idle(method: Method, terms: dict[str, list[Term]]) -> dict[str, list[Term]]:
    """A discriminator that no other phase asks has nobody to play against: its terms go too."""
    roles = {id(t): method.tensors.roles_of(t.needs) for ts in terms.values() for t in ts}

    def plays(phase: PhaseSpec, term: Term) -> bool:
        moved = roles[id(term)] & set(roles_in(phase.trains))
        if any(not role.startswith("d_") for role in moved) or not moved:
            return True
        return any(moved & roles[id(t)] for other, ts in terms.items() if other != phase.name for t in ts)

    return {p.name: [t for t in terms[p.name] if plays(p, t)] for p in method.phases}


def _optimizer(method: Method, phase: PhaseSpec, stage: Stage, where: str) -> dict[str, Any]:
    if phase.shares_optimizer_of:
        for key in ("optimizers", "schedules"):
            if phase.name in getattr(stage, key):
                raise CycadaError(
                    f"{where}.{key}.{phase.name}: it learns with the optimizer of '{phase.shares_optimizer_of}'. Set that one."
                )
        phase = next(p for p in method.phases if p.name == phase.shares_optimizer_of)
    settings = dict(phase.optimizer)
    for given in (stage.optimizer, stage.optimizers.get(phase.name)):
        settings |= given.model_dump(exclude_none=True) if given else {}
    return settings | ({"lr": 0.0} if phase.optimizer.get("lr") == 0 else {})


def network_at(config: Config, name: str, stage: Stage, role: str) -> tuple[str, str] | None:
    """Where a config says what a role's network is: the path of the mapping and the key in it; None where it does not."""
    if kind_of(role) == HEAD:  # built like the network whose head it is the twin of
        role = role.replace(HEAD, "f", 1)
    for where, networks in ((f"stages.{name}.networks", stage.networks), ("networks", config.networks)):
        for key in (role, kind_of(role)):
            if key in networks:
                return where, key
    return None


def _spec(config: Config, name: str, stage: Stage, role: str) -> Spec:
    kind = "f" if kind_of(role) == HEAD else kind_of(role)
    place = network_at(config, name, stage, role)
    if place is None:
        known = nearest("", NETWORKS[kind])
        raise CycadaError(
            f"stages.{name}: the method {shown(stage.method)} needs a network for {shown(role)}. Add networks: {{{kind}: ...}}.{known}"
        )
    where, key = place
    spec = (config.networks if where == "networks" else stage.networks)[key]
    if spec.name not in NETWORKS[kind]:
        raise CycadaError(
            f"{where}.{key}: unknown {NETWORKS[kind].kind} {shown(spec.name)}.{nearest(spec.name, NETWORKS[kind])}"
        )
    check_options(NETWORKS[kind][spec.name], spec.options, f"{where}.{key}")
    return spec


def _check_init(this: StagePlan, plans: Mapping[str, StagePlan]) -> None:
    where = f"stages.{this.name}.init"
    for role, start in this.stage.init.items():
        if role not in this.specs:
            if any(role in this.method.tensors.roles_of(losses_of) for losses_of in _all_needs(this.method)):
                continue  # a role that only terms of weight 0 need
            raise CycadaError(
                f"{where}: the method '{this.stage.method}' has no network {shown(role)}.{nearest(role, this.specs)}"
            )
        if "#" in start:
            continue
        stage, _, parent_role = start.partition(".")
        parent = plans[stage]
        if parent_role not in parent.specs:
            raise CycadaError(
                f"{where}.{role}: stage '{stage}' has no network {shown(parent_role)}.{nearest(parent_role, parent.specs)}"
            )
        if _built(parent.specs[parent_role]) != _built(this.specs[role]):
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
                f"for example {role}: source.f_t{', or name a file of weights: in networks' if features else ''}. "
                f"An untrained one would teach noise."
            )


def _built(spec: Spec) -> dict[str, Any]:
    """What of a network has to agree where weights are handed on: not what it would have started from, nor how it saves memory."""
    return {
        key: value
        for key, value in spec.model_dump().items()
        if key not in ("checkpointing", "weights", "pretrained")
    }


def _check_once(this: StagePlan) -> None:
    where = f"stages.{this.name}.translate"
    if not any("fake_t" in this.method.tensors.dependencies(t.needs) for p in this.phases for t in p.terms):
        raise CycadaError(
            f"{where}: no loss of this stage looks at translated source images (fake_t). Take it out."
        )
    if "g_st" not in this.frozen:
        found = "learns" if "g_st" in this.specs else "is not there"
        raise CycadaError(
            f"{where}: found that g_st {found} in this stage, expected a frozen one, as in cycada_task. Take it out."
        )


def _all_needs(method: Method) -> list[tuple[str, ...]]:
    return [Term(name).needs for p in method.phases for name in p.terms]
