"""The rows of a report: an outcome for every seed, and all rows with what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cycada.report.metric import Metric
from cycada.report.record import Record
from cycada.runs.records import FEATURES

FULL_METHODS = ("cycada_feature", "cycada")


@dataclass(frozen=True)
class Outcome:
    """One row of a report at one seed.

    Attributes:
        seed: The seed of the runs.
        chain: The stages that led to the outcome, oldest first; the last one is scored.
        baseline: The source-only stage of the same seed, if there is one.
    """

    seed: int
    chain: tuple[Record, ...]
    baseline: Record | None

    @property
    def last(self) -> Record:
        """The stage that is scored."""
        return self.chain[-1]

    def latest(self, has: Callable[[Record], object]) -> Record | None:
        """Return the last stage of the chain for which `has` is true, or None."""
        return next((r for r in reversed(self.chain) if has(r)), None)

    @property
    def translation(self) -> Record | None:
        """The stage that learnt the translation behind this outcome, or None.

        It is the last stage with label flips or semantic drift; without one, the stage with the widest image
        grid.
        """
        if analysed := self.latest(lambda r: r.drift or "flip_t" in r.analysis):
            return analysed
        grids = [r for r in self.chain if r.grid_width]
        return max(reversed(grids), key=lambda r: r.grid_width) if grids else None


@dataclass(frozen=True)
class Variant:
    """One row of the table: a sweep's variant, a stage of an experiment, or runs with equal settings.

    Attributes:
        name: The name of the row.
        outcomes: One outcome for every seed, by ascending seed.
    """

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def method(self) -> str:
        """The method of the scored stage."""
        return self.outcomes[0].last.method

    @property
    def metric(self) -> Metric:
        """The score of its outcomes."""
        metric = self.outcomes[0].last.metric
        assert metric is not None  # only scored outcomes make a row
        return metric

    @property
    def oracle(self) -> bool:
        """Whether the row was trained with target labels: it is shown, but never compared as a result.

        A stage that starts from an oracle knows what its labels taught.
        """
        return any(record.method == "target_only" for outcome in self.outcomes for record in outcome.chain)

    @property
    def goes_on(self) -> bool:
        """Whether the row is source-only training that another stage began."""
        return self.method == "source_only" and not self.outcomes[0].last.is_baseline

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its outcomes, ascending."""
        return tuple(o.seed for o in self.outcomes)


@dataclass
class ReportData:
    """All data that a report is made from.

    Attributes:
        name: The name of the report.
        rows: The rows of its main table, in order.
        reference: The name of the row that the others are tested against.
        failures: Runs that did not finish, in words.
        notes: What is missing or not comparable, in words.
        commands: The commands that trained the runs.
        not_comparable: The names of rows whose scores cannot be compared with the reference's.
    """

    name: str
    rows: list[Variant] = field(default_factory=list)
    reference: str = ""
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    not_comparable: list[str] = field(default_factory=list)

    @property
    def metric(self) -> Metric:
        """The score of all rows."""
        return self.rows[0].metric

    @property
    def records(self) -> list[Record]:
        """Every run folder behind the report, each once."""
        return list({r.id: r for row in self.rows for o in row.outcomes for r in o.chain}.values())

    @property
    def read_from_records(self) -> str:
        """A sentence that says how many stages were read from records, and what these lack; '' for none."""
        stages = self.records
        if not (recorded := [r for r in stages if r.folder.is_record]):
            return ""
        return (
            f"{len(recorded)} of {len(stages)} stages are read from their records, without a run folder. "
            f"Records hold no features above {FEATURES // 1000} kB and no pictures of images that others "
            "made, so that charts and pictures of these are missing."
        )

    def row(self, name: str) -> Variant:
        """Return the row of that name."""
        return next(row for row in self.rows if row.name == name)
