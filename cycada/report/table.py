"""The main table as data: accuracy or mIoU, gain over own source-only, and each row's paired tests against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cycada.metrics.statistics import (
    BLOCKS_NEEDED,
    WILCOXON_NEEDS,
    Bootstrap,
    block_length,
    holm,
    mean_and_error,
    paired_bootstrap,
    wilcoxon_over_seeds,
)
from cycada.report.record import Record
from cycada.report.rows import ReportData, Variant

COVERS = {
    "bootstrap": "Paired bootstrap over test images (10,000 resamples), of the mean over the seeds that both rows have. It covers the "
    "choice of test images. It does not cover what another seed would have done: the trained networks are held fixed.",
    "wilcoxon": f"Wilcoxon signed-rank test over seeds, one difference a seed. It covers seeds, not test images. Below {WILCOXON_NEEDS} "
    "common seeds that differ it cannot fall under 0.05 (its smallest p is 2 / 2^n), and no p is printed.",
    "holm": "Holm's step-down correction over all rows of this table, for each of the two tests by itself.",
}


def covers(lines: Sequence[TableRow]) -> dict[str, str]:
    """What each test of this table covers, with what is drawn where the test images are frames of one video."""
    found = next((t for line in lines if (t := line.test) and t.bootstrap and t.bootstrap.block > 1), None)
    if not found or not found.bootstrap or not found.images:
        return COVERS
    block, blocks = found.bootstrap.block, -(-found.images // found.bootstrap.block)
    said = (
        f" The test images are frames of one video that follow each other and look alike, so they are not drawn one by one: each resample "
        f"is of {blocks} blocks of {block} successive frames (circular block bootstrap)."
    )
    if found.bootstrap.p is None:
        said += f" Below {BLOCKS_NEEDED} blocks no p is printed, and the interval is too narrow rather than too wide."
    return COVERS | {"bootstrap": COVERS["bootstrap"] + said}


@dataclass(frozen=True)
class Mean:
    """In percentage points. values: by seed. error: standard error of the mean, None for one seed."""

    values: dict[int, float]
    mean: float
    error: float | None

    @classmethod
    def of(cls, values: dict[int, float]) -> Mean | None:
        return cls(values, *mean_and_error(list(values.values()))) if values else None

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.error is None else f"{self.mean:.1f} ± {self.error:.1f}"


@dataclass(frozen=True)
class Comparison:
    """A row against the reference (row - reference, in points), over `seeds`. why: per test, why there is no p."""

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
    """One row of the table. target, source: the row's metric. test: None for the reference itself and for oracles. best: the

    highest mean without target labels.
    """

    row: Variant
    target: Mean
    source: Mean | None
    gain: Mean | None
    test: Comparison | None
    best: bool = False


def lines(report: ReportData) -> list[TableRow]:
    """One Line a row, in the report's order."""
    reference = report.row(report.reference)
    # an oracle is no competitor: testing it would only make the family of the Holm correction larger
    found = [
        _line(row, None if row is reference or row.oracle else _test(row, reference)) for row in report.rows
    ]
    tests = [line.test for line in found if line.test]
    bootstraps = iter(holm([t.bootstrap.p if t.bootstrap else None for t in tests]))
    wilcoxons = iter(holm([t.wilcoxon for t in tests]))
    top = max((line.target.mean for line in found if not line.row.oracle), default=None)
    return [
        replace(
            line,
            best=not line.row.oracle and line.target.mean == top and len(found) > 1,
            test=line.test
            and replace(line.test, bootstrap_holm=next(bootstraps), wilcoxon_holm=next(wilcoxons)),
        )
        for line in found
    ]


def by_class(records: Sequence[Record]) -> np.ndarray | None:
    """(S, K) accuracy (IoU of scenes) in %, NaN where a class is absent. None where it is not stored, or seeds have other classes."""
    found = [values for r in records if (values := r.by_class()) is not None]
    return np.array(found, np.float64) if found and len({len(f) for f in found}) == 1 else None


def mean_by_class(records: Sequence[Record]) -> np.ndarray | None:
    """(K,) over seeds; NaN where no seed has the class."""
    values = by_class(records)
    if values is None:
        return None
    there = ~np.isnan(values)
    mean: np.ndarray = np.where(there.any(0), np.nansum(values, 0) / np.maximum(there.sum(0), 1), np.nan)
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
    assert target is not None  # gather keeps scored rows alone
    return TableRow(row, target, Mean.of(source), Mean.of(gains), test)


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
    answers = [(ours[s].answers(), theirs[s].answers()) for s in seeds]
    pairs = [(a, b) for a, b in answers if a is not None and b is not None]
    bootstrap, images = None, None
    if len(pairs) < len(answers):
        why["bootstrap"] = "no answers per image"
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
            why["bootstrap"] = f"{images // block} blocks of frames < {BLOCKS_NEEDED}"
    return Comparison(reference.name, seeds, images, Mean.of(difference), bootstrap, wilcoxon, why)
