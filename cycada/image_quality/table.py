"""One table of several runs' translations: FCN score, labels from photos, FID, KID, structure, diversity, truth, seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cycada.core.errors import CycadaError
from cycada.metrics.statistics import mean_and_error
from cycada.render.escape import csv_lines, markdown_cell, markdown_prose, markdown_row

COLUMNS: Mapping[str, tuple[str, int, tuple[str, str]]] = {
    "pixel_accuracy": ("per-pixel acc.", 3, ("answers", "pixel_accuracy")),
    "class_accuracy": ("per-class acc.", 3, ("answers", "mean_class_accuracy")),
    "class_iou": ("class IoU", 3, ("answers", "miou")),
    "accuracy": ("accuracy", 3, ("answers", "accuracy")),
    "fid": ("FID", 2, ("features", "fid")),
    "kid": ("KID", 4, ("features", "kid")),
    "structure": ("structure", 4, ("features", "structure")),
    "diversity": ("diversity", 2, ("features", "diversity")),
    "diversity_pixels": ("diversity of pixels", 2, ("pixels", "diversity")),
    "l1": ("L1 to truth", 3, ("pixels", "l1")),
    "psnr": ("PSNR, dB", 1, ("pixels", "psnr")),
}
"""column -> its head, decimals, and where its value is. `answers`: the scorer's on translations st, decoded labels ts."""
ANSWERS = {"st": "fcn", "ts": "labels"}
TITLES = {"st": "Source to target", "ts": "Target to source"}
REFERENCES = {"untranslated": "untranslated_", "real": "real_"}
"""Rows that need no translation -> the prefix of their values."""
NAMES = {"untranslated": "untranslated", "real": "real pictures"}

Value = tuple[float, float | None]
"""Mean and standard error over seeds; None of one seed."""


@dataclass(frozen=True)
class QualityRow:
    """values: by column. seconds: of training; None where nothing was trained."""

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, Value]
    seconds: Value | None


@dataclass(frozen=True)
class QualityTable:
    """One direction. rows: the runs', then the untranslated pictures and the real ones."""

    direction: str
    rows: tuple[QualityRow, ...]

    @property
    def columns(self) -> list[str]:
        return [c for c in COLUMNS if any(c in row.values for row in self.rows)]

    @property
    def heads(self) -> list[str]:
        return ["method", *(COLUMNS[c][0] for c in self.columns), "seconds", "seeds"]

    def cells(self, row: QualityRow) -> list[str]:
        values = [_written(row.values.get(c), COLUMNS[c][1]) for c in self.columns]
        return [row.name, *values, _written(row.seconds, 0), ", ".join(map(str, row.seeds)) or "-"]


