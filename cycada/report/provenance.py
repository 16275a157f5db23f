"""Where the numbers come from: commits, hardware, steps, images, seeds, commands; and what older runs could not show."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from cycada.core.errors import list_some
from cycada.report.record import Record
from cycada.report.rows import ReportData
from cycada.report.sheets import OTHERS, averaged_over, mean_of
from cycada.report.table import TableRow, covers, mean_by_class


def provenance(report: ReportData, command: str) -> dict[str, Any]:
    """Of every run behind the report, without the places where they lie."""
    records = report.records
    environments = [r.manifest.get("environment", {}) for r in records]
    return {
        "pair": " -> ".join(records[0].titles),
        "images": _different([r.manifest.get("images", {}) for r in records]),
        "selection": "last step",
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
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _stages(records: Sequence[Record]) -> dict[str, list[str]]:
    """Stage -> every `steps x batch` that it was trained with."""
    found: dict[str, list[str]] = {}
    for record in records:
        said = f"{record.manifest.get('steps', '?')} x {record.manifest.get('batch', '?')}"
        listed = found.setdefault(f"{record.stage} ({record.method})", [])
        if said not in listed:
            listed.append(said)
    return found


def missing(report: ReportData) -> list[str]:
    """What could not be shown, and how to get it."""
    found = list(report.notes)
    outcomes = [(row.name, o) for row in report.rows for o in row.outcomes]
    old = [f"{o.last.id} ({name}, seed {o.seed})" for name, o in outcomes if o.last.answers() is None]
    if old:
        found.append(
            "No answers per test image, and so no test over images, no features and no A-distance for "
            f"{list_some(old, 4)}: made by an older version. `cycada evaluate RUN` writes them (analysis.npz)."
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
        found.append(
            f"No label flips and no semantic drift of the translations {list_some(undrifted, 4)}: `cycada evaluate RUN` measures them."
        )
    unchosen = sorted(
        {
            o.last.id
            for _, o in outcomes
            if not any(k.startswith("selection/") for e in o.last.evaluations for k in e)
        }
    )
    if unchosen:
        found.append(
            f"No label-free criteria in {list_some(unchosen, 4)}: they are stored while training. "
            "Delete the run folder and run its experiment again."
        )
    if all(o.translation is None for _, o in outcomes):
        found.append("No image grids: no stage here translates images.")
    return found


def as_json(report: ReportData, lines: Sequence[TableRow], command: str) -> dict[str, Any]:
    """table.json: unrounded, with everything that is needed to trust it."""
    rows = [
        {
            "name": line.row.name,
            "method": line.row.method,
            "oracle": line.row.oracle,
            f"target_{line.row.metric.key}": _plain(line.target),
            f"source_{line.row.metric.key}": _plain(line.source),
            **(_of_scenes(line) if line.row.metric.of_pixels else {}),
            "gain_over_source_only": _plain(line.gain),
            "test": _plain(line.test),
            "stages": {str(o.seed): {r.stage: r.id for r in o.chain} for o in line.row.outcomes},
        }
        for line in lines
    ]
    return {
        "name": report.name, "selection": "last step", "unit": "percent", "reference": report.reference, "rows": rows,
        "tests": covers(lines), "failures": report.failures, "missing": missing(report), "provenance": provenance(report, command),
    }  # fmt: skip


def _of_scenes(line: TableRow) -> dict[str, Any]:
    """What mIoU is the mean of, and the other scores."""
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
