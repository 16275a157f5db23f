"""Sweeps: variants of an experiment with several seeds, planned as stages that are trained once each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from cycada.config import schema as configs
from cycada.config.schema import Config, Strict
from cycada.core.bounds import NonNegative, PathText, Seed
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.files import shortened
from cycada.core.yaml_files import merge, override, put
from cycada.losses import losses
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.plan import StagePlan, plan
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder
from cycada.train.device import Device


class Variant(Strict):
    """One row of a sweep's table: how it differs from the sweep's experiment."""

    # A row that is null changes nothing, and a setting that is null removes something from the experiment.
    null_removes_entries: ClassVar[bool] = False

    experiment: PathText | None = Field(
        None, description="Experiment file of this row; null takes that of the sweep."
    )
    stage: str | None = Field(
        None,
        description="Stage whose score the row shows; the stages that it starts from and the source-only "
        "baseline are trained with it, later ones are not. Null takes the last stage.",
    )
    set: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of config keys in this row, by key, which may be dotted (`stages.pixel.steps`).",
    )


class Terms(Strict):
    """Loss terms of one stage that rows of a sweep's table remove, add, or keep alone.

    A name without its direction stands for both: `cycle` is `cycle_s` and `cycle_t`.
    """

    stage: str = Field(description="Name of the stage.")
    terms: list[str | list[str]] | dict[str, NonNegative] = Field(
        description="Names of losses, one row each, where a list of names makes one row of several; for "
        "`add_one` each name with its weight, at least 0."
    )


Values = Annotated[list[Any], Field(min_length=1)]


class Sweep(Strict):
    """One sweep: variants of an experiment, each trained with every seed."""

    # A row that is null changes nothing, and a setting that is null removes something from the experiment.
    null_removes_entries: ClassVar[bool] = False

    name: str = Field(
        description="Name of the sweep's files in `results/sweeps`: at most 100 letters, digits and `_ - .`."
    )
    experiment: PathText = Field(description="YAML file of the experiment that is varied.")
    set: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of config keys in all rows, by key, which may be dotted (`stages.pixel.steps`).",
    )
    seeds: list[Seed] = Field(
        default=[0], min_length=1, description="Seeds that every row is trained with, each 0 to below 2^63."
    )
    base: str | None = Field(
        "all", description="Label of the first row, the unchanged experiment; null leaves this row out."
    )
    compare_to: str | None = Field(
        None, description="Label of the row that all others are compared with; null takes the base."
    )
    variants: dict[str, Variant] = Field(
        default_factory=dict, description="Changes of each further row, by its label; null changes nothing."
    )
    drop_one: list[Terms] = Field(
        default_factory=list, description="Rows that each lack one of the listed losses."
    )
    add_one: list[Terms] = Field(
        default_factory=list, description="Rows that each have one of the listed losses in addition."
    )
    only_one: list[Terms] = Field(
        default_factory=list,
        description="Rows that each keep only one of the listed losses, of all that its phase has.",
    )
    vary: dict[str, Values] = Field(
        default_factory=dict,
        description="Values of config keys, by key, which are varied one at a time; each value is one row.",
    )
    grid: dict[str, Values] = Field(
        default_factory=dict,
        description="Values of config keys, by key, of which every combination is one row.",
    )
    cluster: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of submitit's executor, such as `timeout_min`, `cpus_per_task` or "
        "`slurm_partition`.",
    )

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        if not re.fullmatch(r"[\w-][\w.-]*", value) or len(value.encode()) > 100:
            raise ValueError(
                f"found {shown(value)}; a sweep's name is its file's name under results/sweeps: at most 100 letters, digits, '_', '-', '.'."
            )
        return value

    @field_validator("drop_one", "add_one", "only_one", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("variants", mode="before")
    @classmethod
    def _null_changes_nothing(cls, value: Any) -> Any:
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Job:
    """One stage to train once, whichever cells want it. config: an experiment that ends with the stage. parents: ids."""

    id: str
    config: Config
    plan: StagePlan
    parents: tuple[str, ...]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.config.results / "runs" / self.id)


@dataclass
class Cell:
    """One variant with one seed: its config, cut down to the outcome's stages, and the ids of these, in order."""

    variant: str
    seed: int
    config: Config
    plans: list[StagePlan]
    ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepPlan:
    """jobs: by id, parents before children."""

    sweep: Sweep
    file: Path
    results: Path
    cells: list[Cell]
    jobs: dict[str, Job]


