"""A table of several runs' image quality, for each direction, as Markdown, CSV and JSON."""

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
"""Column -> its heading, its number of decimals, and where its value is stored.

`answers` stands for the scorer's predictions on translations (st) and for the decoded labels (ts).
"""
ANSWERS = {"st": "fcn", "ts": "labels"}
"""Direction -> the block of measurements that `answers` stands for."""
TITLES = {"st": "Source to target", "ts": "Target to source"}
"""Direction -> the title of its table."""
REFERENCES = {"untranslated": "untranslated_", "real": "real_"}
"""Rows that need no translation -> the prefix of their values."""
NAMES = {"untranslated": "untranslated", "real": "real pictures"}
"""Rows that need no translation -> how they are written."""

Value = tuple[float, float | None]
"""Mean and standard error over seeds; the error is None for a single seed."""


@dataclass(frozen=True)
class QualityRow:
    """A row of the table.

    Attributes:
        name: The name of the method.
        seeds: The seeds that the means are taken over.
        values: The values, by column.
        seconds: Seconds of training; None where nothing was trained.
    """

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, Value]
    seconds: Value | None


@dataclass(frozen=True)
class QualityTable:
    """A table of one direction.

    Attributes:
        direction: `st` or `ts`.
        rows: The runs, then the untranslated images and the real ones.
    """

    direction: str
    rows: tuple[QualityRow, ...]

    @property
    def columns(self) -> list[str]:
        """The columns that have a value in any row."""
        return [c for c in COLUMNS if any(c in row.values for row in self.rows)]

    @property
    def heads(self) -> list[str]:
        """The headings of all columns."""
        return ["method", *(COLUMNS[c][0] for c in self.columns), "seconds", "seeds"]

    def cells(self, row: QualityRow) -> list[str]:
        """Return the cells of a row as text."""
        values = [_written(row.values.get(c), COLUMNS[c][1]) for c in self.columns]
        return [row.name, *values, _written(row.seconds, 0), ", ".join(map(str, row.seeds)) or "-"]


