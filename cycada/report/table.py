"""The main table as data: scores, gains over source only, and paired tests against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cycada.metrics.statistics import (
    UNITS_NEEDED,
    WILCOXON_NEEDS,
    Bootstrap,
    block_length,
    holm,
    mean_and_error,
    paired_bootstrap,
    wilcoxon_over_seeds,
)
from cycada.report.budget import Budget, budget_of
from cycada.report.record import Record
from cycada.report.rows import ReportData, Variant

COVERS = {
    "bootstrap": (
        "p, images: paired bootstrap over test images (10,000 resamples) of the mean over the seeds that "
        "both rows have. It covers the choice of test images, but not the choice of seeds: the trained "
        "networks are held fixed."
    ),
    "wilcoxon": (
        "p, seeds: Wilcoxon signed-rank test with one difference per seed. It covers the choice of seeds, "
        f"but not of test images. With fewer than {WILCOXON_NEEDS} common seeds that differ, it cannot fall "
        "below 0.05 (its smallest p is 2 / 2^n), and no p is printed."
    ),
    "holm": (
        "Holm: the p value in brackets is corrected for all rows of this table (Holm's step-down method), "
        "separately for each of the two tests."
    ),
}
"""What each test covers, as notes below the table."""


def covers(lines: Sequence[TableRow]) -> dict[str, str]:
    """Return what each test of this table covers, with cautions about few images and frames of a video."""
    test = next((t for line in lines if (t := line.test) and t.bootstrap), None)
    if not test or not test.bootstrap or not test.images:
        return COVERS
    block, blocks = test.bootstrap.block, -(-test.images // test.bootstrap.block)
    caution = ""
    if block > 1:
        caution = (
            " The test images are successive frames of one video and look alike, so they are not drawn one "
            f"by one: each resample consists of {blocks} blocks of {block} successive frames (circular block "
            "bootstrap)."
        )
    if test.bootstrap.p is None:
        units = "blocks" if block > 1 else "test images"
        caution += (
            f" With fewer than {UNITS_NEEDED} {units} no p is printed, and the interval is too narrow rather "
            "than too wide."
        )
    return COVERS | {"bootstrap": COVERS["bootstrap"] + caution}


@dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        values: The value of each seed, in percent or points.
        mean: Their mean.
        error: The standard error of the mean, or None for one seed.
    """

    values: dict[int, float]
    mean: float
    error: float | None

    @classmethod
    def of(cls, values: dict[int, float]) -> Mean | None:
        """Return the mean of `values`, by seed, or None where there are none."""
        return cls(values, *mean_and_error(list(values.values()))) if values else None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.error is None else f"{self.mean:.1f} ± {self.error:.1f}"


@dataclass(frozen=True)
class Comparison:
    """The paired tests of a row against the reference.

    Attributes:
        against: The name of the reference.
        seeds: The seeds that both rows have.
        images: The number of test images, or None where the test over images was not possible.
        difference: Row minus reference, in points.
        bootstrap: The paired bootstrap over test images.
        wilcoxon: The p value of the Wilcoxon signed-rank test over seeds.
        why: The reason why a test has no p value: "bootstrap" or "wilcoxon" -> words.
        bootstrap_holm: The bootstrap's p value after Holm's correction.
        wilcoxon_holm: Wilcoxon's p value after Holm's correction.
    """

    against: str
    seeds: tuple[int, ...]
    images: int | None
    difference: Mean | None
    bootstrap: Bootstrap | None
    wilcoxon: float | None
    why: dict[str, str]
    bootstrap_holm: float | None = None
    wilcoxon_holm: float | None = None


@dataclass(frozen=True)
class TableRow:
    """One row of the main table.

    Attributes:
        row: The runs of the row.
        target: Its score on the target test set.
        source: Its score on the source test set, if there is one.
        gain: Its target score minus that of its source-only network, if there is one.
        test: Its tests against the reference; None for the reference itself and for oracles.
        budget: The training behind it.
        best: Whether its mean is the highest of all rows that were trained without target labels and are
            comparable with the reference.
    """

    row: Variant
    target: Mean
    source: Mean | None
    gain: Mean | None
    test: Comparison | None
    budget: Budget
    best: bool = False


def lines(report: ReportData) -> list[TableRow]:
    """Compute the main table, one row for each row of the report and in its order."""
    reference = report.row(report.reference)
    # an oracle is no competitor: testing it would only make the family of the Holm correction larger
    table = [
        _line(row, None if row is reference or row.oracle else _test(row, reference)) for row in report.rows
    ]
    tests = [line.test for line in table if line.test]
    bootstraps = iter(holm([t.bootstrap.p if t.bootstrap else None for t in tests]))
    wilcoxons = iter(holm([t.wilcoxon for t in tests]))
    competitors = {
        line.row.name for line in table if not line.row.oracle and line.row.name not in report.not_comparable
    }
    top = max((line.target.mean for line in table if line.row.name in competitors), default=None)
    return [
        replace(
            line,
            best=line.row.name in competitors and line.target.mean == top and len(table) > 1,
            test=line.test
            and replace(line.test, bootstrap_holm=next(bootstraps), wilcoxon_holm=next(wilcoxons)),
        )
        for line in table
    ]


