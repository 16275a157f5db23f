"""Plan a sweep: variants of an experiment, times seeds, as stages that are trained once each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from cycada.config import schema as configs
from cycada.config.defaults import find_shadowed_defaults
from cycada.config.recipes import find_config
from cycada.config.schema import Config, Strict
from cycada.core.bounds import NonNegative, PathText, Seed
from cycada.core.errors import CycadaError, list_some, nearest, shown
from cycada.core.files import shorten_name
from cycada.core.registry import typed
from cycada.core.yaml_files import merge, override, put
from cycada.losses import losses
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.idle import find_idle_settings
from cycada.planning.known_data import DataMemory, KnownData
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
    settled_on: list[Seed] = Field(
        default_factory=list,
        description="Seeds whose test scores were looked at while the recipe was settled: reports leave them "
        "out of every mean and test, and say so.",
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
    evaluations: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Settings of `evaluation` by which every row is scored once more, each by the words that "
        "follow the row's label; nothing is trained for it.",
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
                f"found {shown(value)}; a sweep's name is its file's name under results/sweeps: "
                "at most 100 letters, digits, '_', '-', '.'."
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
    """Stage that is trained once for all cells that need it.

    Attributes:
        id: Its id.
        config: An experiment that ends with the stage.
        plan: The stage.
        parents: Ids of the stages that it starts from.
    """

    id: str
    config: Config
    plan: StagePlan
    parents: tuple[str, ...]

    @property
    def folder(self) -> RunFolder:
        """The stage's run folder."""
        return RunFolder(self.config.results / "runs" / self.id)


@dataclass
class Cell:
    """One variant with one seed.

    Attributes:
        variant: The row's label.
        seed: The seed.
        config: The experiment, cut down to the stages that the outcome needs.
        plans: These stages, in order.
        ids: Name -> id of these stages.
    """

    variant: str
    seed: int
    config: Config
    plans: list[StagePlan]
    ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepPlan:
    """Everything that a sweep would do.

    Attributes:
        sweep: The sweep's file as read.
        file: Its path.
        results: The results folder.
        cells: All variants with all seeds.
        jobs: Id -> stage, parents before children.
        overrides: Settings over those of the files, without the places of data and results.
        shadowed: Sentences about defaults, set by the sweep, that do not reach a stage.
    """

    sweep: Sweep
    file: Path
    results: Path
    cells: list[Cell]
    jobs: dict[str, Job]
    overrides: list[str] = field(default_factory=list)
    shadowed: list[str] = field(default_factory=list)

    @property
    def reported_cells(self) -> list[Cell]:
        """The cells that a report shows: those of other seeds than the recipe was settled on."""
        return [cell for cell in self.cells if cell.seed not in self.sweep.settled_on]

    def warnings(self) -> list[str]:
        """Return a sentence for each setting without effect, and for rows that are the same runs.

        Those are rows whose settings differ, or stand twice. A row that repeats the settings of the base, as
        a value of `vary` may, needs no warning.
        """
        rows: dict[str, list[Cell]] = {}
        for cell in self.cells:
            rows.setdefault(cell.variant, []).append(cell)
        same: dict[tuple[str, ...], list[str]] = {}
        for label, cells in rows.items():
            same.setdefault(tuple(cell.ids[cell.plans[-1].name] for cell in cells), []).append(label)
        varied = {f"{_short(key)}={value}" for key, values in self.sweep.vary.items() for value in values}
        base = _settings(rows[self.sweep.base][0]) if self.sweep.base in rows else None
        sentences = [*self.shadowed, *_idle(rows)]
        for labels in same.values():
            told = [label for label in labels if label not in varied or _settings(rows[label][0]) != base]
            if len(told) > 1:
                sentences.append(
                    f"the rows {list_some(told)} are the same runs: nothing in which they differ changes the "
                    f"training or the scores."
                )
        return sentences


