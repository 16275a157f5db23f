"""From the settings of one stage to its plan: method, losses, phases, optimizers and networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_type_hints

from cycada.config.schema import Config, Loss, Spec, Stage
from cycada.core.bounds import takes_none
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.registry import check_options, typed
from cycada.losses import Ramp, Term, losses
from cycada.methods import TEACHER, Method, PhaseSpec, methods, roles_in
from cycada.methods.renamed_tensors import present_name
from cycada.networks import HEAD, NETWORKS, kind_of
from cycada.planning.checks import check_terms
from cycada.planning.stage_plan import ResolvedPhase, StagePlan
from cycada.planning.tasks import TaskRules, task_of


def plan_stage(config: Config, name: str, stage: Stage, labelled: Mapping[str, bool]) -> StagePlan:
    """Return the plan of one stage, with its epochs as they were given.

    Args:
        config: The experiment.
        name: The stage's name.
        stage: The stage's settings.
        labelled: `source` and `target` to whether the domain has labels.

    Raises:
        CycadaError: The stage has a mistake: the first one, with its path and the nearest known name.
    """
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
    } - options.unused_roles()
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
