"""Records of finished stages: what a report reads of a run folder, in kilobytes, to outlive the folder.

A folder of records is laid out like a results folder: `runs/ID/`, `experiments/NAME/seedN.json` and
`sweeps/NAME.json`. It holds no weights, no paths of the machine, and no images that others made.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cycada.config.recipes import find_config
from cycada.config.schema import is_name
from cycada.core import files
from cycada.core.errors import CycadaError
from cycada.core.texts import listed
from cycada.core.yaml_files import read
from cycada.metrics.distance import proxy_a_distance
from cycada.runs.reuse import find_run
from cycada.storage.schemas import read_shaped
from cycada.storage.store import MISTAKES, RECORD, RECORDS, RunFolder

FORMAT = 1
"""Version of what a record keeps; raise it when records of finished stages have to be written again."""
DRAWN = {"rendered_digits", "streets"}
"""Domains that this project draws: pictures of them may lie in records; those of all others are not ours."""
PICTURE = 200_000
"""Largest size of a picture in a record, in bytes."""
FEATURES = 100_000
"""Largest size of all features in a record, in bytes before compression; of larger ones the A-distances are
kept."""
LOSSES = 200
"""Most rows of metrics.jsonl without scores that are kept, at even distances; rows with scores all are."""
KEPT_KEYS = re.compile(r"step|loss/.+|selection/.+|(source|target)/[^/]+|target/class_iou/.+")
"""Keys of metrics.jsonl that reports read."""
COPIED = ("scores.json", "confusion.json", "drift.json")
"""Files that a record has as they are."""
FOLDERS = re.compile(r"(?<![\w.:/~-])(?:~\w*/(?:[^/\s'\"]+/)*|/(?:[^/\s'\"]+/)+)")
"""Folders at the beginning of an absolute path within a text."""


@dataclass
class Records:
    """What was written into a folder of records.

    Attributes:
        folder: The folder.
        written: Records that were written.
        kept: Records that were there already, of the same run.
        left_out: What has no record, in words.
    """

    folder: Path
    written: list[RunFolder] = field(default_factory=list)
    kept: list[RunFolder] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add_stage(self, identity: str, results: Path, replace: bool = True) -> bool:
        """Write the record of a stage, and return whether it has one now.

        Args:
            identity: The stage's id.
            results: The folder of all results with its run folder.
            replace: Whether the record of another training of this stage is written again.

        Raises:
            CycadaError: Files of the run folder are damaged.
        """
        run, record = RunFolder(results / "runs" / identity), RunFolder(self.folder / "runs" / identity)
        if identity in {known.id for known in (*self.written, *self.kept)}:
            return True
        if is_sound(record) and not (replace and run.done and _original(run) != _about(record)["original"]):
            self.kept.append(record)
        elif run.done:
            _write(run.check(weights=False), record)
            self.written.append(record)
        else:
            return False
        return True

    def add_chain(self, run: RunFolder, results: Path) -> None:
        """Write the records of a stage and of those that it started from, where their folders are here."""
        if self.add_stage(run.id, results):
            parents = RunFolder(self.folder / "runs" / run.id).read_json("manifest.json").get("parents", {})
            for parent in parents.values():
                if "#" not in parent:
                    self.add_chain(RunFolder(results / "runs" / parent), results)

    def add_experiment(self, file: Path, name: str, results: Path, replace: bool = True) -> None:
        """Write the records of an experiment with one seed, and its summary.

        Args:
            file: The summary in the results folder, `seedN.json`.
            name: The experiment's name.
            results: The folder of all results.
            replace: See `add_stage`.
        """
        summary = read_shaped(file, "summary", "Run the experiment again.")
        added = {
            stage: self.add_stage(content["id"], results, replace)
            for stage, content in summary["stages"].items()
        }
        self.left_out += [
            f"{name}, {file.stem}: stage {stage} has no finished run folder."
            for stage, is_added in added.items()
            if not is_added
        ]
        if not any(added.values()):
            return
        stages = {
            stage: {k: v for k, v in content.items() if k in ("id", "seconds", "scores")}
            for stage, content in summary["stages"].items()
        }
        self._write_json(Path("experiments") / name / file.name, {**summary, "stages": stages})

    def add_sweep(self, sweep: Mapping[str, Any], results: Path, replace: bool = True) -> None:
        """Write the records of all cells of a sweep that are done, and the list of its cells.

        A cell counts as done where all of its stages have a record.

        Args:
            sweep: The content of results/sweeps/NAME.json.
            results: The folder of all results.
            replace: See `add_stage`.
        """
        cells = []
        for cell in sweep["cells"]:
            ids = [stage["id"] for stage in cell["stages"]]
            ran = cell["status"] == "done"
            added = (
                [self.add_stage(i, results, replace) for i in ids] if ran else [has_records(ids, self.folder)]
            )
            if all(added):
                cells.append({**cell, "status": "done", "error": None})
                continue
            why = "its run folders are gone" if ran else cell["status"]
            self.left_out.append(f"{sweep['name']}: {cell['variant']}, seed {cell['seed']}: {why}.")
            cells.append({**cell, "status": "not run"} if ran else cell)
        if any(cell["status"] == "done" for cell in cells):
            content = without_folders({**sweep, "cells": cells})
            self._write_json(Path("sweeps") / f"{sweep['name']}.json", content)

    def _write_json(self, name: Path, content: Any) -> None:
        path = self.folder / name
        files.prepare_folder(path.parent)
        files.write_json(path, content)

    @property
    def bytes(self) -> int:
        """The size of all records that were written or kept."""
        return sum(size_of(record) for record in (*self.written, *self.kept))


def record(
    what: str | Path | Iterable[str], results: Path | str = "results", to: Path | str | None = None
) -> Records:
    """Write the records of finished sweeps, experiments and runs; those that are there already are kept.

    Args:
        what: Sweeps and experiments, by name or YAML file, and runs, by id or folder, as for a report;
            one, or several.
        results: The folder of all results.
        to: The folder of records; None takes `records` in the results folder.

    Raises:
        CycadaError: Something has no finished stage, or its files are damaged.
    """
    results, what = Path(results), listed(what)
    records = Records(Path(to) if to else results / RECORDS)
    for word in what:
        name, kind = name_in(word), kind_of(word)
        sweep, experiment = results / "sweeps" / f"{name}.json", results / "experiments" / name
        if is_name(name) and kind != "experiment" and sweep.is_file():
            records.add_sweep(read_shaped(sweep, "sweep", "Run the sweep again."), results)
        elif is_name(name) and kind != "sweep" and (summaries := sorted(experiment.glob("seed*.json"))):
            for file in summaries:
                records.add_experiment(file, name, results)
        else:
            run = find_run(word, results)
            records.add_chain(run, run.path.resolve().parents[1])
    if not records.written and not records.kept:
        reasons = "".join(f" {reason}" for reason in records.left_out)
        raise CycadaError(f"Nothing to record: {', '.join(what)} has no finished stage.{reasons}")
    return records


def name_in(word: str) -> str:
    """Return the `name:` in a YAML file, or the word itself if it is no YAML file.

    Raises:
        CycadaError: The file cannot be read or has no name.
    """
    path = Path(word)
    if path.suffix not in (".yaml", ".yml"):
        return word
    name = read(find_config(path), find_config).get("name")
    if not isinstance(name, str):
        raise CycadaError(f"{path}: has no `name:`. Give an experiment's or a sweep's YAML file.")
    return name


def kind_of(word: str) -> Literal["sweep", "experiment"] | None:
    """Return what a YAML file describes, as a sweep may have the name of an experiment; None of a name."""
    path = Path(word)
    if path.suffix not in (".yaml", ".yml"):
        return None
    return "sweep" if "experiment" in read(find_config(path), find_config) else "experiment"


def has_records(ids: Iterable[str], records: Path) -> bool:
    """Return whether all of these stages have a record whose files are undamaged."""
    return all(is_sound(RunFolder(records / "runs" / identity)) for identity in ids)


def is_sound(record: RunFolder) -> bool:
    """Return whether there is a record of today's format whose files are those that were written."""
    try:
        return record.is_record and _about(record)["format"] == FORMAT and not record.changed()
    except CycadaError:
        return False


