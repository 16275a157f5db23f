"""The run folder: one stage's truth on disk. `results/runs/<id>/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from cycada.errors import CycadaError


class RunFolder:
    """config.yaml metrics.jsonl checkpoint-*.pt weights.safetensors images/ manifest.json scores.json confusion.json
    analysis.npz drift.json done"""

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

    def create(self) -> None:
        self.images.mkdir(parents=True, exist_ok=True)

    def write_json(self, name: str, value: Any) -> None:
        _write(self.path / name, json.dumps(value, indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise CycadaError(f"{path}: not readable ({error}). Delete the run folder to train the stage anew.") from None

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """A compressed .npz, whole or not at all."""
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(self.path / name)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Of an .npz, by name. Empty where there is none. Raises CycadaError."""
        path = self.path / name
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise CycadaError(f"{path}: not readable ({error}). Delete the run folder to train the stage anew.") from None

    def write_config(self, config: dict[str, Any], stage: str) -> None:
        _write(self.path / "config.yaml", yaml.safe_dump({"stage": stage, "experiment": config}, sort_keys=False))

    def read_config(self) -> tuple[dict[str, Any], str]:
        path = self.path / "config.yaml"
        try:
            data = yaml.safe_load(path.read_text())
            return data["experiment"], data["stage"]
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            raise CycadaError(f"{path}: not readable. Is {self.path} a run folder, as in results/runs/<id>?") from None

    def append_metrics(self, step: int, values: dict[str, float]) -> None:
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def metrics(self) -> list[dict[str, float]]:
        path = self.path / "metrics.jsonl"
        rows = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue  # a line that a killed process did not finish
        return rows

    def rewind_metrics(self, step: int) -> None:
        """Forget what was written after the checkpoint that the run goes on from."""
        if (self.path / "metrics.jsonl").exists():
            kept = [json.dumps(row) + "\n" for row in self.metrics() if row["step"] <= step]
            _write(self.path / "metrics.jsonl", "".join(kept))

    def save_weights(self, nets: dict[str, dict[str, Tensor]]) -> None:
        flat = {f"{role}.{k}": v.detach().cpu().contiguous().clone() for role, state in nets.items() for k, v in state.items()}
        temporary = self.path / ".weights.tmp"
        save_file(flat, temporary)
        temporary.replace(self.path / "weights.safetensors")

    def load_weights(self) -> dict[str, Tensor]:
        path = self.path / "weights.safetensors"
        try:
            return load_file(path)
        except Exception as error:
            raise CycadaError(f"{path}: cannot be read ({error}). Delete {self.path} to train the stage anew.") from None

    def finish(self) -> None:
        _write(self.path / "done", datetime.now(UTC).isoformat(timespec="seconds") + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


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
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no", ".", folder=folder) else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*words: str, folder: Path) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
