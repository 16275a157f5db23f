"""Schemas of the JSON files that runs write; a file that does not match its schema counts as damaged."""

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
    """Base of the schemas: types are strict, and keys that a later version added are kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class Manifest(Stored):
    """Schema of manifest.json, which describes a stage.

    Attributes:
        stage: The stage's name.
        method: Its method.
        seed: The experiment's seed.
        steps: Training steps.
        updates: `task` and `all`: optimizer steps that train the task network, and any; empty in older runs.
        batch: Images of each domain in a step, over all processes.
        parents: Role -> id of the stage, or `file#key`, that its weights start from.
        images: Set, such as `source train` -> number of images.
        skipped: Set -> number of images that were left out.
        criteria_images: Target training images that the label-free criteria are of; None in older runs, which
            took more of them at the last step.
        environment: Versions of Python, packages and this code.
        device: What it was trained on.
        recipe: Hash of the settings without seed, data and start; see `StagePlan.recipe`.
        data_fingerprint: Hash of the data.
        seconds: Training time over all interruptions; 0 until the stage is finished.
    """

    stage: str
    method: str
    seed: Count
    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    updates: dict[str, Count] = {}
    parents: dict[str, str] = {}
    images: dict[str, Count] = {}
    skipped: dict[str, Count] = {}
    criteria_images: Count | None = None
    environment: dict[str, str] = {}
    device: str = "unknown"
    recipe: str = ""
    data_fingerprint: str = ""
    seconds: Annotated[Finite, Field(ge=0)] = 0.0


def _is_fraction(value: Any) -> bool:
    return value is None or (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    )


def _check_scores(scores: dict[str, Any]) -> dict[str, Any]:
    """Check that a domain's scores hold accuracy or mIoU and are fractions.

    Null stands where there was nothing to score.
    """
    if not {"accuracy", "miou"} & set(scores):
        raise ValueError("found neither 'accuracy' nor 'miou'.")
    for name, value in scores.items():
        if name in ("class_accuracy", "class_iou"):
            sound = isinstance(value, list) and all(map(_is_fraction, value))
        else:
            sound = _is_fraction(value) or name not in (
                "accuracy",
                "miou",
                "fwiou",
                "pixel_accuracy",
                "mean_class_accuracy",
            )
        if not sound:
            expected = "a list of shares" if name.startswith("class_") else "a share"
            raise ValueError(f"found {str(value)[:50]} for '{name}', expected {expected}.")
    return scores


class StageOfSummary(Stored):
    """Schema of a stage in a summary."""

    id: str


class Summary(Stored):
    """Schema of results/experiments/NAME/seedN.json."""

    seed: Count
    stages: dict[str, StageOfSummary]


class StageOfCell(Stored):
    """Schema of a stage in a sweep's cell."""

    name: str
    label: str = ""
    method: str
    id: str


class CellOfSweep(Stored):
    """Schema of a cell of a sweep: one variant with one seed."""

    variant: str
    seed: Count
    status: str
    error: str | None = None
    stages: list[StageOfCell]


class Sweep(Stored):
    """Schema of results/sweeps/NAME.json."""

    name: str
    file: str | None = None
    definition: str | None = None
    compare_to: str | None = None
    settled_on: list[Count] = []
    cells: list[CellOfSweep]


class Quality(Stored):
    """Schema of quality.json: measurements by what they were measured with."""

    format: int = 0
    measured: dict[str, dict[str, Any]] = {}


class Done(Stored):
    """Schema of the file `done`.

    Attributes:
        finished: When the stage was finished, in ISO 8601.
        files: Name of each file that the stage consists of -> its digest.
    """

    finished: str
    files: dict[str, str]


class RecordFile(Stored):
    """Schema of record.json, which stands in a record where a run folder has `done`.

    Attributes:
        format: Version of what a record keeps; one of another version is written again.
        original: Name of each file of the run folder, also of those that are left out -> its digest.
        files: Name of each file of the record -> its digest.
        grid_width: Width in pixels of the run folder's last image grid; 0 without one.
        distances: `source` and `translated` -> the proxy A-distance of these features and the target's.
    """

    format: int
    original: dict[str, str]
    files: dict[str, str]
    grid_width: Count = 0
    distances: dict[str, Finite] = {}


Row = Annotated[dict[str, float], Field(min_length=1)]
Scores = dict[str, Annotated[dict[str, Any], AfterValidator(_check_scores)]]
Counts = dict[str, list[list[Count]]]
SHAPES: dict[str, Any] = {
    "manifest.json": Manifest,
    "scores.json": Scores,
    "confusion.json": Counts,
    "drift.json": dict[str, Finite | None],
    "quality.json": Quality,
    "done": Done,
    "record.json": RecordFile,
    "summary": Summary,
    "sweep": Sweep,
    "row": Row,
}
"""Name of a file in a run folder, or kind of another file -> its schema."""


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(SHAPES[kind])


def check_schema(content: Any, kind: str, where: str, remedy: str) -> Any:
    """Return what was read from a file if it matches the schema of its kind.

    Args:
        content: Plain values.
        kind: A key of `SHAPES`.
        where: The file, for the message.
        remedy: What to do about a damaged file, for the message.

    Raises:
        CycadaError: Where it does not match; the message names the file, the first mistake and the remedy.
    """
    try:
        _adapter(kind).validate_python(content, strict=True)
    except (ValidationError, RecursionError) as error:
        first = mistakes(error)[0] if isinstance(error, ValidationError) else "it is nested too deeply"
        raise CycadaError(f"{where}: not what was written there ({_short(first)}). {remedy}") from None
    return content


def read_shaped(path: Path, kind: str, remedy: str) -> Any:
    """Return the content of a JSON file as plain values that match the schema of its kind.

    Args:
        path: The file.
        kind: A key of `SHAPES`.
        remedy: What to do about a damaged file, for the message.

    Raises:
        CycadaError: Where it cannot be read or does not match.
    """
    try:
        content = json.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise CycadaError(f"{path}: not readable ({_short(str(error))}). {remedy}") from None
    return check_schema(content, kind, str(path), remedy)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:200] + "…"