def size_of(record: RunFolder) -> int:
    """Return the size of a record in bytes."""
    return sum(path.stat().st_size for path in record.path.rglob("*") if path.is_file())


def without_folders(value: Any) -> Any:
    """Return plain values whose absolute paths are cut to their last parts, as they name this machine."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str):
        return Path(value).name or value if Path(value).is_absolute() else FOLDERS.sub("", value)
    return value


def _about(record: RunFolder) -> dict[str, Any]:
    about: dict[str, Any] = record.read_json(RECORD)
    return about


def _original(run: RunFolder) -> dict[str, str]:
    """Return the digests of the files of a run folder; those of an older version are computed."""
    return run.digests() or {name: files.file_digest(run.path / name) for name in run.parts()}


def _write(run: RunFolder, record: RunFolder) -> None:
    """Write the record of a run folder; record.json comes last, so that a half-written one does not count."""
    (record.path / RECORD).unlink(missing_ok=True)
    record.create()
    for old in record.parts():
        (record.path / old).unlink()
    experiment, stage = run.read_config()
    kept = {key: value for key, value in experiment.items() if key not in ("results", "tracking")}
    kept["data"] = {key: value for key, value in experiment["data"].items() if key != "root"}
    record.write_config(without_folders(kept), stage)
    manifest = run.read_json("manifest.json")
    environment = {k: v for k, v in manifest.get("environment", {}).items() if k != "platform"}
    record.write_json("manifest.json", without_folders({**manifest, "environment": environment}))
    for name in COPIED:
        if (run.path / name).exists():
            files.write_bytes(record.path / name, (run.path / name).read_bytes())
    rows = "".join(json.dumps(row) + "\n" for row in _rows(run.metrics()))
    files.write_text(record.path / "metrics.jsonl", rows)
    arrays = run.arrays("analysis.npz")
    features = {name: value for name, value in arrays.items() if name.startswith("feature")}
    about: dict[str, Any] = {"format": FORMAT, "original": _original(run)}
    if sum(value.nbytes for value in features.values()) > FEATURES:
        about["distances"] = _distances(features)
        arrays = {name: value for name, value in arrays.items() if name not in features}
    if arrays:
        record.write_arrays("analysis.npz", arrays)
    pictures = _last_pictures(run)
    if "grid" in pictures:
        about["grid_width"] = _width(pictures["grid"])
    if {experiment["data"][side]["name"] for side in ("source", "target")} <= DRAWN:
        for picture in pictures.values():
            if picture.stat().st_size <= PICTURE:
                files.write_bytes(record.images / picture.name, picture.read_bytes())
    record.finish_record(about)


def _rows(rows: list[dict[str, float]]) -> Iterator[dict[str, float]]:
    """Yield the rows of metrics.jsonl that a report reads, with the keys that it reads and rounded losses."""
    scored = [any(key.startswith("target/") for key in row) for row in rows]
    step = max(1, math.ceil((len(rows) - sum(scored)) / LOSSES))
    seen = 0
    for row, is_scored in zip(rows, scored, strict=True):
        seen += not is_scored
        if is_scored or (seen - 1) % step == 0:
            yield {
                key: float(f"{value:.5g}") if key.startswith("loss/") else value
                for key, value in row.items()
                if KEPT_KEYS.fullmatch(key)
            }


def _distances(features: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the A-distances to the target's features, by the side that they are the features of."""
    target = features.get("features_target")
    found = {side: features.get(f"features_{side}") for side in ("source", "translated")}
    return {
        side: proxy_a_distance(rows, target)
        for side, rows in found.items()
        if rows is not None and target is not None and min(len(rows), len(target)) >= 4
    }


def _last_pictures(run: RunFolder) -> dict[str, Path]:
    """Return the pictures that a report shows: the last of each kind."""
    kinds = {kind: sorted(run.images.glob(f"{kind}_*.png"))[-1:] for kind in ("grid", "answers")}
    kinds["mistakes"] = [path for path in (run.images / MISTAKES,) if path.exists()]
    return {kind: paths[0] for kind, paths in kinds.items() if paths}


def _width(picture: Path) -> int:
    from PIL import Image

    with Image.open(picture) as image:
        return int(image.width)
