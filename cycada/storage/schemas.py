"""What the files of a run folder look like, checked as they are read: JSON of another shape is a damaged file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cycada.config.schema import mistakes
from cycada.core.errors import CycadaError

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Stored(BaseModel):
    """A number in quotes is a mistake; what a later version wrote besides stays."""

    model_config = ConfigDict(extra="allow", strict=True)


class Manifest(Stored):
    """What a stage says of itself. seconds: there once it is finished."""

    stage: str
    method: str
    seed: Count
    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    parents: dict[str, str] = {}
    images: dict[str, Count] = {}
    skipped: dict[str, Count] = {}
    environment: dict[str, str] = {}
    device: str = "unknown"
    recipe: str = ""
    data_fingerprint: str = ""
    seconds: Annotated[Finite, Field(ge=0)] = 0.0


def _is_share(value: Any) -> bool:
    return value is None or (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    )


def _of_domain(scores: dict[str, Any]) -> dict[str, Any]:
    """One headline at least; what is a share is one, and what is by class a list of them. Null: there was nothing to score."""
    if not {"accuracy", "miou"} & set(scores):
        raise ValueError("found neither 'accuracy' nor 'miou'.")
    for name, value in scores.items():
        if name in ("class_accuracy", "class_iou"):
            sound = isinstance(value, list) and all(map(_is_share, value))
        else:
            sound = _is_share(value) or name not in (
                "accuracy",
                "miou",
                "fwiou",
                "pixel_accuracy",
                "mean_class_accuracy",
            )
        if not sound:
            raise ValueError(
                f"found {str(value)[:50]} for '{name}', expected {'a list of shares' if name.startswith('class_') else 'a share'}."
            )
    return scores


class StageOfSummary(Stored):
    id: str


class Summary(Stored):
    """results/experiments/NAME/seedN.json."""

    seed: Count
    stages: dict[str, StageOfSummary]


class StageOfCell(Stored):
    name: str
    label: str = ""
    method: str
    id: str


class CellOfSweep(Stored):
    variant: str
    seed: Count
    status: str
    error: str | None = None
    stages: list[StageOfCell]


class Sweep(Stored):
    """results/sweeps/NAME.json."""

    name: str
    file: str | None = None
    compare_to: str | None = None
    cells: list[CellOfSweep]


class Quality(Stored):
    """quality.json, by what it was measured with."""

    format: int = 0
    measured: dict[str, dict[str, Any]] = {}


class Done(Stored):
    """The file `done`: when the stage was finished, and a digest of every file that it consists of."""

    finished: str
    files: dict[str, str]


Row = Annotated[dict[str, float], Field(min_length=1)]
Scores = dict[str, Annotated[dict[str, Any], AfterValidator(_of_domain)]]
Counts = dict[str, list[list[Count]]]
SHAPES: dict[str, Any] = {
    "manifest.json": Manifest, "scores.json": Scores, "confusion.json": Counts, "drift.json": dict[str, Finite | None],
    "quality.json": Quality, "done": Done, "summary": Summary, "sweep": Sweep, "row": Row,
}  # fmt: skip
"""By the name of a file in a run folder, or by what a file elsewhere is."""


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(SHAPES[kind])


def as_shaped(content: Any, kind: str, where: str, remedy: str) -> Any:
    """What was read, where it has the shape of its kind. Raises CycadaError that names the file, what is wrong, and the remedy."""
    try:
        _adapter(kind).validate_python(content, strict=True)
    except (ValidationError, RecursionError) as error:
        first = mistakes(error)[0] if isinstance(error, ValidationError) else "it is too deep"
        raise CycadaError(f"{where}: not what was written there ({_short(first)}). {remedy}") from None
    return content


def read_shaped(path: Path, kind: str, remedy: str) -> Any:
    """A JSON file as plain values, of the shape of its kind. Raises CycadaError."""
    try:
        content = json.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise CycadaError(f"{path}: not readable ({_short(str(error))}). {remedy}") from None
    return as_shaped(content, kind, str(path), remedy)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:200] + "…"
