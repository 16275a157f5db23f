"""The reports that are committed: what each is made from, whether it is current, and how to make it so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from cycada.config.fields import Strict
from cycada.config.schema import mistakes
from cycada.core.bounds import PathText, Seed
from cycada.core.errors import Absent, CycadaError, list_some
from cycada.core.progress import Progress
from cycada.core.yaml_files import read
from cycada.runs.records import Records, has_records, name_in
from cycada.runs.run import Products, run
from cycada.storage.schemas import read_shaped
from cycada.storage.store import RECORDS, RunFolder
from cycada.sweeps.estimate import seconds_left
from cycada.sweeps.launchers import Launcher
from cycada.sweeps.plan import Cell, Job, SweepPlan, plan_experiment, plan_sweep
from cycada.sweeps.state import find_finished, unrecorded_jobs
from cycada.sweeps.summary import warn_if_not_recorded
from cycada.sweeps.sweep import run_sweep, train_stages


class Source(Strict):
    """What a committed report is made from: a sweep, or an experiment with several seeds."""

    sweep: PathText | None = Field(None, description="The YAML file of a sweep.")
    experiment: PathText | None = Field(None, description="The YAML file of an experiment.")
    seeds: list[Seed] = Field(
        default_factory=list, description="The seeds of the experiment; of a sweep, instead of its own."
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Source:
        if (self.sweep is None) == (self.experiment is None):
            raise ValueError("expected either a `sweep` or an `experiment` with `seeds`.")
        if self.experiment and not self.seeds:
            raise ValueError("expected `seeds` with the experiment, such as [0, 1, 2].")
        return self

    @property
    def file(self) -> str:
        """The YAML file of the sweep or the experiment."""
        return self.sweep or self.experiment or ""

    def plan(self, assignments: Sequence[str], fingerprint: str | None = None) -> SweepPlan:
        """Return all that it would train; see `plan_sweep` for the arguments."""
        if self.sweep:
            return plan_sweep(self.sweep, assignments, self.seeds, fingerprint)
        return plan_experiment(self.file, assignments, self.seeds, fingerprint)


def read_sources(path: Path) -> dict[str, Source]:
    """Return the committed reports: the name of the folder in results/reports -> what it is made from.

    Raises:
        CycadaError: The file cannot be read, or has mistakes: one line for each.
    """
    try:
        return TypeAdapter(dict[str, Source]).validate_python(read(path))
    except ValidationError as error:
        raise CycadaError(f"{path}\n  " + "\n  ".join(mistakes(error))) from None


@dataclass(frozen=True)
class CommittedReport:
    """A report that is committed, with today's plan of what it is made from.

    Attributes:
        name: The name of its folder in results/reports.
        source: What it is made from.
        results: The folder of all results.
        planned: What its sweep or experiment would train today; None where that is not known.
        problem: Why that is not known; '' where it is.
    """

    name: str
    source: Source
    results: Path
    planned: SweepPlan | None
    problem: str = ""

    @staticmethod
    def find(name: str, source: Source, results: Path, assignments: Sequence[str] = ()) -> CommittedReport:
        """Return a committed report; where its data are not here, their fingerprint is that of its records.

        Args:
            name: The name of its folder in results/reports.
            source: What it is made from.
            results: The folder of all results.
            assignments: Settings over every experiment, as in `data.root=DATA`.
        """
        settings = [*assignments, f"results={results}"]
        try:
            return CommittedReport(name, source, results, source.plan(settings))
        except Absent as error:
            problem = f"its data are not here, and no record knows them. {error}"
            if known := _fingerprint(source, results):
                return CommittedReport(name, source, results, source.plan(settings, known))
        except CycadaError as error:
            problem = str(error)
        return CommittedReport(name, source, results, None, problem)

    @property
    def records(self) -> Path:
        """The folder of records that it is made from."""
        return self.results / RECORDS

    @property
    def folder(self) -> Path:
        """The folder of its tables."""
        return self.results / "reports" / self.name

    @property
    def unrecorded(self) -> list[Cell]:
        """The cells that lack a record of any of their stages."""
        cells = self.planned.reported_cells if self.planned else []
        return [cell for cell in cells if not has_records(cell.ids.values(), self.records)]

    @cached_property
    def stale(self) -> list[str]:
        """Why the table is not that of today's configs, in words; empty where it is current."""
        return list(self._reasons())

    def _reasons(self) -> Iterator[str]:
        if self.planned is None:
            yield f"cannot be checked: {self.problem}"
            return
        if lacking := self.unrecorded:
            cell, total = lacking[0], len(self.planned.reported_cells)
            yield (
                f"{len(lacking)} of {total} cells have no sound record of today's settings, first "
                f"{cell.variant}, seed {cell.seed}"
            )
            return
        try:
            table = json.loads((self.folder / "table.json").read_text(encoding="utf-8"))
            rows = {row["name"]: row["stages"] for row in table["rows"]}
            shown = {i for seeds in rows.values() for chain in seeds.values() for i in chain.values()}
            commits = set(table["provenance"]["commits"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            yield f"{self.folder / 'table.json'} is not there, or is not that of a report"
            return
        if other := sorted(shown - self.planned.jobs.keys()):
            yield f"the table shows {len(other)} stages of other settings: {list_some(other, 3)}"
        if absent := sorted(self._scored() - shown):
            yield f"the table lacks {len(absent)} stages: {list_some(absent, 3)}"
        if self.source.sweep and (unnamed := sorted(self._scored_variants() - rows.keys())):
            yield f"the table lacks the rows {list_some(unnamed)}"
        if not other and commits != self._commits(shown):
            yield "the table was made of runs of other commits than the records"

    def _scored(self) -> set[str]:
        """Return the ids of the stages that the table has to show."""
        assert self.planned  # the caller has checked
        cells = self.planned.reported_cells
        ends = [list(cell.ids.values())[-1:] if self.source.sweep else cell.ids.values() for cell in cells]
        return {identity for ids in ends for identity in ids if self._is_scored(identity)}

    def _scored_variants(self) -> set[str]:
        assert self.planned  # the caller has checked
        return {c.variant for c in self.planned.reported_cells if self._is_scored(list(c.ids.values())[-1])}

    def _is_scored(self, identity: str) -> bool:
        return "target" in self._record(identity).read_json("scores.json")

    def _commits(self, ids: set[str]) -> set[str]:
        environments = [self._record(i).read_json("manifest.json").get("environment", {}) for i in ids]
        return {environment.get("git", "unknown") for environment in environments}

    def _record(self, identity: str) -> RunFolder:
        return RunFolder(self.records / "runs" / identity)

    def describe(self, slots: int) -> str:
        """Return a line that says whether the table is current, and what making it so would take.

        Args:
            slots: How many stages are trained at a time.
        """
        if not self.stale:
            return f"{self.name}: current"
        line = f"{self.name}: {'; '.join(self.stale)}"
        if self.planned is None:
            return line
        left = [job for job in self._jobs.values() if not job.folder.done]
        if not left:
            return f"{line}; nothing is left to train"
        known = [s for s in seconds_left(left, self.results).values() if s is not None]
        about = "at least" if len(known) < len(left) else "about"
        minutes = f"{about} {sum(known) / slots / 60:.0f} minutes" if known else "for how long is not known,"
        return f"{line}; {len(left)} stages to train, {minutes} with {slots} at a time"

    @property
    def _jobs(self) -> dict[str, Job]:
        return unrecorded_jobs(self.planned, self.records) if self.planned else {}

    def train(self, launcher: Launcher, screen: Progress, products: Products = Products()) -> list[str]:
        """Train the cells without records, and write their records as they end.

        Args:
            launcher: Where stages are trained.
            screen: Where progress is shown.
            products: What trackers get beside the stages.

        Returns:
            What failed, in words.

        Raises:
            CycadaError: What is to be trained is not known.
            Interrupted: After Ctrl-C, when all that ran is saved.
        """
        if self.planned is None:
            raise CycadaError(f"{self.name}: {self.problem}")
        if self.source.sweep:
            content = run_sweep(self.planned, launcher, screen, products, self.records)
            errors = {(c["variant"], c["seed"]): c["error"] for c in content["cells"]}
        else:
            errors = self._train_experiments(launcher, screen, products)
        return [
            f"{self.name}: {c.variant}, seed {c.seed}: {errors.get((c.variant, c.seed)) or 'has no record'}"
            for c in self.unrecorded
        ]

    def _train_experiments(
        self, launcher: Launcher, screen: Progress, products: Products
    ) -> dict[tuple[str, int], Any]:
        """Train an experiment's seeds; each has its summary and its records as soon as it is done."""
        assert self.planned  # the caller has checked
        planned, records = self.planned, Records(self.records)
        progress = find_finished(planned, screen, self.records)
        waiting = self.unrecorded

        def write() -> None:
            for cell in [c for c in waiting if all(progress.states[i] == "done" for i in c.ids.values())]:
                waiting.remove(cell)
                with warn_if_not_recorded(screen.warn):
                    run(cell.config, Progress(quiet=True), products=products)  # which only sums it up
                    name = cell.config.name
                    file = self.results / "experiments" / name / f"seed{cell.seed}.json"
                    records.add_experiment(file, name, self.results, replace=False)

        train_stages(planned, launcher, progress, screen, write)
        write()
        return {
            (cell.variant, cell.seed): "; ".join(progress.errors.get(i, "") for i in cell.ids.values())
            for cell in planned.cells
        }


def _fingerprint(source: Source, results: Path) -> str | None:
    """Return the fingerprint of the data in the records of a report, if there is one and no other."""
    name, records, remedy = name_in(source.file), results / RECORDS, "Put it back from a copy."
    stages: list[dict[str, Any]] = []
    for file in records.glob(f"sweeps/{name}.json"):
        stages += [s for cell in read_shaped(file, "sweep", remedy)["cells"] for s in cell["stages"]]
    for file in records.glob(f"experiments/{name}/seed*.json"):
        stages += read_shaped(file, "summary", remedy)["stages"].values()
    folders = [RunFolder(records / "runs" / stage["id"]) for stage in stages]
    found = {f.read_json("manifest.json").get("data_fingerprint") for f in folders if f.is_record}
    return found.pop() if len(found) == 1 else None