def quality_tables(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> list[QualityTable]:
    """A table a direction, of (row's name, what `quality` says of one seed). Raises CycadaError where they were not measured alike."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, found in entries:
        rows.setdefault(name, []).append(found)
    everything = [found for of in rows.values() for found in of]
    for part in ("fcn", "features", "pixels"):
        _alike(part, everything)
    tables = []
    for direction in TITLES:
        made = [row for name, of in rows.items() if (row := _row(name, direction, of)).values]
        if made:
            tables.append(QualityTable(direction, (*made, *_references(direction, everything))))
    return tables


def row_names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The label of each run's method, with experiment and stage behind where two have one label."""
    kinds = {(f["label"], f["experiment"], f["stage"]) for f in found}
    labels = [label for label, _, _ in kinds]
    return [
        f["label"] if labels.count(f["label"]) == 1 else f"{f['label']} ({f['experiment']}, {f['stage']})"
        for f in found
    ]


def _alike(part: str, everything: Sequence[Mapping[str, Any]]) -> None:
    """Numbers with other rulers, pictures or sizes stand in no common table."""
    asked = ("images", "size", "split", "data_fingerprint")
    seen: dict[str, str] = {}
    for found in everything:
        if protocol := found.get(part, {}).get("protocol"):
            what = {key: protocol[key] for key in asked} | {"weights": protocol.get(part, {}).get("weights")}
            seen.setdefault(json.dumps(what, sort_keys=True), found["id"])
    if len(seen) > 1:
        (one, first), (two, second) = list(seen.items())[:2]
        raise CycadaError(
            f"{part}: {first} was measured with {one}, {second} with {two}. What is compared must be measured alike."
        )


def _row(name: str, direction: str, of: Sequence[Mapping[str, Any]]) -> QualityRow:
    values = {}
    for column, (_, _, (where, key)) in COLUMNS.items():
        part = ANSWERS[direction] if where == "answers" else where
        numbers = [
            value for found in of if (value := found.get(part, {}).get(direction, {}).get(key)) is not None
        ]
        if numbers:
            values[column] = mean_and_error(numbers)
    seeds = tuple(sorted(found["seed"] for found in of))
    return QualityRow(name, seeds, values, mean_and_error([found["seconds"] for found in of]))


def _references(direction: str, everything: Sequence[Mapping[str, Any]]) -> list[QualityRow]:
    """What the pictures have as they were, and what real ones have: the same in every run that was measured alike."""
    rows = []
    for name, prefix in REFERENCES.items():
        values: dict[str, Value] = {}
        for column, (_, _, (part, key)) in COLUMNS.items():
            for found in everything:
                answers = found.get(ANSWERS[direction], {}).get(name, {})
                value = (
                    answers.get(key)
                    if part == "answers"
                    else found.get(part, {}).get(direction, {}).get(prefix + key)
                )
                if value is not None:
                    values.setdefault(column, (value, None))
        if values:
            rows.append(QualityRow(NAMES[name], (), values, None))
    return rows


def _written(value: Value | None, decimals: int) -> str:
    if value is None:
        return "-"
    mean, error = value
    return f"{mean:.{decimals}f}" + ("" if error is None else f" ± {error:.{decimals}f}")


def notes(everything: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the numbers came about, a sentence each."""
    found = [note for note in map(_of_scorer, everything) if note] + _of_extractors(everything)
    if any(entry.get("labels") for entry in everything):
        found.append(
            "Labels from photos: every pixel by the nearest palette colour; `real pictures` are real label maps so decoded."
        )
    return [*dict.fromkeys(found), "± is the standard error over seeds."]


def _of_scorer(entry: Mapping[str, Any]) -> str | None:
    if not (protocol := entry.get("fcn", {}).get("protocol")):
        return None
    ruler, own = protocol["fcn"], protocol["fcn"].get("own_scores") or {}
    shown = ("pixel_accuracy", "mean_class_accuracy", "miou", "accuracy")
    said = ", ".join(f"{key} {own[key]:.3f}" for key in shown if own.get(key) is not None) or "no labels"
    return (
        f"Per-pixel, per-class accuracy and IoU: scorer {ruler['role']} of run {ruler['run']} ({ruler['method']}, weights "
        f"{ruler['weights']}, {_size(ruler['size'])}; on its own test set {said}), on {protocol['images']['source']} translations of "
        f"{_size(protocol['size']['source'])}. Another scorer gives other numbers: compare orders, not values, with papers."
    )


def _of_extractors(everything: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each extractor, with the numbers of pictures of all directions: a row may have one alone."""
    counts: dict[str, dict[str, None]] = {}
    few: set[str] = set()
    for features in (entry["features"] for entry in everything if entry.get("features", {}).get("protocol")):
        ruler = features["protocol"]["features"]
        who = f"{ruler['role']} of run {ruler['run']}" if "run" in ruler else ruler["file"]
        about = f"{ruler['network']}, {who}, weights {ruler['weights']}"
        for way in (way for way in TITLES if way in features):
            counts.setdefault(about, {})[f"{way} {features[way]['n']} and {features[way]['n_real']}"] = None
            if not features[way].get("fid_full_rank", True):
                few.add(about)
    warning = " There are fewer pictures than features: FID is too large, and comparable in this table alone."
    return [
        f"FID, KID, structure, diversity: {about}; n of translations and of real pictures: {', '.join(numbers)}."
        + warning * (about in few)
        for about, numbers in counts.items()
    ]


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def markdown(tables: Sequence[QualityTable], remarks: Sequence[str]) -> str:
    lines: list[str] = []
    for table in tables:
        lines += [
            f"**{TITLES[table.direction]}**",
            "",
            markdown_row(table.heads),
            f"|---|{'---:|' * (len(table.heads) - 1)}",
        ]
        lines += [markdown_row(map(markdown_cell, table.cells(row))) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, *(f"- {markdown_prose(remark)}" for remark in remarks)]) + "\n"


def as_csv(tables: Sequence[QualityTable]) -> str:
    """A line a row and direction: numbers with all their digits, and their standard errors."""
    columns = [c for c in COLUMNS if any(c in table.columns for table in tables)]
    numbers = [*columns, "seconds"]
    lines = [["method", "direction", "seeds", *(f"{c}{end}" for c in numbers for end in ("", "_error"))]]
    for table in tables:
        for row in table.rows:
            values = dict(row.values) | ({"seconds": row.seconds} if row.seconds else {})
            pairs = [values.get(c, (None, None)) for c in numbers]
            cells = ["" if v is None else f"{v:.8g}" for pair in pairs for v in pair]
            lines.append([row.name, table.direction, " ".join(map(str, row.seeds)), *cells])
    return csv_lines(lines)


def as_plain(tables: Sequence[QualityTable]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "direction": table.direction, "method": row.name, "seeds": list(row.seeds),
            "seconds": None if row.seconds is None else list(row.seconds), "values": {c: list(v) for c, v in row.values.items()},
        }
        for table in tables for row in table.rows
    ]  # fmt: skip
