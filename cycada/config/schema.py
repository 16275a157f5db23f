"""An experiment, and how it is read from its YAML file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, model_validator

from cycada.config.data import Data, data_root
from cycada.config.defaults import find_repeated, find_shadowed_defaults
from cycada.config.fields import LONGEST, Module, Name, Spec, Strict, is_name, without_null
from cycada.config.loading import COMMANDS, read_as
from cycada.config.mistakes import advice, mistakes
from cycada.config.optimizers import OptimizerConfig, Rate, ScheduleConfig
from cycada.config.precision import replace_auto
from cycada.config.settings import EvaluationConfig, Logging, Tracking
from cycada.config.stages import AugmentConfig, Loss, RampConfig, Stage
from cycada.core.bounds import Home, Seed, Whole, known_device
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.sizes import shapes_of
from cycada.core.texts import listed
from cycada.core.yaml_files import merge, override, parse_assignment

__all__ = [
    "COMMANDS",
    "LONGEST",
    "AugmentConfig",
    "Config",
    "Data",
    "EvaluationConfig",
    "Logging",
    "Loss",
    "Module",
    "Name",
    "OptimizerConfig",
    "RampConfig",
    "Rate",
    "ScheduleConfig",
    "Spec",
    "Stage",
    "Strict",
    "Tracking",
    "advice",
    "data_root",
    "digest",
    "is_name",
    "load",
    "load_config",
    "mistakes",
    "parse",
    "parse_config",
    "read_as",
    "without_null",
]


class Config(Strict):
    """One experiment: its data, its networks and its stages, in the order in which they are trained."""

    other_keys: ClassVar[tuple[str, ...]] = ("defaults", "uses")
    name: Name = Field(
        description="Name of the experiment, under which its files are found: at most 200 letters, digits "
        "and `_ - .`, with `/` between parts.",
    )
    seed: Seed = Field(
        0,
        description="Seed of everything random, from 0 to below 2^63; the same seed repeats the experiment.",
    )
    plugins: list[Module] = Field(
        [],
        description="Python modules, beside the config, in the working directory or on PYTHONPATH, that are "
        "imported first, so that the losses, networks, domains or methods in them are registered.",
    )
    data: Data = Field(description="The two domains, and the size of their images.")
    networks: dict[str, Spec] = Field(
        {},
        description="Architectures of the networks, by kind (`f`, `g`, `d`, ...) or by role (`f_t`, `d_s`, "
        "...).",
    )
    stages: dict[str, Stage] = Field(
        description="Settings of each stage, by its name of at most 100 letters, digits, `_` and `-`, in the "
        "order of training."
    )
    device: Annotated[str, AfterValidator(known_device)] = Field(
        "auto",
        description="Device to train on: `cpu`, `cuda`, `cuda:0` (or another number) or `mps`; `auto` takes "
        "a CUDA GPU if there is one.",
    )
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = Field(
        None, description="Number of CPU threads that PyTorch uses, 1 to 1024; null leaves it to PyTorch."
    )
    results: Home = Field(Path("results"), description="Folder for runs, sweeps, and the tracker's database.")
    evaluation: EvaluationConfig = Field(
        EvaluationConfig(), description="How the predictions that are scored are made."
    )
    logging: Logging = Field(
        Logging(), description="How often a stage reports, evaluates and writes checkpoints."
    )
    tracking: Tracking = Field(Tracking(), description="Experiment trackers that mirror the run folder.")
    _shadowed_defaults: tuple[str, ...] = PrivateAttr(())

    @property
    def shadowed_defaults(self) -> tuple[str, ...]:
        """Sentences about settings that change nothing, as `find_shadowed_defaults` returns them."""
        return self._shadowed_defaults

    def shapes(self, stage: Stage | None = None) -> dict[str, tuple[int, int]]:
        """Return the (height, width) of each domain's images in a stage, in pixels.

        Args:
            stage: A stage whose own `size` counts, if it has one; None takes `data.size`.

        Returns:
            `source` and `target` to (height, width).
        """
        return shapes_of(stage.size if stage and stage.size else self.data.size)

    def loads(self, stage: Stage) -> dict[str, tuple[int, int]]:
        """Return the (height, width) of each domain's training images before windows are cut, in pixels."""
        return shapes_of(stage.load_size) if stage.load_size else self.shapes(stage)

    def window(self, stage: Stage) -> tuple[int, int]:
        """Return the (height, width) of the images that a stage is trained on, in pixels."""
        return stage.crop or self.shapes(stage)["source"]

    def ancestors(self, stage: str) -> set[str]:
        """Return the names of a stage and of all stages that its networks start from, directly or not."""
        parents = {start.split(".")[0] for start in self.stages[stage].init.values() if "#" not in start}
        return {stage}.union(*(self.ancestors(parent) for parent in parents))

    @model_validator(mode="before")
    @classmethod
    def _defaults_and_removals(cls, data: Any) -> Any:
        """Merge every stage over `defaults:`, drop stages that are null, and replace `precision: auto`."""
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        defaults = data.pop("defaults", None) or {}
        if not isinstance(data.get("stages"), Mapping):
            return data
        if not isinstance(defaults, Mapping):
            raise ValueError(f"defaults: found {shown(defaults)}, expected a mapping of stage keys.")
        data["stages"] = {
            k: replace_auto(merge(defaults, v), data.get("device", "auto")) if isinstance(v, Mapping) else v
            for k, v in data["stages"].items()
            if v is not None
        }
        return data

    @model_validator(mode="after")
    def _references(self) -> Config:
        earlier: list[str] = []
        for name, stage in self.stages.items():
            if not re.fullmatch(r"[\w-]+", name) or len(name) > 100:
                raise ValueError(
                    f"stages: the name {shown(name)} may hold letters, digits, '_' and '-' only, at most 100."
                )
            for role, start in stage.init.items():
                parent = start.split(".")[0]
                if "#" not in start and parent not in earlier:
                    raise ValueError(
                        f"stages.{name}.init.{role}: {shown(start)} names no earlier "
                        f"stage.{nearest(parent, earlier)} Write STAGE.ROLE, or "
                        f"PATH/weights.safetensors#ROLE."
                    )
            earlier.append(name)
        if not earlier:
            raise ValueError("stages: found none, as one that is null is taken out; expected at least one.")
        return self


