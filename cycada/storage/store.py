"""The run folder `results/runs/<id>/`, which holds everything that is known of one stage."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cycada.core import files
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import read_plain
from cycada.storage.schemas import check_schema, read_shaped
from cycada.train.checkpoint import checkpoints

WEIGHTS = "weights.safetensors"
RECORD = "record.json"
"""File that a record has where a run folder has `done`, with the digests of its and of the run's files."""
RECORDS = "records"
"""Folder in the results folder with the records of finished stages, laid out like the results folder."""
ID = re.compile(r"[0-9a-f]{12}(-[0-9a-f]{6})?")
"""Ids of stages, which name their folders; a folder of another name is somebody's own copy."""
MISTAKES = "mistakes_target.png"
"""Image of the worst predictions on the target's test images; analysis.npz says which these are."""
PARTS = (
    "config.yaml",
    "manifest.json",
    "metrics.jsonl",
    "scores.json",
    "confusion.json",
    "analysis.npz",
    "drift.json",
    WEIGHTS,
)
"""Files of a finished stage, besides its images."""


class RunFolder:
    """Folder of one stage, with methods that write and read its files.

    While a stage is trained it holds config.yaml, manifest.json, metrics.jsonl, checkpoint-*.pt and images/.
    A finished stage also has weights.safetensors, scores.json, confusion.json, analysis.npz, drift.json where
    it translates, and `done`, which holds a digest of every other file. quality.json is measured later.

    A record of a finished stage (`cycada.runs.records`) is a run folder without weights and checkpoints, with
    record.json in place of `done`: it never counts as finished, so that nothing starts from it.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The stage's id."""
        return self.path.name

    @property
    def done(self) -> bool:
        """Whether the stage is finished."""
        return (self.path / "done").exists()

    @property
    def is_record(self) -> bool:
        """Whether it is the record of a finished stage, which holds what reports read and no weights."""
        return not self.done and (self.path / RECORD).exists()

    @property
    def images(self) -> Path:
        """The folder of the stage's images."""
        return self.path / "images"

    @property
    def remedy(self) -> str:
        """What to do about a damaged file, for messages."""
        if self.is_record:
            return f"Put it back from a copy, or delete the folder {self.path} and write the record anew."
        return f"Put it back from a copy, or delete the folder {self.path} to train the stage anew."

    def create(self) -> None:
        """Create the folders and remove what a dead process left there. The caller holds the stage's lock.

        Raises:
            CycadaError: It is a record, which training would destroy.
        """
        if self.is_record:
            raise CycadaError(f"{self._no_weights} Nothing is trained into it: name another results folder.")
        files.prepare_folder(self.path, alone=True)
        files.prepare_folder(self.images, alone=True)

    def write_json(self, name: str, value: Any, indent: int | None = 1) -> None:
        """Write a JSON file atomically."""
        files.write_json(self.path / name, value, indent=indent)

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file as plain values.

        Raises:
            CycadaError: Where it cannot be read or does not match its schema.
        """
        return read_shaped(self.path / name, name, self.remedy)

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a compressed .npz file atomically."""
        with files.write_atomically(self.path / name) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # none is named allow_pickle

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of an .npz file by name; empty where there is no such file.

        Raises:
            CycadaError: Where it cannot be read.
        """
        path = self.path / name
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:  # zip, zlib and numpy notice a damaged byte with errors of their own
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None

    def write_config(self, config: dict[str, Any], stage: str) -> None:
        """Write config.yaml with the whole experiment and the name of this stage."""
        content = {"stage": stage, "experiment": config}
        files.write_text(self.path / "config.yaml", yaml.safe_dump(content, sort_keys=False))

    def read_config(self) -> tuple[dict[str, Any], str]:
        """Return the experiment as plain values and the stage's name.

        Raises:
            CycadaError: Where config.yaml cannot be read or is not that of a run folder.
        """
        path = self.path / "config.yaml"
        try:
            data = read_plain(path.read_bytes().decode())
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            raise CycadaError(f"{path}: not readable. {self._question} {self.remedy}") from None
        match data:
            case {
                "experiment": {"data": {"source": _, "target": _}, "stages": {}} as experiment,
                "stage": str(stage),
            }:
                return experiment, stage
        raise CycadaError(f"{path}: found no `experiment` with its `stage`. {self._question} {self.remedy}")

    @property
    def _question(self) -> str:
        return f"Is {self.path} a run folder, as in results/runs/<id>?"

    def append_metrics(self, step: int, values: dict[str, float]) -> None:
        """Append a row to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def sync_metrics(self) -> None:
        """Wait until metrics.jsonl has reached the disk, before a checkpoint that relies on its rows."""
        if (self.path / "metrics.jsonl").exists():
            files.sync(self.path / "metrics.jsonl")

    def metrics(self) -> list[dict[str, float]]:
        """Return the rows of metrics.jsonl, without a last line that a killed process did not finish.

        Raises:
            CycadaError: Where it cannot be read or a row is damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            text = path.read_bytes().decode() if path.exists() else ""
        except (OSError, ValueError) as error:
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None
        *lines, unfinished = text.split("\n")
        rows = [self._parse_row(line, f"{path}, line {n}") for n, line in enumerate(lines, 1)]
        return rows + _parse_last_row(unfinished)

    def _parse_row(self, line: str, where: str) -> dict[str, float]:
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            raise CycadaError(f"{where}: not readable. {self.remedy}") from None
        row: dict[str, float] = check_schema(content, "row", where, self.remedy)
        if not isinstance(row.get("step"), int):
            raise CycadaError(f"{where}: found no step. {self.remedy}")
        return row

    def rewind_metrics(self, step: int) -> None:
        """Remove the rows of metrics.jsonl after `step`, at which the run resumes."""
        if (self.path / "metrics.jsonl").exists():
            kept = [json.dumps(row) + "\n" for row in self.metrics() if row["step"] <= step]
            files.write_text(self.path / "metrics.jsonl", "".join(kept))

    def save_weights(self, nets: dict[str, dict[str, Tensor]]) -> None:
        """Write weights.safetensors.

        Args:
            nets: Role -> state dict.
        """
        flat = {
            f"{role}.{k}": v.detach().cpu().contiguous().clone()
            for role, state in nets.items()
            for k, v in state.items()
        }
        with files.write_atomically(self.path / WEIGHTS, lasting=True) as temporary:
            try:
                save_file(flat, temporary)
            except SafetensorError as error:
                raise _as_os_error(error) from None

    def load_weights(self) -> dict[str, Tensor]:
        """Return the stored weights, named `ROLE.KEY`.

        Raises:
            CycadaError: Where they cannot be read or hold NaN.
        """
        path = self.path / WEIGHTS
        try:
            weights = load_file(path)
        except Exception as error:
            raise CycadaError(f"{path}: cannot be read ({error}). {self.remedy}") from None
        for name, value in weights.items():
            if value.is_floating_point() and torch.isnan(value).any():
                raise CycadaError(f"{path}: {name} holds values that are no numbers. {self.remedy}")
        return weights

    def parts(self) -> list[str]:
        """Return the names below the folder of those files of a finished stage that exist."""
        names = [name for name in PARTS if (self.path / name).exists()]
        return names + sorted(
            f"images/{file.name}" for file in self.images.glob("*.png") if not file.name.startswith(".")
        )

    def finish(self) -> None:
        """Write `done` with a digest of every file, after these have reached the disk.

        From then on the stage counts as finished.
        """
        digests = {}
        for name in self.parts():
            files.sync(self.path / name)
            digests[name] = files.file_digest(self.path / name)
        for folder in (self.images, self.path):
            if folder.is_dir():
                files.sync(folder)
        content = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "files": digests}
        files.write_json(self.path / "done", content, lasting=True)

    def finish_record(self, about: Mapping[str, Any]) -> None:
        """Write record.json with a digest of every file; from then on the folder counts as a record.

        Args:
            about: What else it holds; see `RecordFile`.
        """
        digests = {name: files.file_digest(self.path / name) for name in self.parts()}
        self.write_json(RECORD, {**about, "files": digests})

    @property
    def _no_weights(self) -> str:
        return (
            f"{self.path}: this is the record of a finished stage, for reports alone, and holds no {WEIGHTS}."
        )

    def digests(self) -> dict[str, str] | None:
        """Return the digests by file name; None where an older version wrote `done` without digests.

        Raises:
            CycadaError: Where `done`, or record.json of a record, is damaged.
        """
        if self.is_record:
            recorded: dict[str, str] = self.read_json(RECORD)["files"]
            return recorded
        path = self.path / "done"
        try:
            text = path.read_bytes().decode()
        except (OSError, ValueError) as error:
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None
        if text.strip() and not text.lstrip().startswith("{"):
            return None
        digests: dict[str, str] = read_shaped(path, "done", self.remedy)["files"]
        return digests

    def changed(self) -> dict[str, str]:
        """Return the files of a finished stage that are not as it wrote them, with what is wrong with each.

        Folders of older versions have no digests; there, only missing files are found.
        """
        digests = self.digests()
        if digests is None:
            return {name: "gone" for name in PARTS[:4] if not (self.path / name).is_file()}
        faults = {}
        for name, expected in digests.items():
            try:
                if files.file_digest(self.path / name) != expected:
                    faults[name] = "other bytes"
            except FileNotFoundError:
                faults[name] = "gone"
            except OSError as error:
                faults[name] = str(error.strerror)
        added = [name for name in PARTS if name not in digests and (self.path / name).exists()]
        return faults | dict.fromkeys(added, "not by the stage")

    def check(self, weights: bool = True) -> RunFolder:
        """Return this folder if its files are those that the finished stage wrote.

        Args:
            weights: Whether the weights have to be there; False where nothing is going to read them.

        Raises:
            CycadaError: Where files changed, which the message names, or are those of another run; or
                where it is a record, and weights have to be there.
        """
        if weights and self.is_record:
            raise CycadaError(
                f"{self._no_weights} To have them, run its experiment again: that trains the stage anew in "
                "the folder of all results."
            )
        stats = self._file_stats()
        if _checked.get(self.path) == stats:
            return self
        faults = self.changed()
        if not weights and faults.get(WEIGHTS) == "gone":
            del faults[WEIGHTS]
        if faults:
            listed = ", ".join(f"{name} ({fault})" for name, fault in list(faults.items())[:5])
            more = " ..." if len(faults) > 5 else ""
            raise CycadaError(
                f"{self.path}: not as the finished stage left it: {listed}{more}. It is not used. "
                + (
                    self.remedy
                    if self.is_record
                    else "Put the files back from a copy, or delete the folder to train the stage anew; "
                    f"`cycada verify {self.path}` looks closer."
                )
            )
        if ID.fullmatch(self.id) and self.digests() is not None:
            made = self.read_json("manifest.json").get("id", self.id)
            if made != self.id:
                raise CycadaError(
                    f"{self.path}: found the files of the run {made}, copied to the id of another run. It is "
                    f"not used. Call the folder {made} again, or delete it."
                )
        if weights:
            _checked[self.path] = stats
        return self

    def _file_stats(self) -> tuple[Any, ...]:
        """Return sizes, times and inodes of the files, which change whenever one of them is written."""
        stamp = RECORD if self.is_record else "done"
        stats = ((name, (self.path / name).stat()) for name in (stamp, *self.parts()))
        return tuple(
            (name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in stats
        )

    def tidy(self) -> None:
        """Remove what a dead process left in a finished stage. The caller holds the stage's lock."""
        try:
            self.create()
            for old in checkpoints(self.path):
                old.unlink()
        except OSError:
            pass  # a read-only folder holds all that is needed


