"""The rows of a sweep: the experiment of each, as a mapping of config keys."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config import schema as configs
from cycada.config.recipes import find_config
from cycada.config.stages import Stage
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.files import shorten_name
from cycada.core.yaml_files import merge, override, put, put_all
from cycada.losses import losses
from cycada.planning.plan import plan
from cycada.sweeps.schema import Sweep, Terms

SET_BY_SWEEP = {"seed": "seeds stand under `seeds`, or after --seeds", "name": "names come from the rows"}
"""Keys of an experiment that a sweep sets itself, and how."""


def _refuse_set_by_sweep(sweep: Sweep, path: Path, assignments: Sequence[str]) -> None:
    """Raise CycadaError where a key would have no effect, as the sweep sets it in every run."""
    places: dict[str, Iterable[str]] = {
        "set": sweep.set,
        "vary": sweep.vary,
        "grid": sweep.grid,
        **{f"variants.{label}.set": variant.set for label, variant in sweep.variants.items()},
        "the command line": [assignment.partition("=")[0] for assignment in assignments],
    }
    for place, keys in places.items():
        for key in SET_BY_SWEEP.keys() & set(keys):
            raise CycadaError(
                f"{path}: {place}: found '{key}', which would have no effect, as a sweep sets it in every "
                f"run: {SET_BY_SWEEP[key]}."
            )
    own = Sweep.model_fields.keys() - configs.Config.model_fields.keys()
    for key in places["the command line"]:
        if key.partition(".")[0] in own:
            raise CycadaError(
                f"{path}: the command line: found '{key}', a key of the sweep's file, expected settings of "
                "the experiments that it trains. Change the file; seeds may stand after --seeds."
            )


def experiments_of_rows(
    sweep: Sweep, path: Path, assignments: Sequence[str]
) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Return the experiment of every row of a sweep.

    Args:
        sweep: The sweep.
        path: Its YAML file, beside which its experiments are looked for.
        assignments: Settings over every experiment, as in `data.root=DATA`.

    Returns:
        Row label -> (the experiment's config keys, the stage whose score the row shows); no stage means that
        of `last_stage`.

    Raises:
        CycadaError: For mistakes in the sweep or the files of its experiments.
    """
    _refuse_set_by_sweep(sweep, path, assignments)
    base = read_experiment(sweep, path, sweep.experiment, assignments)
    rows: dict[str, tuple[dict[str, Any], str | None]] = {}
    folders: dict[str, str] = {}

    def add(label: str, data: dict[str, Any], stage: str | None = None) -> None:
        if label in rows:
            raise CycadaError(f"{path}: two rows are called '{label}'.")
        if (other := folders.setdefault(slug(label), label)) != label:
            raise CycadaError(
                f"{path}: the rows '{other}' and '{label}' would share the folder '{slug(label)}'. "
                "Call one of them differently."
            )
        rows[label] = (data, stage)

    if sweep.base is not None:
        add(sweep.base, base)
    for kind, groups in (
        ("drop_one", sweep.drop_one),
        ("only_one", sweep.only_one),
        ("add_one", sweep.add_one),
    ):
        for group in groups:
            for label, weights in _weights(kind, group, base, path).items():
                terms = {t: {"weight": w} for t, w in weights.items()}
                add(label, merge(base, {"stages": {group.stage: {"losses": terms}}}))
    for key, values in sweep.vary.items():
        for value in values:
            add(label_values([(key, value)]), put(base, key, value))
    if sweep.grid:
        for combination in itertools.product(*sweep.grid.values()):
            pairs = list(zip(sweep.grid, combination, strict=True))
            add(label_values(pairs), put_all(base, pairs))
    for label, variant in sweep.variants.items():
        own = read_experiment(sweep, path, variant.experiment, assignments) if variant.experiment else base
        add(label, put_all(own, variant.set.items()), variant.stage)
    for label, (data, stage) in list(rows.items()):
        for words, evaluation in sweep.evaluations.items():
            add(f"{label}, {words}", merge(data, {"evaluation": evaluation}), stage)
    if not rows:
        raise CycadaError(
            f"{path}: no rows. Add variants, drop_one, add_one, only_one, vary or grid, or a label for base."
        )
    return rows