def load_sweep(path: Path | str) -> Sweep:
    """Raises CycadaError with one line per mistake."""
    data = configs.read_as("a sweep", path)
    try:
        return Sweep.model_validate(data)
    except ValidationError as error:
        raise CycadaError(f"{path}\n  " + "\n  ".join(configs.mistakes(error))) from None


def plan_sweep(path: Path | str, assignments: Sequence[str] = (), seeds: Sequence[int] = ()) -> SweepPlan:
    """Everything that a sweep would do. Reads the data, for its fingerprint. `assignments` go over every experiment."""
    path = Path(path)
    sweep = load_sweep(path)
    seeds = seeds or sweep.seeds
    if twice := sorted(
        {s for s in seeds if seeds.count(s) > 1}
    ):  # one run would count as two in every mean and test
        raise CycadaError(f"{path}: seeds: found {twice[0]} twice in {list(seeds)}, expected each seed once.")
    cells = []
    for label, (data, stage) in _variants(sweep, path, assignments).items():
        for seed in seeds:
            parsed = configs.parse(
                data | {"seed": seed, "name": f"{sweep.name}/{slug(label)}"}, f"{path}, '{label}'"
            )
            cells.append(_cell(label, seed, parsed, stage))
    compare = sweep.compare_to
    if compare is not None and compare not in {c.variant for c in cells}:
        raise CycadaError(
            f"{path}: compare_to: there is no row '{compare}'.{nearest(compare, {c.variant for c in cells})}"
        )
    results = {c.config.results for c in cells}
    if len(results) != 1:
        raise CycadaError(
            f"{path}: its experiments write to different places ({', '.join(map(str, sorted(results)))}). Set results once."
        )
    return SweepPlan(sweep, path, results.pop(), cells, _jobs(cells))


def slug(label: str) -> str:
    """A label as a part of a name: `- cycle` -> `minus_cycle`."""
    words = re.sub(r"^\+ ?", "plus ", re.sub(r"^- ?", "minus ", label))
    return shortened(re.sub(r"[^\w.=-]+", "_", words).strip("_").lstrip(".") or "variant", 90)


def _variants(
    sweep: Sweep, path: Path, assignments: Sequence[str]
) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Row label -> (the experiment's mapping, its outcome's stage)."""

    base = _experiment(sweep, path, sweep.experiment, assignments)
    rows: dict[str, tuple[dict[str, Any], str | None]] = {}

    def add(label: str, data: dict[str, Any], stage: str | None = None) -> None:
        if label in rows:
            raise CycadaError(f"{path}: two rows are called '{label}'.")
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
                add(
                    label,
                    merge(
                        base,
                        {"stages": {group.stage: {"losses": {t: {"weight": w} for t, w in weights.items()}}}},
                    ),
                )
    for key, values in sweep.vary.items():
        for value in values:
            add(f"{_short(key)}={value}", put(base, key, value))
    if sweep.grid:
        for combination in itertools.product(*sweep.grid.values()):
            pairs = list(zip(sweep.grid, combination, strict=True))
            add(", ".join(f"{_short(k)}={v}" for k, v in pairs), _with(base, pairs))
    for label, variant in sweep.variants.items():
        own = _experiment(sweep, path, variant.experiment, assignments) if variant.experiment else base
        add(label, _with(own, variant.set.items()), variant.stage)
    if not rows:
        raise CycadaError(
            f"{path}: no rows. Add variants, drop_one, add_one, only_one, vary or grid, or a label for base."
        )
    return rows


def _experiment(sweep: Sweep, path: Path, file: str, assignments: Sequence[str]) -> dict[str, Any]:
    return override(
        _with(configs.read_as("an experiment", path.parent / file), sweep.set.items()), assignments
    )


def one_stage(
    path: Path | str, stage: str, assignments: Sequence[str] = (), seed: int | None = None
) -> Config:
    """A stage of a sweep's experiment with what it starts from, such as the scorer that measures all cells. Raises CycadaError."""
    path = Path(path)
    sweep = load_sweep(path)
    data = _experiment(sweep, path, sweep.experiment, assignments)
    seed = sweep.seeds[0] if seed is None else seed
    config = configs.parse(data | {"seed": seed, "name": f"{sweep.name}/{slug(stage)}"}, f"{path}, '{stage}'")
    if stage not in config.stages:
        raise CycadaError(f"{path}: there is no stage '{stage}'.{nearest(stage, config.stages)}")
    return _cut(config, config.ancestors(stage))


