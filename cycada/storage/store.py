"""The run folder: one stage's truth on disk. `results/runs/<id>/`."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
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
from cycada.storage.schemas import as_shaped, read_shaped
from cycada.train.checkpoint import checkpoints

PARTS = (
    "config.yaml", "manifest.json", "metrics.jsonl", "scores.json", "confusion.json", "analysis.npz", "drift.json", "weights.safetensors",
)  # fmt: skip
"""What a finished stage consists of, with its images."""
WEIGHTS = "weights.safetensors"


class RunFolder:
    """config.yaml metrics.jsonl checkpoint-*.pt weights.safetensors images/ manifest.json scores.json confusion.json
    analysis.npz drift.json done; quality.json, which is measured later. `done` holds a digest of every file before it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def done(self) -> bool:
        return (self.path / "done").exists()

    @property
    def images(self) -> Path:
        return self.path / "images"

    @property
    def remedy(self) -> str:
        """What to do about a file that is damaged."""
        return f"Put it back from a copy, or delete the folder {self.path} to train the stage anew."

    def create(self) -> None:
        """Under the stage's lock: what is left of a process that died here goes."""
        files.ready(self.path, alone=True)
        files.ready(self.images, alone=True)

    def write_json(self, name: str, value: Any, indent: int | None = 1) -> None:
        files.write_json(self.path / name, value, indent=indent)

    def read_json(self, name: str) -> Any:
        """Plain values of the shape that the file has to have. Raises CycadaError."""
        return read_shaped(self.path / name, name, self.remedy)

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """A compressed .npz, whole or not at all."""
        with files.whole(self.path / name) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Of an .npz, by name. Empty where there is none. Raises CycadaError."""
        path = self.path / name
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except Exception as error:  # zip, zlib, numpy's own: whatever a damaged byte is noticed by
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None

    def write_config(self, config: dict[str, Any], stage: str) -> None:
        files.write_text(
            self.path / "config.yaml", yaml.safe_dump({"stage": stage, "experiment": config}, sort_keys=False)
        )

    def read_config(self) -> tuple[dict[str, Any], str]:
        """-> (the experiment, the stage's name). Raises CycadaError."""
        path = self.path / "config.yaml"
        try:
            data = yaml.safe_load(path.read_bytes().decode())
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            raise CycadaError(
                f"{path}: not readable. Is {self.path} a run folder, as in results/runs/<id>? {self.remedy}"
            ) from None
        match data:
            case {
                "experiment": {"data": {"source": _, "target": _}, "stages": {}} as experiment,
                "stage": str(stage),
            }:
                return experiment, stage
        raise CycadaError(
            f"{path}: found no `experiment` with its `stage`. Is {self.path} a run folder, as in results/runs/<id>? {self.remedy}"
        )

    def append_metrics(self, step: int, values: dict[str, float]) -> None:
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def sync_metrics(self) -> None:
        """Wait until the rows have reached the disk: the checkpoint that follows stands behind them."""
        if (self.path / "metrics.jsonl").exists():
            files.sync(self.path / "metrics.jsonl")

    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl, without a last line that a killed process did not finish. Raises CycadaError."""
        path = self.path / "metrics.jsonl"
        try:
            text = path.read_bytes().decode() if path.exists() else ""
        except (OSError, ValueError) as error:
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None
        *lines, unfinished = text.split("\n")
        return [self._row(line, f"{path}, line {n}") for n, line in enumerate(lines, 1)] + _whole_row(
            unfinished
        )

    def _row(self, line: str, where: str) -> dict[str, float]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise CycadaError(f"{where}: not readable. {self.remedy}") from None
        found: dict[str, float] = as_shaped(row, "row", where, self.remedy)
        if not isinstance(found.get("step"), int):
            raise CycadaError(f"{where}: it says of no step what it is about. {self.remedy}")
        return found

    def rewind_metrics(self, step: int) -> None:
        """Forget what was written after the checkpoint that the run goes on from."""
        if (self.path / "metrics.jsonl").exists():
            kept = [json.dumps(row) + "\n" for row in self.metrics() if row["step"] <= step]
            files.write_text(self.path / "metrics.jsonl", "".join(kept))

    def save_weights(self, nets: dict[str, dict[str, Tensor]]) -> None:
        flat = {
            f"{role}.{k}": v.detach().cpu().contiguous().clone()
            for role, state in nets.items()
            for k, v in state.items()
        }
        with files.whole(self.path / "weights.safetensors", lasting=True) as part:
            try:
                save_file(flat, part)
            except SafetensorError as error:
                raise _as_os_error(error) from None

    def load_weights(self) -> dict[str, Tensor]:
        """Raises CycadaError where they cannot be read, or are no numbers."""
        path = self.path / "weights.safetensors"
        try:
            found = load_file(path)
        except Exception as error:
            raise CycadaError(f"{path}: cannot be read ({error}). {self.remedy}") from None
        if broken := [
            name for name, value in found.items() if value.is_floating_point() and torch.isnan(value).any()
        ]:
            raise CycadaError(f"{path}: {broken[0]} holds values that are no numbers. {self.remedy}")
        return found

    def parts(self) -> list[str]:
        """The files that are there of those that a finished stage consists of, as names below the folder."""
        there = [name for name in PARTS if (self.path / name).exists()]
        return there + sorted(
            f"images/{file.name}" for file in self.images.glob("*.png") if not file.name.startswith(".")
        )

    def finish(self) -> None:
        """Write `done`, with a digest of every file, when these have reached the disk: from here on the stage is finished."""
        digests = {}
        for name in self.parts():
            files.sync(self.path / name)
            digests[name] = files.file_digest(self.path / name)
        for folder in (self.images, self.path):
            if folder.is_dir():
                files.sync(folder)
        content = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "files": digests}
        files.write_json(self.path / "done", content, lasting=True)

    def digests(self) -> dict[str, str] | None:
        """What `done` says of the files, by name; None where an older version wrote it. Raises CycadaError where it is damaged."""
        path = self.path / "done"
        try:
            text = path.read_bytes().decode()
        except (OSError, ValueError) as error:
            raise CycadaError(f"{path}: not readable ({error}). {self.remedy}") from None
        if text.strip() and not text.lstrip().startswith("{"):
            return None
        found: dict[str, str] = read_shaped(path, "done", self.remedy)["files"]
        return found

    def changed(self) -> dict[str, str]:
        """The files of a finished stage that are not as it left them -> what is wrong with each; empty where all are.

        Of an older version's folder nobody knows; there, what can be read and has its shape is believed.
        """
        digests = self.digests()
        if digests is None:
            return {name: "gone" for name in PARTS[:4] if not (self.path / name).is_file()}
        found = {}
        for name, expected in digests.items():
            try:
                if files.file_digest(self.path / name) != expected:
                    found[name] = "other bytes"
            except FileNotFoundError:
                found[name] = "gone"
            except OSError as error:
                found[name] = str(error.strerror)
        return found | {
            name: "not by the stage" for name in PARTS if name not in digests and (self.path / name).exists()
        }

    def check(self, weights: bool = True) -> RunFolder:
        """The folder itself, where its files are those that the finished stage wrote. Raises CycadaError that names those that are not.

        weights: false where they may have been left behind, since nobody is going to read them.
        """
        seen = self._seen()
        if _sound.get(self.path) == seen:
            return self
        found = self.changed()
        if not weights and found.get(WEIGHTS) == "gone":
            del found[WEIGHTS]
        if found:
            said = ", ".join(f"{name} ({what})" for name, what in list(found.items())[:5]) + (
                " ..." if len(found) > 5 else ""
            )
            raise CycadaError(
                f"{self.path}: not as the finished stage left it: {said}. It is not used. Put the files back from a copy, or delete the "
                f"folder to train the stage anew; `cycada verify {self.path}` looks closer."
            )
        if weights:
            _sound[self.path] = seen
        return self

    def _seen(self) -> tuple[Any, ...]:
        """What tells files apart that nobody has touched since they were last read."""
        stats = ((name, (self.path / name).stat()) for name in ("done", *self.parts()))
        return tuple(
            (name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in stats
        )

    def tidy(self) -> None:
        """Remove what a process that died left in a finished stage. Under the stage's lock."""
        try:
            self.create()
            for old in checkpoints(self.path):
                old.unlink()
        except OSError:
            pass  # a folder that may only be read holds all that is needed


_sound: dict[Path, tuple[Any, ...]] = {}
"""Folders that this process has found as they were left, so that a stage with many children is read once."""


def _whole_row(line: str) -> list[dict[str, float]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [row] if isinstance(row, dict) and isinstance(row.get("step"), int) else []


def _as_os_error(error: Exception) -> Exception:
    """safetensors hides what the operating system said in a text."""
    if found := re.search(r"code: (\d+).*?message: \"([^\"]*)\"", str(error)):
        return OSError(int(found[1]), found[2])
    return error


def environment() -> dict[str, str]:
    """Versions and the git revision, for manifests and tags."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("cycada", "torch", "torchvision", "timm", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"git": git_revision()}


def git_revision() -> str:
    """The commit of this code, with `+` behind it where the tree differs from it; `unknown` outside git."""
    folder = Path(__file__).parent
    try:
        head = _git("rev-parse", "HEAD", folder=folder)
        return head + (
            "+" if _git("status", "--porcelain", "--untracked-files=no", ".", folder=folder) else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*words: str, folder: Path) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()
