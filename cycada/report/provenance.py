"""The provenance of a report's numbers: commits, hardware, images, seeds, commands; and what is missing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from cycada.core.errors import list_some
from cycada.data.development import selection
from cycada.report.record import Record
from cycada.report.rows import ReportData
from cycada.report.selection import criteria_of, uneven_criteria
from cycada.report.sheets import OTHERS, averaged_over, mean_of
from cycada.report.table import TableRow, covers, mean_by_class


def provenance(report: ReportData, command: str) -> dict[str, Any]:
    """Describe every run behind the report, without paths of the machine.

    Args:
        report: The rows of the report.
        command: The command that made the report.
    """
    records = report.records
    environments = [r.manifest.get("environment", {}) for r in records]
    return {
        "pair": " -> ".join(records[0].titles),
        "images": _different([r.manifest.get("images", {}) for r in records]),
        "selection": selection(*records[0].domains),
        "seeds": sorted({s for row in report.rows for s in row.seeds}),
        "stages": _stages(records),
        "hardware": _different([r.manifest.get("device", "unknown") for r in records]),
        "commits": _different([e.get("git", "unknown") for e in environments]),
        "torch": _different([e.get("torch", "unknown") for e in environments]),
        "python": _different([e.get("python", "unknown") for e in environments]),
        "training_seconds": round(sum(r.manifest.get("seconds", 0) for r in records)),
        "runs": {f"{row.name}, seed {o.seed}": o.last.id for row in report.rows for o in row.outcomes},
        "trained_by": report.commands,
        "reported_by": command,
    }


def _different(values: Sequence[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct


def _stages(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return every `steps x batch` that each stage was trained with."""
    lengths_by_stage: dict[str, list[str]] = {}
    for record in records:
        length = f"{record.manifest.get('steps', '?')} x {record.manifest.get('batch', '?')}"
        lengths = lengths_by_stage.setdefault(f"{record.stage} ({record.method})", [])
        if length not in lengths:
            lengths.append(length)
    return lengths_by_stage


def missing(report: ReportData) -> list[str]:
    """List what the report could not show, and how to get it."""
    notes = list(report.notes)
    outcomes = [(row.name, o) for row in report.rows for o in row.outcomes]
    old = [f"{o.last.id} ({name}, seed {o.seed})" for name, o in outcomes if o.last.predictions() is None]
    if old:
        notes.append(
            "There are no predictions for single test images, and so no test over images, no features and "
            f"no A-distance, for {list_some(old, 4)}: an older version made these runs. `cycada evaluate "
            "RUN` writes analysis.npz, which holds them."
        )
    undrifted = sorted(
        {
            r.id
            for _, o in outcomes
            for r in o.chain
            if r.method in ("cycada_pixel", "cyclegan", "cycada") and not r.drift and not r.analysis
        }
    )
    if undrifted:
        notes.append(
            f"There are no label flips and no semantic drift for the translations {list_some(undrifted, 4)}: "
            "`cycada evaluate RUN` measures them."
        )
    if uneven := [row.name for row in report.rows if uneven_criteria(row) and criteria_of([row])]:
        notes.append(
            f"No step is chosen without target labels for {list_some(uneven, 4)}: an older version computed "
            "the label-free criteria on more images at the last step than before, and some of them grow with "
            "that number. To choose, delete the run folders and run the experiment again."
        )
    criteria_images = {o.last.criteria_images[1] for row in report.rows for o in row.outcomes}
    if len(criteria_images) > 1:
        notes.append(
            "No row is chosen without target labels: the label-free criteria are of other numbers of images, "
            f"{list_some([str(n) for n in sorted(criteria_images)])}, and some of them grow with that number."
        )
    unchosen = sorted(
        {
            o.last.id
            for _, o in outcomes
            if not any(k.startswith("selection/") for e in o.last.evaluations for k in e)
        }
    )
    if unchosen:
        notes.append(
            f"There are no label-free criteria for {list_some(unchosen, 4)}: they are stored while training. "
            "To get them, delete the run folder and run its experiment again."
        )
    if all(o.translation is None for _, o in outcomes):
        notes.append("There are no image grids: no stage here translates images.")
    return notes


def as_json(report: ReportData, lines: Sequence[TableRow], command: str) -> dict[str, Any]:
    """Return the contents of table.json: the unrounded numbers, and all that is needed to check them."""
    rows = [
        {
            "name": line.row.name,
            "method": line.row.method,
            "oracle": line.row.oracle,
            f"target_{line.row.metric.key}": _plain(line.target),
            f"source_{line.row.metric.key}": _plain(line.source),
            **(_segmentation_scores(line) if line.row.metric.over_classes else {}),
            "gain_over_source_only": _plain(line.gain),
            "test": _plain(line.test),
            "updates": _plain(line.budget.updates),
            "seconds": line.budget.seconds,
            "stages": {str(o.seed): {r.stage: r.id for r in o.chain} for o in line.row.outcomes},
        }
        for line in lines
    ]
    return {
        "name": report.name,
        "selection": selection(*report.records[0].domains),
        "unit": "percent",
        "reference": report.reference,
        "rows": rows,
        "tests": covers(lines),
        "failures": report.failures,
        "missing": missing(report),
        "provenance": provenance(report, command),
    }


def _segmentation_scores(line: TableRow) -> dict[str, Any]:
    """Return the other scores of segmentation, and over how many images and classes mIoU is the mean."""
    images, classes = averaged_over(line.row)
    means = mean_by_class([o.last for o in line.row.outcomes])
    names = line.row.outcomes[0].last.classes or tuple(
        map(str, range(len(means) if means is not None else 0))
    )
    by_class = (
        {}
        if means is None
        else {n: None if math.isnan(v) else v for n, v in zip(names, means.tolist(), strict=True)}
    )
    others = {f"target_{key}": _plain(mean_of(line.row, key)) for key in OTHERS}
    return {**others, "target_class_iou": by_class, "test_images": images, "classes_averaged": classes}


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if value is not None else None
