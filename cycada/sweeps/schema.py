"""The keys of a sweep's YAML file, with their ranges and descriptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from cycada.config import schema as configs
from cycada.config.schema import Strict
from cycada.core.bounds import NonNegative, PathText, Seed
from cycada.core.errors import CycadaError, shown


class Variant(Strict):
    """One row of a sweep's table: how it differs from the sweep's experiment."""

    # A row that is null changes nothing, and a setting that is null removes something from the experiment.
    null_removes_entries: ClassVar[bool] = False

    experiment: PathText | None = Field(
        None, description="Experiment file of this row; null takes that of the sweep."
    )
    stage: str | None = Field(
        None,
        description="Stage whose score the row shows; the stages that it starts from and the source-only "
        "baseline are trained with it, later ones are not. Null takes the last stage that is no oracle "
        "(`target_only`).",
    )
    set: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of config keys in this row, by key, which may be dotted (`stages.pixel.steps`).",
    )


class Terms(Strict):
    """Loss terms of one stage that rows of a sweep's table remove, add, or keep alone.

    A name without its direction stands for both: `cycle` is `cycle_s` and `cycle_t`.
    """

    stage: str = Field(description="Name of the stage.")
    terms: list[str | Annotated[list[str], Field(min_length=1)]] | dict[str, NonNegative] = Field(
        min_length=1,
        description="Names of losses, one row each, where a list of names makes one row of several; for "
        "`add_one` each name with its weight, at least 0.",
    )


Values = Annotated[list[Any], Field(min_length=1)]
"""The values of a key that is varied."""


class Sweep(Strict):
    """One sweep: variants of an experiment, each trained with every seed."""

    # A row that is null changes nothing, and a setting that is null removes something from the experiment.
    null_removes_entries: ClassVar[bool] = False

    name: str = Field(
        description="Name of the sweep's files in `results/sweeps`: at most 100 letters, digits and `_ - .`."
    )
    experiment: PathText = Field(description="YAML file of the experiment that is varied.")
    set: dict[str, Any] = Field(
        default_factory=dict,
        description="Values of config keys in all rows, by key, which may be dotted (`stages.pixel.steps`).",
    )
    seeds: list[Seed] = Field(
        default=[0], min_length=1, description="Seeds that every row is trained with, each 0 to below 2^63."
    )
    settled_on: list[Seed] = Field(
        default_factory=list,
        description="Seeds whose test scores were looked at while the recipe was settled: reports leave them "
        "out of every mean and test, and say so.",
    )
    base: str | None = Field(
        "all", description="Label of the first row, the unchanged experiment; null leaves this row out."
    )
    compare_to: str | None = Field(
        None, description="Label of the row that all others are compared with; null takes the base."
    )
    variants: dict[str, Variant] = Field(
        default_factory=dict, description="Changes of each further row, by its label; null changes nothing."
    )
    evaluations: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Settings of `evaluation` by which every row is scored once more, each by the words that "
        "follow the row's label; nothing is trained for it.",
    )
    drop_one: list[Terms] = Field(
        default_factory=list, description="Rows that each lack one of the listed losses."
    )
    add_one: list[Terms] = Field(
        default_factory=list, description="Rows that each have one of the listed losses in addition."
    )
    only_one: list[Terms] = Field(
        default_factory=list,
        description="Rows that each keep only one of the listed losses, of all that its phase has.",
    )
    vary: dict[str, Values] = Field(
        default_factory=dict,
        description="Values of config keys, by key, which are varied one at a time; each value is one row.",
    )
    grid: dict[str, Values] = Field(
        default_factory=dict,
        description="Values of config keys, by key, of which every combination is one row.",
    )
    cluster: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of submitit's executor, such as `timeout_min`, `cpus_per_task` or "
        "`slurm_partition`.",
    )

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        if not re.fullmatch(r"[\w-][\w.-]*", value) or len(value.encode()) > 100:
            raise ValueError(
                f"found {shown(value)}; a sweep's name is its file's name under results/sweeps: "
                "at most 100 letters, digits, '_', '-', '.'."
            )
        return value

    @field_validator("drop_one", "add_one", "only_one", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("variants", mode="before")
    @classmethod
    def _null_changes_nothing(cls, value: Any) -> Any:
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, Mapping) else value


def load_sweep(path: Path | str) -> Sweep:
    """Return the sweep in a YAML file.

    Raises:
        CycadaError: For mistakes in it, with one line each.
    """
    data = configs.read_as("a sweep", path, place=_place_experiments)
    try:
        return Sweep.model_validate(data)
    except ValidationError as error:
        raise CycadaError(f"{path}\n  " + "\n  ".join(configs.mistakes(error))) from None


def _place_experiments(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content of a sweep file with whole paths to the experiments that lie beside it.

    Args:
        data: The content of a file that another sweep uses.
        folder: Its folder.
    """

    def place(row: Any) -> Any:
        name = row.get("experiment") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not (folder / name).is_file():
            return row  # a recipe's name, or a mistake that is found later
        return {**row, "experiment": str((folder / name).resolve())}

    variants = data.get("variants")
    if isinstance(variants, Mapping):
        data = {**data, "variants": {label: place(row) for label, row in variants.items()}}
    return dict(place(data))
