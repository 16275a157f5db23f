"""The settings, datasets and description of an experiment and its stages, as trackers show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cycada.config.schema import Config
from cycada.core.differences import flatten_keys
from cycada.data.segmentation import domain_title
from cycada.losses import Ramp
from cycada.planning.known_data import KnownData
from cycada.planning.plan import ResolvedPhase, StagePlan
from cycada.tracking.tracker import Details, TrackedDataset


def experiment_details(config: Config, plans: Sequence[StagePlan], data: KnownData, variant: str) -> Details:
    """Return what trackers show of an experiment.

    Args:
        config: The experiment.
        plans: All its stages.
        data: What is known of its data.
        variant: Label of the sweep's row that it is; empty outside a sweep.
    """
    params = _of_experiment(config, variant)
    for plan in plans:
        params |= {f"stages.{plan.name}.{key}": value for key, value in _of_stage(plan).items()}
    source, target = (domain_title(spec.name) for spec in (config.data.source, config.data.target))
    stages = [f"- `{p.name}`: {p.method.label}, {p.stage.steps:,} steps of {p.stage.batch}" for p in plans]
    title = f"{config.name}: {source} → {target}" + (f", row {variant}" if variant else "")
    description = "\n".join([f"**{title}**, seed {config.seed}", "", *stages])
    return Details(variant, params, description, tracked_datasets(config, data))


def stage_params(config: Config, plan: StagePlan, variant: str) -> dict[str, Any]:
    """Return the settings of a stage by their keys in YAML, such as `losses.semantic_t.weight`.

    What the method sets and the config leaves alone is among them.

    Args:
        config: The experiment.
        plan: The stage.
        variant: Label of the sweep's row; empty outside a sweep.
    """
    return _of_experiment(config, variant) | _of_stage(plan)


def stage_description(config: Config, plan: StagePlan) -> str:
    """Return what a stage is, in Markdown."""
    losses = dict.fromkeys(term.name for phase in plan.phases for term in phase.terms)
    return (
        f"Stage `{plan.name}` of {config.name}: {plan.method.label}, method `{plan.stage.method}`, "
        f"{plan.stage.steps:,} steps of {plan.stage.batch}; losses {', '.join(losses) or 'none'}."
    )


def tracked_datasets(config: Config, data: KnownData) -> list[TrackedDataset]:
    """Return the sets of images of both domains."""
    specs = {"source": config.data.source, "target": config.data.target}
    return [
        TrackedDataset(
            f"{specs[name.split()[0]].name} ({name})",
            data.fingerprint,
            name,
            count,
            specs[name.split()[0]].model_dump(mode="json"),
        )
        for name, count in data.images.items()
    ]


def _of_experiment(config: Config, variant: str) -> dict[str, Any]:
    """Return the settings outside the stages that a result depends on."""
    evaluation = config.evaluation.changes()
    data = config.data.model_dump(mode="json", exclude_none=True)
    return {"seed": config.seed, "variant": variant or config.name} | flatten_keys(
        {"data": data, **({"evaluation": evaluation} if evaluation else {})}
    )


def _of_stage(plan: StagePlan) -> dict[str, Any]:
    settings = plan.identity()
    del settings["phases"]
    params = {
        key: value for key, value in flatten_keys(settings).items() if value is not None and value != {}
    }
    if plan.epochs:
        params["epochs"] = plan.epochs.count
    for phase in plan.phases:
        params |= _of_phase(phase)
    return params


def _of_phase(phase: ResolvedPhase) -> dict[str, Any]:
    """Return the optimizer of a phase and its losses; a loss of two phases is the same in both."""
    params: dict[str, Any] = {
        f"optimizers.{phase.name}.{key}": value for key, value in phase.optimizer.items() if value is not None
    }
    if phase.shares_optimizer_of:
        params = {f"optimizers.{phase.name}": f"shared with {phase.shares_optimizer_of}"}
    for key, number in (("every", phase.every), ("repeat", phase.repeat)):
        if number != 1:
            params[f"{key}.{phase.name}"] = number
    if phase.schedule:
        params |= flatten_keys(phase.schedule.model_dump(), f"schedules.{phase.name}")
    for term in phase.terms:
        values: Mapping[str, Any] = {
            "weight": term.weight,
            "ramp": _ramp_in_words(term.ramp),
            **term.options,
        }
        params |= flatten_keys(values, f"losses.{term.name}")
    return params


def _ramp_in_words(ramp: Ramp) -> str:
    """Return a ramp as one short text, such as `linear over 1000 steps`."""
    if ramp.name in ("linear", "fall"):
        return f"{ramp.name} over {ramp.steps} steps"
    return f"dann, gamma {ramp.gamma:g}" if ramp.name == "dann" else ramp.name