def _idle(rows: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """Yield a sentence for each setting of some rows that has no effect, with the rows where not all have it.

    Networks are left out, as a row may lack the stage that uses one, and so are options that another row
    uses, as a row may lack the loss that does.
    """
    found: dict[str, list[str]] = {}
    for label, (cell, *_) in rows.items():
        for sentence in find_idle_settings(cell.config, cell.plans):
            if not sentence.startswith("networks."):
                found.setdefault(sentence, []).append(label)
    for sentence, labels in found.items():
        others = (cell for label, (cell, *_) in rows.items() if label not in labels)
        if any(_has_option(cell, sentence.partition(":")[0]) for cell in others):
            continue
        yield sentence if len(labels) == len(rows) else f"{sentence} (in the rows {list_some(labels)})"


def _has_option(cell: Cell, path: str) -> bool:
    """Return whether a cell sets the option at a path such as `stages.self.options.gate`."""
    match path.split("."):
        case ["stages", stage, "options", option]:
            return stage in cell.config.stages and option in cell.config.stages[stage].options
    return False


def _settings(cell: Cell) -> Config:
    return cell.config.model_copy(update={"name": "", "seed": 0})


def load_sweep(path: Path | str) -> Sweep:
    """Return the sweep in a YAML file.

    Raises:
        CycadaError: For mistakes in it, with one line each.
    """
    data = configs.read_as("a sweep", path)
    try:
        return Sweep.model_validate(data)
    except ValidationError as error:
        raise CycadaError(f"{path}\n  " + "\n  ".join(configs.mistakes(error))) from None


PLACES = ("data.root=", "results=", "tracking", "threads=", "device=")
"""How settings begin that say where something lies or computes, and not what is trained."""


def plan_sweep(
    path: Path | str,
    assignments: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fingerprint: str | None = None,
) -> SweepPlan:
    """Return everything that a sweep would do; the data is read, because ids hold its fingerprint.

    Args:
        path: The sweep's YAML file, or the name of a shipped one.
        assignments: Settings over every experiment, as in `data.root=DATA`.
        seeds: Seeds instead of the file's.
        fingerprint: The fingerprint of data that are not here; nothing can then be trained. None reads them.

    Raises:
        CycadaError: For mistakes in the sweep, its experiments or the data.
    """
    path = find_config(path)
    sweep = load_sweep(path)
    seeds = [typed(seed, Seed, f"{path}: seeds") for seed in seeds or sweep.seeds]
    # one run would count as two in every mean and test
    if twice := sorted({s for s in seeds if seeds.count(s) > 1}):
        raise CycadaError(f"{path}: seeds: found {twice[0]} twice in {list(seeds)}, expected each seed once.")
    _refuse_set_by_sweep(sweep, path, assignments)
    cells = []
    for label, (data, stage) in _variants(sweep, path, assignments).items():
        named = data | {"name": f"{sweep.name}/{slug(label)}"}
        config = _needed_stages(label, configs.parse(named, f"{path}, '{label}'"), stage)
        plans = plan(config)  # nothing but the seed differs among a row's cells
        cells += [Cell(label, s, config.model_copy(update={"seed": s}), plans) for s in seeds]
    compare = sweep.compare_to
    if compare is not None and compare not in {c.variant for c in cells}:
        raise CycadaError(
            f"{path}: compare_to: there is no row '{compare}'.{nearest(compare, {c.variant for c in cells})}"
        )
    results = {c.config.results for c in cells}
    if len(results) != 1:
        raise CycadaError(
            f"{path}: its experiments write to different places ({', '.join(map(str, sorted(results)))}). "
            "Set results once."
        )
    overrides = [a for a in assignments if not a.startswith(PLACES)]
    shadowed = _shadowed_defaults(sweep, path, assignments)
    return SweepPlan(sweep, path, results.pop(), cells, _jobs(cells, fingerprint), overrides, shadowed)


def plan_experiment(
    path: Path | str, assignments: Sequence[str], seeds: Sequence[int], fingerprint: str | None = None
) -> SweepPlan:
    """Return everything that an experiment with several seeds would do; each seed with all stages is a cell.

    Args:
        path: The experiment's YAML file, or the name of a shipped one.
        assignments: Settings over the file's, as in `data.root=DATA`.
        seeds: The seeds, at least one.
        fingerprint: See `plan_sweep`.

    Raises:
        CycadaError: For mistakes in the experiment or the data.
    """
    path = find_config(path)
    experiments = [configs.load(path, [*assignments, f"seed={seed}"]) for seed in seeds]
    name, plans = experiments[0].name, plan(experiments[0])
    cells = [Cell(name, config.seed, config, plans) for config in experiments]
    sweep = Sweep(name=slug(name), experiment=str(path), base=name, seeds=list(seeds))
    return SweepPlan(sweep, path, experiments[0].results, cells, _jobs(cells, fingerprint))


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


def slug(label: str) -> str:
    """Return a label as a part of a name: `- cycle` -> `minus_cycle`."""
    words = re.sub(r"^\+ ?", "plus ", re.sub(r"^- ?", "minus ", label))
    return shorten_name(re.sub(r"[^\w.=-]+", "_", words).strip("_").lstrip(".") or "variant", 90)


def _variants(
    sweep: Sweep, path: Path, assignments: Sequence[str]
) -> dict[str, tuple[dict[str, Any], str | None]]:
    """Return row label -> (the experiment as a mapping, the stage of its outcome)."""
    base = _experiment(sweep, path, sweep.experiment, assignments)
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
            add(f"{_short(key)}={value}", put(base, key, value))
    if sweep.grid:
        for combination in itertools.product(*sweep.grid.values()):
            pairs = list(zip(sweep.grid, combination, strict=True))
            add(", ".join(f"{_short(k)}={v}" for k, v in pairs), _with(base, pairs))
    for label, variant in sweep.variants.items():
        own = _experiment(sweep, path, variant.experiment, assignments) if variant.experiment else base
        add(label, _with(own, variant.set.items()), variant.stage)
    for label, (data, stage) in list(rows.items()):
        for words, evaluation in sweep.evaluations.items():
            add(f"{label}, {words}", merge(data, {"evaluation": evaluation}), stage)
    if not rows:
        raise CycadaError(
            f"{path}: no rows. Add variants, drop_one, add_one, only_one, vary or grid, or a label for base."
        )
    return rows


def _experiment(sweep: Sweep, path: Path, file: str, assignments: Sequence[str]) -> dict[str, Any]:
    return override(
        _with(configs.read_as("an experiment", find_config(file, path.parent)), sweep.set.items()),
        assignments,
    )


def _shadowed_defaults(sweep: Sweep, path: Path, assignments: Sequence[str]) -> list[str]:
    """Return a sentence for each default of the sweep or the command line that does not reach a stage."""

    def read(file: str) -> Mapping[str, Any]:
        return configs.read_as("an experiment", find_config(file, path.parent))

    under = read(sweep.experiment)
    over = override(_with({}, sweep.set.items()), assignments)
    found = find_shadowed_defaults(under, over, partly=True)
    for variant in sweep.variants.values():
        below = merge(read(variant.experiment) if variant.experiment else under, over)
        found += find_shadowed_defaults(below, _with({}, variant.set.items()), partly=True)
    return list(dict.fromkeys(found))


def one_stage(
    path: Path | str, stage: str, assignments: Sequence[str] = (), seed: int | None = None
) -> Config:
    """Return an experiment of one stage of a sweep's experiment and the stages that it starts from.

    Args:
        path: The sweep's YAML file.
        stage: The stage, for example the scorer that measures all cells.
        assignments: Settings over the experiment's.
        seed: The seed; None means the first of the sweep.

    Raises:
        CycadaError: For mistakes in the files, or where there is no such stage.
    """
    path = find_config(path)
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
    """Return a key as labels show it: `stages.pixel.losses.cycle_s` -> `pixel.cycle_s`."""
    return ".".join(part for part in key.split(".") if part not in ("stages", "losses", "weight"))


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


def _needed_stages(label: str, config: Config, stage: str | None) -> Config:
    """Return a row's experiment with the stages alone that its outcome needs.

    These are its ancestors, and the source-only stages over which gains are counted: those that start from
    no other stage.
    """
    outcome = stage or list(config.stages)[-1]
    if outcome not in config.stages:
        raise CycadaError(f"'{label}': there is no stage '{outcome}'.{nearest(outcome, config.stages)}")
    needed = config.ancestors(outcome) | {
        n for n, s in config.stages.items() if s.method == "source_only" and config.ancestors(n) == {n}
    }
    before = [n for n in config.stages if n in needed and n != outcome]
    return config.model_copy(update={"stages": {n: config.stages[n] for n in [*before, outcome]}})


def _jobs(cells: list[Cell], fingerprint: str | None) -> dict[str, Job]:
    """Return every stage once, by id, and fill in the ids of the cells; see `plan_sweep`."""
    jobs: dict[str, Job] = {}
    known: dict[str, Datasets | KnownData] = {}
    keys: dict[int, str] = {}  # the cells of a row share one object
    devices: dict[str, Device] = {}
    paired = any(p.asks_for("pair_t") for cell in cells for p in cell.plans)
    for cell in cells:
        name, data = cell.config.device, cell.config.data
        device = devices.get(name) or devices.setdefault(name, Device.find(name))
        key = keys.get(id(data)) or keys.setdefault(id(data), configs.digest(data.model_dump(mode="json")))
        if key not in known:
            known[key] = KnownData((), fingerprint, {}) if fingerprint else _load(cell, device, paired)
        for p in cell.plans:
            identity = stage_id(cell.config, p, cell.ids, known[key], device)
            if identity not in jobs:
                parents = tuple(
                    dict.fromkeys(cell.ids[s.split(".")[0]] for s in p.stage.init.values() if "#" not in s)
                )
                jobs[identity] = Job(identity, _cut(cell.config, cell.config.ancestors(p.name)), p, parents)
            cell.ids[p.name] = identity
    return jobs


def _load(cell: Cell, device: Device, paired: bool) -> Datasets | KnownData:
    """Return what is known of a cell's data, after they were read where nothing is known yet.

    Args:
        cell: The cell.
        device: Where the data are kept.
        paired: Whether any cell needs the partners of the images, whose fingerprint enters its ids.
    """
    memory = DataMemory(cell.config, cell.plans)
    if not paired and (found := memory.recall()):
        return found
    datasets = load_datasets(cell.config, cell.plans, device)
    memory.remember(KnownData.of(datasets))
    return datasets
