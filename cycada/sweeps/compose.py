"""Compose sweeps without writing YAML: ablations and comparisons of any experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cycada.config import schema as configs
from cycada.config.schema import Config
from cycada.core import files
from cycada.core.errors import CycadaError, nearest
from cycada.core.yaml_files import merge, override
from cycada.methods import methods
from cycada.planning.plan import plan
from cycada.sweeps.plan import Sweep, Terms, Variant, slug

SHARED_SETTINGS = ("steps", "epochs", "batch", "precision", "augment", "crop", "size")
"""Settings that every method takes over from the source-only stage: the same budget and images for all."""
CONTINUED = {
    "adabn": {"init": {"f_t": "{}.f_t"}},
    "cycada": {"init": {"f_s": "{}.f_t"}},
    "adda": {"init": {"f_s": "{}.f_t", "f_t": "{}.f_t"}},
    "self_training": {
        "init": {"f_t": "{}.f_t"},
        "ema": {"f_t": 0.99},
        "losses": {"task_translated": 0, "task_source": 1},
    },
}
"""Methods that start from the source-only stage (its name replaces {}) -> the settings for that."""


def compose_ablation(
    experiment: Path | str,
    stage: str,
    drop: Sequence[str] = (),
    add: Mapping[str, float] | None = None,
    only: Sequence[str] = (),
) -> Sweep:
    """Return a sweep over loss terms of one stage of an experiment.

    Args:
        experiment: The experiment's YAML file; as it is, it is the row that the others are tested against.
        stage: The stage whose terms change.
        drop: Terms to leave out, one a row. `cycle` stands for `cycle_s` and `cycle_t`.
        add: Term -> weight, one a row.
        only: Terms to train with alone, one a row; what plays against them stays.
    """
    config = configs.load(experiment)
    groups: dict[str, list[Terms]] = {
        "drop_one": [Terms(stage=stage, terms=list(drop))] if drop else [],
        "add_one": [Terms(stage=stage, terms=dict(add))] if add else [],
        "only_one": [Terms(stage=stage, terms=list(only))] if only else [],
    }
    return Sweep(name=f"{slug(config.name)}_ablation", experiment=str(experiment), **groups)


def compose_baselines(
    experiment: Path | str, names: Iterable[str] = (), assignments: Sequence[str] = ()
) -> tuple[Sweep, dict[str, str]]:
    """Return a sweep that compares an experiment with other methods, and the methods that do not fit into it.

    A method for which the experiment has a stage is trained with that stage's settings. The others are
    trained with the steps, batch and images of its source-only stage and otherwise with their own defaults.

    Args:
        experiment: The experiment's YAML file; its last stage is the row that the others are tested against.
        names: Methods to compare with; none means all that are registered.
        assignments: Settings over the file's, as in `data.root=DATA`, which decide what fits.

    Returns:
        The sweep, and for each method that was left out the reason.

    Raises:
        CycadaError: Where the experiment has no source-only stage, or no method of the name is registered.
    """
    data = override(configs.read_as("an experiment", experiment), assignments)
    config = configs.parse(data, str(experiment))
    plans = plan(config)
    source = next((name for name, stage in config.stages.items() if stage.method == "source_only"), None)
    if source is None:
        raise CycadaError(
            f"{experiment}: found no stage with method source_only, whose steps the methods share. Add one."
        )
    chosen = list(names) or [name for name in methods if name not in ("source_only", plans[-1].stage.method)]
    variants: dict[str, Variant] = {}
    left_out: dict[str, str] = {}
    for name in chosen:
        if name not in methods:
            raise CycadaError(f"There is no method '{name}'.{nearest(name, methods)}")
        try:
            variants[name] = _variant(config, data, source, name)
        except CycadaError as error:
            left_out[name] = str(error)
    last = plans[-1]
    label = last.method.label if last.method.label not in variants else f"{last.method.label} ({last.name})"
    sweep = Sweep(
        name=f"{slug(config.name)}_baselines", experiment=str(experiment), base=label, variants=variants
    )
    return sweep, left_out


def _variant(config: Config, data: Mapping[str, Any], source: str, method: str) -> Variant:
    """Return the row of one method. Raises CycadaError where the method does not fit into the experiment."""
    stage = next((name for name, stage in config.stages.items() if stage.method == method), None)
    if stage is not None:
        variant = Variant(stage=stage)
    else:
        given = data["stages"][source]
        stage = method if method not in config.stages else f"{method}_baseline"
        shared = {key: given[key] for key in SHARED_SETTINGS if given.get(key) is not None}
        settings = {"method": method, **shared, **_with_stage(CONTINUED.get(method, {}), source)}
        variant = Variant(stage=stage, set={"stages": {stage: settings}})
        config = configs.parse(merge(dict(data), variant.set), method)
        kept = {name: config.stages[name] for name in (source, stage)}
        config = config.model_copy(update={"stages": kept})
    resolved = next(p for p in plan(config) if p.name == stage)
    if "f_t" not in {role for phase in resolved.phases for role in phase.roles}:
        raise CycadaError("it trains no f_t.")
    return variant


def _with_stage(value: Any, stage: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_stage(inner, stage) for key, inner in value.items()}
    return value.format(stage) if isinstance(value, str) else value


def save_sweep(sweep: Sweep, folder: Path) -> Path:
    """Write a sweep as `folder`/NAME.yaml, which `cycada sweep` and `cycada report` read; return the path."""
    content = sweep.model_dump(mode="json", exclude_defaults=True)
    content["experiment"] = os.path.relpath(Path(sweep.experiment).resolve(), folder.resolve())
    path = files.prepare_folder(folder) / f"{sweep.name}.yaml"
    files.write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path