def choose_rows_to_draw(
    lines: Sequence[TableRow], reference: str, most: int
) -> tuple[list[Variant], list[Variant]]:
    """Choose the rows that have charts of their own: all, or of more than `most` those that matter most.

    First come source only, the reference and the oracles, then the other rows by their scores.

    Args:
        lines: The main table.
        reference: The name of the row that the others are tested against.
        most: The largest number of rows to choose.

    Returns:
        The rows to draw and the rows to leave out, both in the order of the table.
    """

    def rank(line: TableRow) -> tuple[bool, float]:
        row = line.row
        return row.name != reference and row.method != "source_only" and not row.oracle, -line.target.mean

    chosen = {line.row.name for line in sorted(lines, key=rank)[:most]}
    drawn = [line.row for line in lines if line.row.name in chosen]
    return drawn, [line.row for line in lines if line.row.name not in chosen]


def by_class(records: Sequence[Record]) -> np.ndarray | None:
    """Return the target scores by class of several seeds.

    Returns:
        (S, K) accuracy, or IoU for segmentation, in percent; NaN where a class is absent. None where the
        scores are not stored, or the seeds have different numbers of classes.
    """
    by_seed = [values for r in records if (values := r.by_class()) is not None]
    same_classes = len({len(values) for values in by_seed}) == 1
    return np.array(by_seed, np.float64) if same_classes else None


def mean_by_class(records: Sequence[Record]) -> np.ndarray | None:
    """Return the mean over seeds of the target scores by class (K,) in percent; NaN where no seed has it."""
    values = by_class(records)
    if values is None:
        return None
    present = ~np.isnan(values)
    mean: np.ndarray = np.where(present.any(0), np.nansum(values, 0) / np.maximum(present.sum(0), 1), np.nan)
    return mean


def _line(row: Variant, test: Comparison | None) -> TableRow:
    scored = {o.seed: s for o in row.outcomes if (s := o.last.score()) is not None}
    source = {o.seed: s for o in row.outcomes if (s := o.last.score("source")) is not None}
    gains = {
        o.seed: scored[o.seed] - base
        for o in row.outcomes
        if o.baseline and o.baseline.id != o.last.id and (base := o.baseline.score()) is not None
    }
    target = Mean.of(scored)
    assert target is not None  # `gather` keeps only scored rows
    return TableRow(row, target, Mean.of(source), Mean.of(gains), test, budget_of(row))


def _test(row: Variant, reference: Variant) -> Comparison:
    ours, theirs = ({o.seed: o.last for o in r.outcomes} for r in (row, reference))
    seeds = tuple(s for s in ours if s in theirs)
    if not seeds:
        nothing = "no common seed"
        return Comparison(
            reference.name, (), None, None, None, None, {"bootstrap": nothing, "wilcoxon": nothing}
        )
    difference = {s: (ours[s].score() or 0.0) - (theirs[s].score() or 0.0) for s in seeds}
    wilcoxon = wilcoxon_over_seeds([round(d, 9) for d in difference.values()])
    why = {} if wilcoxon is not None else {"wilcoxon": f"n = {len(seeds)} < {WILCOXON_NEEDS}"}
    if wilcoxon is None and len(seeds) >= WILCOXON_NEEDS:
        why["wilcoxon"] = f"fewer than {WILCOXON_NEEDS} seeds differ"
    predictions = [(ours[s].predictions(), theirs[s].predictions()) for s in seeds]
    pairs = [(a, b) for a, b in predictions if a is not None and b is not None]
    bootstrap, images = None, None
    if len(pairs) < len(predictions):
        why["bootstrap"] = "no predictions per image"
    elif any(
        not np.array_equal(a[1], pairs[0][0][1]) or not np.array_equal(b[1], pairs[0][0][1]) for a, b in pairs
    ):
        why["bootstrap"] = "not the same test images"
    else:
        images = len(pairs[0][0][1])
        block = block_length(images) if ours[seeds[0]].consecutive else 1
        bootstrap = paired_bootstrap(
            np.stack([a[0] for a, _ in pairs]), np.stack([b[0] for _, b in pairs]), block=block
        )
        if bootstrap.p is None:
            units = f"{images // block} blocks of frames" if block > 1 else f"{images} images"
            why["bootstrap"] = f"{units} < {UNITS_NEEDED}"
    return Comparison(reference.name, seeds, images, Mean.of(difference), bootstrap, wilcoxon, why)