def parse_config(data: Mapping[str, Any], where: str = "config") -> Config:
    """Return the experiment that a mapping of config keys describes.

    Args:
        data: Config keys as in a YAML file, without `uses:`.
        where: What an error message begins with, such as the file's path.

    Raises:
        CycadaError: The config has mistakes: one line for each, with its path, what is wrong, and what is
            known.
    """
    if not isinstance(data, Mapping):
        raise CycadaError(
            f"{where}: found a {type(data).__name__}, expected a mapping of config keys; "
            f"cycada.load_config(FILE) reads one from a file."
        )
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise CycadaError(f"{where}\n  " + "\n  ".join(mistakes(error, _stages_with_method(data)))) from None


parse = parse_config
"""Earlier name of `parse_config`."""


def _stages_with_method(data: Mapping[str, Any]) -> list[str]:
    stages = data.get("stages")
    return (
        [n for n, stage in stages.items() if isinstance(stage, Mapping) and "method" in stage]
        if isinstance(stages, Mapping)
        else []
    )


def load_config(path: Path | str, assignments: Sequence[str] = ()) -> Config:
    """Return the experiment that a YAML file describes.

    Args:
        path: The YAML file, or the name of a shipped recipe such as `demo`; files that it names under `uses:`
            are merged under it.
        assignments: Overrides as on the command line, such as `stages.pixel.steps=100`.

    Raises:
        CycadaError: The file cannot be read, is of another kind, or has mistakes: one line for each.
    """
    shadowed: list[str] = []
    assignments = listed(assignments)

    def note(under: Mapping[str, Any], over: Mapping[str, Any]) -> None:
        shadowed.extend(find_shadowed_defaults(under, over))

    data = read_as("an experiment", path, note)
    shadowed += find_shadowed_defaults(data, override({}, assignments), partly=True)
    shadowed += find_repeated(map(parse_assignment, assignments))
    config = parse_config(override(data, assignments), str(path))
    config._shadowed_defaults = tuple(dict.fromkeys(shadowed))
    return config


load = load_config
"""Earlier name of `load_config`."""


def digest(value: Any) -> str:
    """Return a hash of a JSON-like value: 12 hex characters that do not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
