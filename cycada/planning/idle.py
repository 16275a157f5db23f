"""Search for settings of a config that have no effect because of the other settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from cycada.config.schema import AugmentConfig, Config, OptimizerConfig, Stage
from cycada.core.sources import registers_nothing
from cycada.methods import roles_in
from cycada.networks import kind_of
from cycada.planning.auto_compile import COMPILED_KINDS
from cycada.planning.plan import StagePlan, network_at
from cycada.planning.tasks import task_of

UNUSED = {"sgd": {"betas": "momentum"}, "adam": {"momentum": "betas"}, "adamw": {"momentum": "betas"}}
"""Optimizer to the setting that it does not have, and that to the one it has instead."""


def find_idle_settings(config: Config, plans: Sequence[StagePlan]) -> list[str]:
    """Return a sentence for each setting of a config that has no effect, with its path and the reason.

    Args:
        config: The experiment.
        plans: All its stages.
    """
    reasons = [*_experiment(config), *_networks(config, plans)]
    for plan in plans:
        for check in (_optimizers, _phases, _losses, _options, _stage):
            reasons += [f"stages.{plan.name}.{reason}" for reason in check(plan)]
    sentences = [f"{reason} It has no effect. Take it out." for reason in reasons]
    sentences += [f"stages.{plan.name}.{sentence}" for plan in plans for sentence in _too_long(plan)]
    return [*sentences, *_between_reports(config), *config.shadowed_defaults]


def _experiment(config: Config) -> Iterator[str]:
    """Yield reasons for keys outside the stages."""
    yield from (
        f"plugins: {module} registers nothing; a loss, network or the like needs a decorator, as "
        f"@losses('NAME')."
        for module in config.plugins
        if registers_nothing(module)
    )
    if "overlap" in config.evaluation.model_fields_set and not config.evaluation.window:
        yield "evaluation.overlap: it is the overlap of windows, and there is no evaluation.window."
    if config.tracking.uri and "mlflow" not in config.tracking.kinds:
        yield f"tracking.uri: it is MLflow's address, and tracking.kind is {config.tracking.kind}."
    if config.tracking.log_model and "mlflow" not in config.tracking.kinds:
        yield f"tracking.log_model: MLflow keeps models, and tracking.kind is {config.tracking.kind}."
    for side, spec in (("source", config.data.source), ("target", config.data.target)):
        options = getattr(task_of(config).domain(spec, side), "without_effect", {})
        yield from (f"data.{side}.{k}: {why}." for k, why in options.items() if k in spec.options)
    defaults = type(config.data).model_fields
    idle = dict(task_of(config).idle_keys(config))
    if config.data.workers:
        idle.setdefault("hold", "with data.workers images are read at every step, and none is held")
    for key, why in idle.items():
        if key in config.data.model_fields_set and getattr(config.data, key) != defaults[key].default:
            yield f"data.{key}: {why}."


def _networks(config: Config, plans: Sequence[StagePlan]) -> Iterator[str]:
    """Yield reasons for networks that no stage uses.

    A network whose losses all have weight 0 is no mistake: somebody has switched them off.
    """
    used = set()
    for plan in plans:
        roles = {*plan.specs, *(role for phase in plan.method.phases for role in roles_in(phase.trains))}
        used |= {network_at(config, plan.name, plan.stage, role) for role in roles}
    sets = {"networks": config.networks} | {
        f"stages.{plan.name}.networks": plan.stage.networks for plan in plans
    }
    for where, networks in sets.items():
        yield from (
            f"{where}.{key}: no stage uses this network." for key in networks if (where, key) not in used
        )


def _optimizers(plan: StagePlan) -> Iterator[str]:
    """Yield reasons for settings of an optimizer that no phase can use, or that every phase replaces."""
    own = [plan.stage.optimizers.get(p.name) for p in plan.phases if not p.shares_optimizer_of]
    for key in plan.stage.optimizer.model_dump(exclude_none=True):
        if all(settings and getattr(settings, key) is not None for settings in own):
            yield f"optimizer.{key}: every phase has its own under optimizers."
    if "schedule" in plan.stage.model_fields_set and all(phase.schedule for phase in plan.phases):
        yield "schedule: every phase has its own under schedules."
    phases = {phase.name: phase.optimizer for phase in plan.phases if not phase.shares_optimizer_of}
    given: list[tuple[str, OptimizerConfig, list[str]]] = [("optimizer", plan.stage.optimizer, list(phases))]
    given += [
        (f"optimizers.{name}", o, [name]) for name, o in plan.stage.optimizers.items() if name in phases
    ]
    for where, settings, names in given:
        kinds = sorted({phases[name].get("name", "adam") for name in names})
        for key in ("betas", "momentum"):
            if getattr(settings, key) is not None and kinds and all(key in UNUSED[kind] for kind in kinds):
                yield f"{where}.{key}: {' and '.join(kinds)} has no {key}, but {UNUSED[kinds[0]][key]}."
        if settings.lr is not None and names and all(phases[name].get("lr") == 0 for name in names):
            yield f"{where}.lr: the method '{plan.stage.method}' only estimates batch-norm statistics."


def _phases(plan: StagePlan) -> Iterator[str]:
    """Yield reasons for settings of phases that are left out, since all their losses have weight 0."""
    active = {phase.name for phase in plan.phases}
    for key in ("optimizers", "schedules", "every", "repeat"):
        yield from (
            f"{key}.{name}: all losses of this phase have weight 0."
            for name in getattr(plan.stage, key)
            if name not in active
        )


def _losses(plan: StagePlan) -> Iterator[str]:
    """Yield reasons for losses that are left out and for keys that their ramps do not have."""
    active = {term.name for phase in plan.phases for term in phase.terms}
    for name, loss in plan.stage.losses.items():
        if loss.weight and name not in active:
            yield (
                f"losses.{name}: its phase is left out, or it trains a discriminator that no other loss uses."
            )
        if loss.ramp.name == "linear" and not loss.ramp.steps:
            yield f"losses.{name}.ramp: it is linear and has no steps over which it could rise."
        uses = {"linear": {"steps"}, "fall": {"steps"}, "dann": {"gamma"}}.get(loss.ramp.name, set())
        for key in ("steps", "gamma"):
            if key in loss.ramp.model_fields_set and key not in uses:
                yield f"losses.{name}.ramp.{key}: the ramp '{loss.ramp.name}' does not use it."


def _options(plan: StagePlan) -> Iterator[str]:
    """Yield reasons for options that no loss of the stage uses, or that others of them switch off."""
    tensors = plan.method.tensors
    terms = [term for phase in plan.phases for term in phase.terms]
    known = tensors.options_of(tensors.names())
    used = tensors.options_of(name for term in terms for name in term.needs)
    unused: set[str] = set()
    if known is not None and used is not None:  # otherwise a tensor may use any of them
        elsewhere = set() if plan.pools else {"pool", "propagation_queue"}
        elsewhere |= set() if any(term.accepts("mode") for term in terms) else {"gan"}
        unused = (known | elsewhere) - used
    idle = dict.fromkeys(unused, "no loss of the stage uses it") | plan.options.without_effect()
    usual = {f.name: (f.default, f.metadata.get("segmentation_default")) for f in fields(plan.options)}
    for key in plan.stage.options:
        if key in idle and getattr(plan.options, key) not in usual[key]:
            yield f"options.{key}: {idle[key]}."


def _stage(plan: StagePlan) -> Iterator[str]:
    """Yield reasons for the schedule and the augmentation."""
    stage: Stage = plan.stage
    schedules = {"schedule": stage.schedule} | {f"schedules.{k}": v for k, v in stage.schedules.items()}
    for where, schedule in schedules.items():
        if schedule.name == "constant" and "after" in schedule.model_fields_set:
            yield f"{where}.after: the schedule is constant."
    if stage.augment is not None:
        if not any(getattr(stage.augment, key) for key in AugmentConfig.model_fields if key != "domains"):
            yield "augment: it changes nothing, since all its keys are 0 or false."
        elif stage.augment.domains == "target" and not plan.needs_target:
            yield "augment: it is for target images, and no loss of the stage uses them."
    if stage.compile and not {kind_of(role) for role in plan.specs} & set(COMPILED_KINDS):
        yield "compile: generators and discriminators are compiled, and the stage has none."


def _between_reports(config: Config) -> Iterator[str]:
    """Yield sentences for intervals that are shorter than that of the reports, at which all else happens."""
    logging, every = config.logging, config.logging.report_every
    for key, what in (
        ("evaluate_every", "a stage is evaluated"),
        ("checkpoint_every", "a checkpoint is written"),
    ):
        interval = getattr(logging, key)
        if interval is not None and interval < every:
            yield (
                f"logging.{key}: found {interval}, but {what} at reports alone, which come every {every} "
                f"steps. Lower logging.report_every, or raise logging.{key}."
            )


def _too_long(plan: StagePlan) -> Iterator[str]:
    """Yield sentences for warm-ups, ramps and intervals that are longer than the stage."""
    stage, steps = plan.stage, plan.stage.steps
    schedules = {"schedule": stage.schedule} | {f"schedules.{k}": v for k, v in stage.schedules.items()}
    for where, schedule in schedules.items():
        if schedule.warmup > steps > 0:
            yield (
                f"{where}.warmup: found {schedule.warmup}, and the stage has {steps} steps, so that the "
                f"learning rate never reaches its value. Lower it."
            )
    for name, loss in stage.losses.items():
        if loss.ramp.name in ("linear", "fall") and loss.ramp.steps > steps > 0:
            yield (
                f"losses.{name}.ramp.steps: found {loss.ramp.steps}, and the stage has {steps} steps, so "
                f"that the ramp never ends. Lower it."
            )
    for name, interval in stage.every.items():
        if interval >= steps > 0 and steps > 1:
            yield (
                f"every.{name}: found {interval}, and the stage has {steps} steps, so that the phase runs "
                f"once. Lower it."
            )