_checked: dict[Path, tuple[Any, ...]] = {}
"""Folder -> `_file_stats` when it was found unchanged; a stage with many children is read once."""


def _parse_last_row(line: str) -> list[dict[str, float]]:
    """Return the row of a line without an end, if a process wrote all of it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [row] if isinstance(row, dict) and isinstance(row.get("step"), int) else []


def _as_os_error(error: Exception) -> Exception:
    """Return the error of the operating system, which safetensors hides in a text."""
    if match := re.search(r"code: (\d+).*?message: \"([^\"]*)\"", str(error)):
        return OSError(int(match[1]), match[2])
    return error


def environment() -> dict[str, str]:
    """Return the versions of Python, packages and this code, for manifests and tags."""
    return dict(_environment())


@cache
def _environment() -> Mapping[str, str]:
    """Return them as they were when the process first asked, since it runs the code of that moment."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("cycada", "torch", "torchvision", "timm", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions | {"git": git_revision()}


def git_revision() -> str:
    """Return the commit of this code, followed by `+` where files differ from it; `unknown` outside git."""
    folder = Path(__file__).parent
    try:
        head = _git("rev-parse", "HEAD", folder=folder)
        # without a lock, which the user's own git would trip over, and which a killed run would leave
        changes = _git(
            "--no-optional-locks", "status", "--porcelain", "--untracked-files=no", ".", folder=folder
        )
        return head + ("+" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*words: str, folder: Path) -> str:
    result = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return result.stdout.strip()
