"""Plan a sweep: variants of an experiment, times seeds, as stages that are trained once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cycada.config import schema as configs
from cycada.config.recipes import find_config
from cycada.config.schema import Config
from cycada.core.bounds import Seed
from cycada.core.errors import CycadaError, nearest
from cycada.core.registry import typed
from cycada.core.texts import listed, listed_seeds
from cycada.planning.build import Datasets, load_datasets
from cycada.planning.known_data import DataMemory, KnownData
from cycada.planning.plan import StagePlan, plan
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder
from cycada.sweeps.schema import Sweep, load_sweep
from cycada.sweeps.variants import experiments_of_rows, last_stage, read_experiment, slug
from cycada.train.device import Device

PLACES = ("data.root=", "results=", "tracking", "threads=", "device=")
"""How settings begin that say where something lies or computes, and not what is trained."""


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
        assignments: Settings over those of the files, as in `data.root=DATA`.
    """

    sweep: Sweep
    file: Path
    results: Path
    cells: list[Cell]
    jobs: dict[str, Job]
    assignments: Sequence[str] = ()

    @property
    def overrides(self) -> list[str]:
        """The assignments, without the places of data and results."""
        return [a for a in self.assignments if not a.startswith(PLACES)]

    @property
    def reported_cells(self) -> list[Cell]:
        """The cells that a report shows: those of other seeds than the recipe was settled on."""
        return [cell for cell in self.cells if cell.seed not in self.sweep.settled_on]


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
    path, assignments = find_config(path), listed(assignments)
    sweep = load_sweep(path)
    seeds = [typed(seed, Seed, f"{path}: seeds") for seed in listed_seeds(seeds) or sweep.seeds]
    # one run would count as two in every mean and test
    if twice := sorted({s for s in seeds if seeds.count(s) > 1}):
        raise CycadaError(f"{path}: seeds: found {twice[0]} twice in {list(seeds)}, expected each seed once.")
    cells = []
    for label, (data, stage) in experiments_of_rows(sweep, path, assignments).items():
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
    return SweepPlan(sweep, path, results.pop(), cells, _jobs(cells, fingerprint), assignments)


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
    data = read_experiment(sweep, path, sweep.experiment, assignments)
    seed = sweep.seeds[0] if seed is None else seed
    config = configs.parse(data | {"seed": seed, "name": f"{sweep.name}/{slug(stage)}"}, f"{path}, '{stage}'")
    if stage not in config.stages:
        raise CycadaError(f"{path}: there is no stage '{stage}'.{nearest(stage, config.stages)}")
    return _cut(config, config.ancestors(stage))


def _cut(config: Config, stages: set[str]) -> Config:
    return config.model_copy(update={"stages": {n: s for n, s in config.stages.items() if n in stages}})


def _needed_stages(label: str, config: Config, stage: str | None) -> Config:
    """Return a row's experiment with the stages alone that its outcome needs.

    These are its ancestors, and the source-only stages over which gains are counted: those that start from
    no other stage.
    """
    outcome = stage or last_stage(config.stages)
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