def _weights(kind: str, group: Terms, base: Mapping[str, Any], path: Path) -> dict[str, dict[str, float]]:
    """Return row label -> the loss weights that differ from the base."""
    where = f"{path}: {kind}"
    plans = {p.name: p for p in plan(configs.parse(base, str(path)))}
    if group.stage not in plans:
        raise CycadaError(f"{where}.stage: there is no stage '{group.stage}'.{nearest(group.stage, plans)}")
    active = {t.name: p.name for p in plans[group.stage].phases for t in p.terms}
    if isinstance(group.terms, dict) != (kind == "add_one"):
        expected = "a mapping of terms to weights" if kind == "add_one" else "a list of terms"
        raise CycadaError(f"{where}.terms: found {shown(group.terms)}, expected {expected}.")
    rows: dict[str, dict[str, float]] = {}
    if isinstance(group.terms, dict):
        for name, weight in group.terms.items():
            rows[f"+ {name}"] = dict.fromkeys(_named(name, losses, where), weight)
        return rows
    for entry in group.terms:
        names = [entry] if isinstance(entry, str) else entry
        terms = [t for name in names for t in _named(name, active, where)]
        if kind == "drop_one":
            rows[f"- {' - '.join(names)}"] = dict.fromkeys(terms, 0.0)
        else:  # other terms of the same phases; a discriminator without an opponent is dropped by the plan
            phases = {active[t] for t in terms}
            rows[f"only {', '.join(names)}"] = {
                t: 0.0 for t, phase in active.items() if phase in phases and t not in terms
            }
    return rows


def _named(name: str, known: Iterable[str], where: str) -> list[str]:
    known = set(known)
    terms = [name] if name in known else [n for n in (f"{name}_s", f"{name}_t") if n in known]
    if not terms:
        raise CycadaError(f"{where}.terms: there is no active loss '{name}' here.{nearest(name, known)}")
    return terms


def read_experiment(sweep: Sweep, path: Path, file: str, assignments: Sequence[str]) -> dict[str, Any]:
    """Return an experiment's config keys with the sweep's `set` and the assignments over them.

    Args:
        sweep: The sweep.
        path: Its YAML file.
        file: The experiment's YAML file, as the sweep names it.
        assignments: Settings over the file's.

    Raises:
        CycadaError: The file is not there, or is no experiment.
    """
    try:
        found = find_config(file, path.parent)
    except CycadaError as error:
        raise CycadaError(f"{path}: experiment: {error}") from None
    written = configs.read_as("an experiment", found)
    return override(put_all(written, sweep.set.items()), assignments)


def last_stage(stages: Mapping[str, Stage]) -> str:
    """Return the stage whose score a row shows where none is named: the last one that is no oracle.

    Experiments often end with an oracle, which no other stage changes and no row is to be compared with. It
    is the last stage where there is no other.
    """
    results = [name for name, stage in stages.items() if stage.method != "target_only"]
    return (results or list(stages))[-1]


def slug(label: str) -> str:
    """Return a label as a part of a name: `- cycle` -> `minus_cycle`."""
    words = re.sub(r"^\+ ?", "plus ", re.sub(r"^- ?", "minus ", label))
    return shorten_name(re.sub(r"[^\w.=-]+", "_", words).strip("_").lstrip(".") or "variant", 90)


def label_values(pairs: Iterable[tuple[str, Any]]) -> str:
    """Return the label of a row with these values: `stages.pixel.losses.cycle_s` 5 -> `pixel.cycle_s=5`."""
    return ", ".join(f"{_shorten_key(key)}={value}" for key, value in pairs)


def _shorten_key(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in ("stages", "losses", "weight"))
