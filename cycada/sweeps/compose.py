"""Compose sweeps without writing YAML: ablations and comparisons of any experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cycada.config import schema as configs
from cycada.config.schema import Config
from cycada.core import files
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.texts import listed
from cycada.core.yaml_files import merge, override
from cycada.losses import Term
from cycada.methods import methods
from cycada.planning.plan import StagePlan, plan
from cycada.planning.updates import add_updates, count_updates
from cycada.sweeps.schema import Sweep, Terms, Variant
from cycada.sweeps.variants import last_stage, slug

SHARED_SETTINGS = ("batch", "precision", "augment", "crop", "size")
"""Settings that every method takes over from the source-only stage: the same images for all."""
OWN_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "adabn": {"steps": 100},
    "self_training": {"ema": {"f_t": 0.99}, "losses": {"task_translated": 0, "task_source": 1}},
}
"""Methods that need more than a start and a number of steps -> these settings."""
LONG = "source_long"
"""Stage that goes on from the source-only stage, without adaptation, for as many steps as the methods."""


def compose_ablation(
    experiment: Path | str,
    stage: str,
    drop: str | Sequence[str] = (),
    add: Mapping[str, float] | None = None,
    only: str | Sequence[str] = (),
) -> Sweep:
    """Return a sweep over loss terms of one stage of an experiment.

    Args:
        experiment: The experiment's YAML file; as it is, it is the row that the others are tested against.
        stage: The stage whose terms change.
        drop: Terms to leave out, one per row. `cycle` stands for `cycle_s` and `cycle_t`.
        add: Term -> weight, one per row.
        only: Terms to train with alone, one per row; the losses of their discriminators stay.
    """
    config = configs.load(experiment)
    if add and not isinstance(add, Mapping):
        raise CycadaError(
            f"add: found {shown(add)}, expected terms with their weights, such as {{identity: 0.5}}."
        )
    groups: dict[str, list[Terms]] = {
        "drop_one": [Terms(stage=stage, terms=[drop] if isinstance(drop, str) else list(drop))]
        if drop
        else [],
        "add_one": [Terms(stage=stage, terms=dict(add))] if add else [],
        "only_one": [Terms(stage=stage, terms=[only] if isinstance(only, str) else list(only))]
        if only
        else [],
    }
    return Sweep(name=f"{slug(config.name)}_ablation", experiment=str(experiment), **groups)


def compose_baselines(
    experiment: Path | str, names: Iterable[str] = (), assignments: Sequence[str] = ()
) -> tuple[Sweep, dict[str, str]]:
    """Return a sweep that compares an experiment with other methods, and the methods that do not fit into it.

    A method for which the experiment has a stage is trained with that stage's settings. The others start from
    its source-only stage and train for as many steps as the rest of the experiment's chain updates the task
    network. Most methods update it once in a step, so that they take as many updates as the whole chain; MCD
    moves parts of it several times in a step, and takes more. They have the source-only stage's batch and
    images, and otherwise their own defaults. A source-only row of the same length stands beside them; AdaBN,
    which trains nothing, starts from that one.

    Args:
        experiment: The experiment's YAML file; its last stage, but for an oracle, is the row that the others
            are tested against.
        names: Methods to compare with; none means all that are registered.
        assignments: Settings over the file's, as in `data.root=DATA`, which decide what fits.

    Returns:
        The sweep, and for each method that was left out the reason.

    Raises:
        CycadaError: Where the experiment has no source-only stage, or no method of the name is registered.
    """
    data = override(configs.read_as("an experiment", experiment), listed(assignments))
    config = configs.parse(data, str(experiment))
    plans = plan(config)
    source = next((name for name, stage in config.stages.items() if stage.method == "source_only"), None)
    if source is None:
        raise CycadaError(
            f"{experiment}: found no stage with method source_only, from which the methods start. Add one."
        )
    last = last_stage(config.stages)
    chosen = listed(names) or [n for n in methods if n not in ("source_only", config.stages[last].method)]
    start = _Start(source, _steps_of_rest(config, plans, source, last))
    variants = {"source only, as long": _variant(config, data, start, "source_only", LONG)}
    left_out: dict[str, str] = {}
    for name in chosen:
        if name not in methods:
            raise CycadaError(f"There is no method '{name}'.{nearest(name, methods)}")
        try:
            variants[name] = _variant_of(config, data, start, name)
        except CycadaError as error:
            left_out[name] = str(error)
    label = config.name if config.name not in variants else f"{config.name} ({last})"
    sweep = Sweep(
        name=f"{slug(config.name)}_baselines", experiment=str(experiment), base=label, variants=variants
    )
    return sweep, left_out


@dataclass(frozen=True)
class _Start:
    """Where the compared methods start from.

    Attributes:
        stage: The name of the source-only stage.
        steps: For how many steps they go on.
    """

    stage: str
    steps: int


def _steps_of_rest(config: Config, plans: Sequence[StagePlan], source: str, last: str) -> int:
    """Return how often the chain of the last stage updates the task network after the source stage."""
    chain = config.ancestors(last) - {source}
    rest = add_updates(count_updates(p) for p in plans if p.name in chain).task
    return rest or next(p.stage.steps for p in plans if p.name == source)


def _variant_of(config: Config, data: Mapping[str, Any], start: _Start, method: str) -> Variant:
    """Return the row of one method. Raises CycadaError where the method does not fit into the experiment."""
    stage = next((name for name, stage in config.stages.items() if stage.method == method), None)
    if stage is not None:
        _check_trains_f_t(config, stage)
        return Variant(stage=stage)
    return _variant(
        config, data, start, method, method if method not in config.stages else f"{method}_baseline"
    )


def _variant(config: Config, data: Mapping[str, Any], start: _Start, method: str, stage: str) -> Variant:
    """Return the row of a method with a new stage of the name `stage`."""
    stages = {stage: _settings(data, start, method)}
    if method == "adabn":
        stages = {LONG: _settings(data, start, "source_only"), **stages}
        stages[stage]["init"] = {"f_t": f"{LONG}.f_t"}
    variant = Variant(stage=stage, set={"stages": stages})
    composed = configs.parse(merge(dict(data), variant.set), method)
    kept = {name: composed.stages[name] for name in (start.stage, *stages)}
    _check_trains_f_t(composed.model_copy(update={"stages": kept}), stage)
    return variant


def _settings(data: Mapping[str, Any], start: _Start, method: str) -> dict[str, Any]:
    """Return the settings of a stage that starts from the source-only stage."""
    given = data["stages"][start.stage]
    shared = {key: given[key] for key in SHARED_SETTINGS if given.get(key) is not None}
    needs = [Term(term).needs for phase in methods[method].phases for term in phase.terms]
    roles = {role for tensors in needs for role in methods[method].tensors.roles_of(tensors)}
    init = {role: f"{start.stage}.f_t" for role in ("f_s", "f_t") if role in roles}
    return {"method": method, "steps": start.steps, **shared, "init": init, **OWN_SETTINGS.get(method, {})}


def _check_trains_f_t(config: Config, stage: str) -> None:
    resolved = next(p for p in plan(config) if p.name == stage)
    if "f_t" not in {role for phase in resolved.phases for role in phase.roles}:
        raise CycadaError("it trains no f_t.")


def save_sweep(sweep: Sweep, folder: Path | str) -> Path:
    """Write a sweep as `folder`/NAME.yaml, which `cycada sweep` and `cycada report` read; return the path."""
    content = sweep.model_dump(mode="json", exclude_defaults=True)
    experiment, folder = Path(sweep.experiment), Path(folder)
    if experiment.is_file():  # the name of a recipe stays one, wherever the sweep lies
        content["experiment"] = os.path.relpath(experiment.resolve(), folder.resolve())
    path = files.prepare_folder(folder) / f"{sweep.name}.yaml"
    files.write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path
