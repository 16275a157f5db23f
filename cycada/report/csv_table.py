"""The main table of a report as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.render.escape import csv_lines
from cycada.report.sheets import OTHERS, averaged_over, mean_of
from cycada.report.table import TableRow


def csv_table(lines: Sequence[TableRow]) -> str:
    """Return the main table as CSV: one line per row, unrounded, in percent, with a final column per seed.

    For segmentation there are further columns: over how many images and classes the mean is, and the other
    scores.
    """
    over_classes = lines[0].row.metric.over_classes
    seeds = sorted({s for line in lines for s in line.target.values})
    rows: list[Sequence[object]] = [
        (
            "row",
            "method",
            "oracle",
            "n",
            "mean",
            "standard_error",
            "source_mean",
            "gain",
            "gain_standard_error",
            "against",
            "difference",
            "difference_low",
            "difference_high",
            "p_bootstrap",
            "p_bootstrap_holm",
            "p_wilcoxon",
            "p_wilcoxon_holm",
            "task_updates",
            "all_updates",
            "seconds",
            *(("test_images", "classes_averaged", *OTHERS) if over_classes else ()),
            *(f"seed_{s}" for s in seeds),
        )
    ]
    for line in lines:
        gain, test = line.gain, line.test
        boot = test.bootstrap if test else None
        cells = [
            line.row.name,
            line.row.method,
            line.row.oracle,
            len(line.target.values),
            line.target.mean,
            line.target.error,
            line.source and line.source.mean,
            gain and gain.mean,
            gain and gain.error,
            test and test.against,
            test and test.difference and test.difference.mean,
            boot and 100 * boot.low,
            boot and 100 * boot.high,
            boot and boot.p,
            test and test.bootstrap_holm,
            test and test.wilcoxon,
            test and test.wilcoxon_holm,
            line.budget.updates and line.budget.updates.task,
            line.budget.updates and line.budget.updates.all,
            line.budget.seconds,
            *(_segmentation_cells(line) if over_classes else ()),
            *(line.target.values.get(s) for s in seeds),
        ]
        rows.append(cells)
    return csv_lines(rows)


def _segmentation_cells(line: TableRow) -> list[object]:
    images, classes = averaged_over(line.row)
    others = (mean_of(line.row, key) for key in OTHERS)
    return [images, classes, *(m and m.mean for m in others)]