def quality_tables(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> list[QualityTable]:
    """Make a table of each direction.

    Args:
        entries: The name of a row, and what `quality` returns for one seed of it.

    Raises:
        CycadaError: The entries were not measured alike, or a row has a seed twice.
    """
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, entry in entries:
        rows.setdefault(name, []).append(entry)
    for name, of_row in rows.items():
        seeds = [entry["seed"] for entry in of_row]
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            ids = " and ".join(entry["id"] for entry in of_row if entry["seed"] == twice[0])
            raise CycadaError(
                f"{name}: the runs {ids} have seed {twice[0]} and equal settings. Name only one of them."
            )
    everything = [entry for of_row in rows.values() for entry in of_row]
    for part in ("fcn", "features", "pixels"):
        _check_alike(part, everything)
    tables = []
    for direction in TITLES:
        translated = [row for name, of_row in rows.items() if (row := _row(name, direction, of_row)).values]
        if translated:
            tables.append(QualityTable(direction, (*translated, *_references(direction, everything))))
    return tables


def row_names(entries: Sequence[Mapping[str, Any]], settings: Sequence[str]) -> list[str]:
    """Return the name of each run's row: runs with equal settings are the seeds of one row.

    Args:
        entries: What `quality` returns for each run.
        settings: A digest of the settings of each, apart from the seed.

    Returns:
        The labels of their methods, with experiment and stage where labels are ambiguous, and with the id of
        the row's first run where that is not enough.
    """
    rows: dict[str, Mapping[str, Any]] = {}
    for entry, digest in zip(entries, settings, strict=True):
        rows.setdefault(digest, entry)
    short = [entry["label"] for entry in rows.values()]
    longer = [f"{e['label']} ({e['experiment']}, {e['stage']})" for e in rows.values()]
    names = {
        digest: label
        if short.count(label) == 1
        else name
        if longer.count(name) == 1
        else f"{name[:-1]}, {entry['id']})"
        for (digest, entry), label, name in zip(rows.items(), short, longer, strict=True)
    }
    return [names[digest] for digest in settings]


def _check_alike(part: str, everything: Sequence[Mapping[str, Any]]) -> None:
    """Raise CycadaError unless all entries have been measured with the same networks, images and sizes."""
    keys = ("images", "size", "split", "data_fingerprint")
    runs: dict[str, str] = {}
    for entry in everything:
        if protocol := entry.get(part, {}).get("protocol"):
            shared = {key: protocol[key] for key in keys}
            shared["weights"] = protocol.get(part, {}).get("weights")
            runs.setdefault(json.dumps(shared, sort_keys=True), entry["id"])
    if len(runs) > 1:
        (one, first), (two, second) = list(runs.items())[:2]
        raise CycadaError(
            f"{part}: {first} was measured with {one}, {second} with {two}. "
            "Runs that are compared must be measured alike."
        )


def _row(name: str, direction: str, entries: Sequence[Mapping[str, Any]]) -> QualityRow:
    """Average the measurements of one row over its seeds."""
    values = {}
    for column, (_, _, (where, key)) in COLUMNS.items():
        part = ANSWERS[direction] if where == "answers" else where
        numbers = [
            value
            for entry in entries
            if (value := entry.get(part, {}).get(direction, {}).get(key)) is not None
        ]
        if numbers:
            values[column] = mean_and_error(numbers)
    seeds = tuple(sorted(entry["seed"] for entry in entries))
    return QualityRow(name, seeds, values, mean_and_error([entry["seconds"] for entry in entries]))


def _references(direction: str, everything: Sequence[Mapping[str, Any]]) -> list[QualityRow]:
    """Return the rows of untranslated and real images, the same for all runs that were measured alike."""
    rows = []
    for name, prefix in REFERENCES.items():
        values: dict[str, Value] = {}
        for column, (_, _, (part, key)) in COLUMNS.items():
            for entry in everything:
                predictions = entry.get(ANSWERS[direction], {}).get(name, {})
                value = (
                    predictions.get(key)
                    if part == "answers"
                    else entry.get(part, {}).get(direction, {}).get(prefix + key)
                )
                if value is not None:
                    values.setdefault(column, (value, None))
        if values:
            rows.append(QualityRow(NAMES[name], (), values, None))
    return rows


def _written(value: Value | None, decimals: int) -> str:
    """Write a mean and its standard error; `-` where there is none."""
    if value is None:
        return "-"
    mean, error = value
    return f"{mean:.{decimals}f}" + ("" if error is None else f" ± {error:.{decimals}f}")


def notes(everything: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences about how the numbers were measured."""
    sentences = [note for note in map(_of_scorer, everything) if note] + _of_extractors(everything)
    if any(entry.get("labels") for entry in everything):
        sentences.append(
            "Labels from photos: every pixel has the class of the palette's nearest colour; `real pictures` "
            "are real label maps that are decoded in the same way."
        )
    return [*dict.fromkeys(sentences), "± is the standard error over seeds."]


def _of_scorer(entry: Mapping[str, Any]) -> str | None:
    """Return a sentence about the scorer of an entry, or None."""
    if not (protocol := entry.get("fcn", {}).get("protocol")):
        return None
    scorer, own = protocol["fcn"], protocol["fcn"].get("own_scores") or {}
    names = ("pixel_accuracy", "mean_class_accuracy", "miou", "accuracy")
    scores = (
        ", ".join(f"{name} {own[name]:.3f}" for name in names if own.get(name) is not None) or "no labels"
    )
    return (
        f"Per-pixel, per-class accuracy and IoU: scorer {scorer['role']} of run {scorer['run']} "
        f"({scorer['method']}, "
        f"weights {scorer['weights']}, {_size(scorer['size'])}; on its own test set {scores}), on "
        f"{protocol['images']['source']} translations of {_size(protocol['size']['source'])}. "
        "Another scorer gives other numbers: compare orders, not values, with papers."
    )


def _of_extractors(everything: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each extractor, with the numbers of images of both directions."""
    counts: dict[str, dict[str, None]] = {}
    few: set[str] = set()
    for features in (entry["features"] for entry in everything if entry.get("features", {}).get("protocol")):
        protocol = features["protocol"]["features"]
        origin = f"{protocol['role']} of run {protocol['run']}" if "run" in protocol else protocol["file"]
        extractor = f"{protocol['network']}, {origin}, weights {protocol['weights']}"
        for direction in (direction for direction in TITLES if direction in features):
            values = features[direction]
            counts.setdefault(extractor, {})[f"{direction} {values['n']} and {values['n_real']}"] = None
            if not values.get("fid_full_rank", True):
                few.add(extractor)
    warning = (
        " There are fewer pictures than features: FID is too large, and comparable within this table only."
    )
    return [
        f"FID, KID, structure, diversity: {extractor}; n of translations and of real pictures: "
        f"{', '.join(numbers)}." + warning * (extractor in few)
        for extractor, numbers in counts.items()
    ]


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def markdown(tables: Sequence[QualityTable], remarks: Sequence[str]) -> str:
    """Write the tables and their notes as Markdown."""
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
    """Write the tables as CSV: a line for each row and direction, with all digits and the standard errors."""
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
    """Return the tables as plain values, for JSON."""
    return [
        {
            "direction": table.direction,
            "method": row.name,
            "seeds": list(row.seeds),
            "seconds": None if row.seconds is None else list(row.seconds),
            "values": {column: list(value) for column, value in row.values.items()},
        }
        for table in tables
        for row in table.rows
    ]
