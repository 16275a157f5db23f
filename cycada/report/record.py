"""What one finished run folder says, read once and on demand. What an older folder lacks reads as None."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cycada.config import EvaluationConfig, digest
from cycada.errors import CycadaError
from cycada.methods import methods
from cycada.runs.store import RunFolder


class Record:
    """One stage's outcome on disk. Raises CycadaError where a file that is there cannot be read."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)

    @property
    def id(self) -> str:
        return self.folder.id

    @property
    def done(self) -> bool:
        return self.folder.done

    @cached_property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = self.folder.read_json("manifest.json")
        return found

    @property
    def stage(self) -> str:
        return str(self.manifest["stage"])

    @property
    def method(self) -> str:
        return str(self.manifest["method"])

    @property
    def label(self) -> str:
        """What a results table calls the outcome; the method's own name where this installation does not know it."""
        return methods[self.method].label if self.method in methods else self.method

    @property
    def seed(self) -> int:
        return int(self.manifest["seed"])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The experiment, as config.yaml has it."""
        return self.folder.read_config()[0]

    @property
    def domains(self) -> tuple[str, str]:
        """Names of source and target."""
        data = self.config["data"]
        return data["source"]["name"], data["target"]["name"]

    @cached_property
    def scores(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.folder.read_json("scores.json")
        return found

    def accuracy(self, side: str = "target") -> float | None:
        """Of the last step, in percent; None where the stage has no classifier or the domain no test labels."""
        found = self.scores.get(side, {}).get("accuracy")
        return None if found is None else 100 * found

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        return self.folder.metrics()

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl with target scores."""
        return [row for row in self.metrics if "target/accuracy" in row]

    @cached_property
    def confusion(self) -> dict[str, np.ndarray]:
        """domain -> (K, K) counts, rows are the truth. Empty where there are none."""
        return {side: np.array(count) for side, count in self._optional_json("confusion.json").items()}

    @cached_property
    def drift(self) -> dict[str, float]:
        return {k: float(v) for k, v in self._optional_json("drift.json").items() if v is not None}

    @cached_property
    def analysis(self) -> dict[str, np.ndarray]:
        """Answers on the test images, features and flips, by the names in analysis.npz. Empty where there are none."""
        path = self.folder.path / "analysis.npz"
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise CycadaError(f"{path}: not readable ({error}). Delete the run folder to train the stage anew.") from None

    @property
    def classes(self) -> tuple[str, ...] | None:
        return tuple(map(str, self.analysis["classes"])) if "classes" in self.analysis else None

    @property
    def grid(self) -> Path | None:
        """The last image grid."""
        grids = sorted(self.folder.images.glob("grid_*.png"))
        return grids[-1] if grids else None

    @cached_property
    def grid_width(self) -> int:
        """In pixels: what learns both directions shows more columns than what uses one. 0 where there is no grid."""
        if self.grid is None:
            return 0
        with Image.open(self.grid) as image:
            return int(image.width)

    def right(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Right or wrong on every target test image, (N,) bool, and their labels, (N,)."""
        if not {"predicted_target", "label_target"} <= set(self.analysis):
            return None
        label = self.analysis["label_target"]
        return self.analysis["predicted_target"] == label, label

    def ancestors(self) -> list[Record]:
        """The stages that this one started from, oldest first, as far as their folders lie beside this one."""
        found: dict[str, Record] = {}

        def visit(record: Record) -> None:
            for parent in record.manifest.get("parents", {}).values():
                other = Record(self.folder.path.parent / parent)
                if "#" not in parent and parent not in found and other.done:
                    visit(other)
                    found[parent] = other

        visit(self)
        return list(found.values())

    def settings(self) -> str:
        """A digest of what the stage and those before it were told, apart from the seed: equal for the same method, evaluated

        in the same way.
        """
        stages, data = self.config["stages"], {k: v for k, v in self.config["data"].items() if k not in ("root", "download")}
        wanted = [self.stage]
        for name in wanted:
            starts = stages[name].get("init", {}).values()
            wanted += [s.split(".")[0] for s in starts if "#" not in s and s.split(".")[0] not in wanted]
        told = {"data": data, "networks": self.config["networks"], "stages": {name: stages[name] for name in sorted(wanted)}}
        return digest(told | {"evaluation": EvaluationConfig(**self.config.get("evaluation", {})).changes()})

    def _optional_json(self, name: str) -> dict[str, Any]:
        path = self.folder.path / name
        found: dict[str, Any] = self.folder.read_json(name) if path.exists() else {}
        return found


def read_json(path: Path) -> Any:
    """Raises CycadaError."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CycadaError(f"{path}: not readable ({error}). Run its experiment or sweep again.") from None