def _cut(config: Config, stages: set[str]) -> Config:
    return config.model_copy(update={"stages": {n: s for n, s in config.stages.items() if n in stages}})


def _with(data: dict[str, Any], pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        data = put(data, key, value)
    return data


def _short(key: str) -> str:
    """`stages.pixel.losses.cycle_s` -> `pixel.cycle_s`."""
    return ".".join(part for part in key.split(".") if part not in ("stages", "losses", "weight"))


def _weights(kind: str, group: Terms, base: Mapping[str, Any], path: Path) -> dict[str, dict[str, float]]:
    """Row label -> loss weights that differ from the base."""
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
        else:  # only these of the phase; what plays against them stays, what has nobody left to play against goes by itself
            phases = {active[t] for t in terms}
            rows[f"only {', '.join(names)}"] = {
                t: 0.0 for t, phase in active.items() if phase in phases and t not in terms
            }
    return rows


def _named(name: str, known: Iterable[str], where: str) -> list[str]:
    known = set(known)
    found = [name] if name in known else [n for n in (f"{name}_s", f"{name}_t") if n in known]
    if not found:
        raise CycadaError(f"{where}.terms: there is no active loss '{name}' here.{nearest(name, known)}")
    return found


def _cell(label: str, seed: int, config: Config, stage: str | None) -> Cell:
    """The config cut down to what the outcome needs: its ancestors, and source-only stages, which gains are counted from."""
    outcome = stage or list(config.stages)[-1]
    if outcome not in config.stages:
        raise CycadaError(f"'{label}': there is no stage '{outcome}'.{nearest(outcome, config.stages)}")
    wanted = config.ancestors(outcome) | {n for n, s in config.stages.items() if s.method == "source_only"}
    first = [n for n in config.stages if n in wanted and n != outcome]
    cut = config.model_copy(update={"stages": {n: config.stages[n] for n in [*first, outcome]}})
    return Cell(label, seed, cut, plan(cut))


def _jobs(cells: list[Cell]) -> dict[str, Job]:
    """Every stage once. Fills in the ids of the cells."""
    jobs: dict[str, Job] = {}
    loaded: dict[str, Datasets] = {}
    for cell in cells:
        device = Device.find(cell.config.device)
        key = configs.digest(cell.config.data.model_dump(mode="json"))
        if key not in loaded:
            loaded[key] = load_datasets(cell.config, cell.plans, device)
        for p in cell.plans:
            identity = stage_id(cell.config, p, cell.ids, loaded[key], device)
            if identity not in jobs:
                parents = tuple(
                    dict.fromkeys(cell.ids[s.split(".")[0]] for s in p.stage.init.values() if "#" not in s)
                )
                jobs[identity] = Job(identity, _cut(cell.config, cell.config.ancestors(p.name)), p, parents)
            cell.ids[p.name] = identity
    return jobs
