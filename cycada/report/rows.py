"""The rows of a report: an outcome for every seed, and all rows with what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cycada.report.metric import Metric
from cycada.report.record import Record

FULL_METHODS = ("cycada_feature", "cycada")


@dataclass(frozen=True)
class Outcome:
    """One row at one seed. chain: the stages that led to it, the last is what is scored. baseline: source only, same seed."""

    seed: int
    chain: tuple[Record, ...]
    baseline: Record | None

    @property
    def last(self) -> Record:
        return self.chain[-1]

    def latest(self, has: Callable[[Record], object]) -> Record | None:
        """The last stage of the chain that has something."""
        return next((r for r in reversed(self.chain) if has(r)), None)

    @property
    def translation(self) -> Record | None:
        """The stage that learnt the translation behind this outcome: the last with flips or drift, else with the widest grid."""
        if found := self.latest(lambda r: r.drift or "flip_t" in r.analysis):
            return found
        grids = [r for r in self.chain if r.grid_width]
        return max(reversed(grids), key=lambda r: r.grid_width) if grids else None


@dataclass(frozen=True)
class Variant:
    """One line of the table: a variant, a stage, or runs of equal settings. outcomes: by seed, ascending."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def method(self) -> str:
        return self.outcomes[0].last.method

    @property
    def metric(self) -> Metric:
        """What its outcomes are scored by."""
        found = self.outcomes[0].last.metric
        assert found is not None  # only scored outcomes make a row
        return found

    @property
    def oracle(self) -> bool:
        """Trained on target labels: shown, never compared as a result."""
        return self.method == "target_only"

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(o.seed for o in self.outcomes)


@dataclass
class ReportData:
    """All that a report is made from. reference: the row that the others are tested against. notes: what is missing or not comparable."""

    name: str
    rows: list[Variant] = field(default_factory=list)
    reference: str = ""
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    @property
    def metric(self) -> Metric:
        """What all rows are scored by."""
        return self.rows[0].metric

    @property
    def records(self) -> list[Record]:
        """Every run folder behind the report, once."""
        return list({r.id: r for row in self.rows for o in row.outcomes for r in o.chain}.values())

    def row(self, name: str) -> Variant:
        return next(row for row in self.rows if row.name == name)
