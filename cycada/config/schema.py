"""One YAML file is one experiment: its schema, and the messages for mistakes in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from cycada.core.bounds import (
    Angle,
    Below1,
    Count,
    Home,
    Index,
    NonNegative,
    Part,
    Positive,
    Seed,
    Share,
    Shear,
    Whole,
    at_home,
    known_device,
    takes_none,
)  # fmt: skip
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.secrets import redacted
from cycada.core.sizes import Shape, Size, shapes_of
from cycada.core.yaml_files import merge, override, read


class Strict(BaseModel):
    """Unknown keys are answered with the nearest known one. null takes a key back to its default, and an entry out of a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    null_removes_entries: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        for key in data:
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {shown(key)}.{nearest(key, cls.model_fields)}")
        kept = {k: v for k, v in data.items() if v is not None or takes_none(cls.model_fields[k].annotation)}
        if not cls.null_removes_entries:
            return kept
        return {
            k: without_null(v) if typing.get_origin(cls.model_fields[k].annotation) is dict else v
            for k, v in kept.items()
        }


def without_null(value: Any) -> Any:
    """A mapping without the entries that `key: null` takes out."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value


def is_name(value: str) -> bool:
    """Whether it may be the path of files under `results`, and cannot leave it."""
    return bool(re.fullmatch(r"[\w-][\w.=+-]*(/[\w-][\w.=+-]*)*", value)) and len(value.encode()) <= LONGEST


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError(
            f"found {shown(value)}, expected at most {LONGEST} letters, digits, '_', '-' and '.', with '/' between parts: it names files."
        )
    return value


LONGEST = 200
"""Bytes of a name: with what is put behind it, it still fits a file's name."""
Name = Annotated[str, AfterValidator(_name)]


def _module(value: str) -> str:
    """What Python can import, and no path."""
    if len(value) > LONGEST or not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(
            f"found {shown(value)}, expected the name of a module, such as my_terms or my_package.terms, whose folder is on PYTHONPATH."
        )
    return value


Module = Annotated[str, AfterValidator(_module)]


class Spec(BaseModel):
    """A name and its options: `lenet`, or `{name: lenet, dropout: 0.5}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return (
            {"name": data} if isinstance(data, str) else data
        )  # null stays: it is in the ids of stages, check_options drops it

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class RampConfig(Strict):
    """How a term's weight changes: see cycada.losses.Ramp."""

    name: Literal["constant", "linear", "fall", "dann"] = "constant"
    steps: Index = 0
    gamma: Positive = 10.0

    @model_validator(mode="after")
    def _falls_over_some_steps(self) -> RampConfig:
        if self.name == "fall" and not self.steps:
            raise ValueError(
                "`fall` without `steps` leaves nothing of the loss. Say over how many steps its weight falls to 0."
            )
        return self


class Loss(BaseModel):
    """A weight, or `{weight, ramp, phase, <options of the loss>}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    weight: NonNegative | None = None
    ramp: RampConfig = RampConfig()
    phase: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_weight(cls, data: Any) -> Any:
        return without_null(data) if isinstance(data, Mapping) else {"weight": data}

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Data(Strict):
    """size, channels: what every network sees; source and target are converted to it on loading. size: a side, or [height,

    width] for scenes, or {source: [height, width], target: [height, width]}. workers: processes that read scenes. hold:
    megabytes up to which a set of scenes stays in memory.
    """

    root: Home | None = None
    source: Spec
    target: Spec
    size: Size
    channels: Literal[1, 3]
    resize: Literal["bilinear", "bicubic", "nearest", "pad"] = "bilinear"
    download: bool = False
    workers: Annotated[Whole, Field(ge=0, le=1024)] = 0
    hold: NonNegative = 2000.0

    def resolved_root(self) -> Path:
        return self.root or data_root()


Rate = Annotated[Positive, Field(le=1e6)]
"""Far above what anything learns with, and far below what no float32 holds."""


class OptimizerConfig(Strict):
    """What is not given comes from the method's phase. head_lr: the rate of the networks' last layers, their part `head`."""

    name: Literal["adam", "adamw", "sgd"] | None = None
    lr: Rate | None = None
    betas: tuple[Below1, Below1] | None = None
    momentum: Below1 | None = None
    weight_decay: Annotated[NonNegative, Field(le=1e6)] | None = None
    head_lr: Rate | None = None


class ScheduleConfig(Strict):
    """See cycada.train.schedule.Schedule."""

    name: Literal["constant", "linear", "cosine", "poly"] = "linear"
    after: Share = 0.5
    warmup: Index = 0


class AugmentConfig(Strict):
    """Random affine maps and flips: see cycada.data.Augment. domains: which domains' training images.

    flip is refused where a mirrored image of a domain may show another class.
    """

    rotate: Angle = 0.0
    scale: Below1 = 0.0
    shear: Shear = 0.0
    shift: Below1 = 0.0
    flip: bool = False
    domains: Literal["both", "source", "target"] = "both"


class Stage(Strict):
    """One stage: a method, its losses, where its networks start from, and how long it trains.

    init: role -> `STAGE.ROLE` of this experiment, or a path to a `weights.safetensors` with `#ROLE` behind it.
    crop: (height, width) of the random windows that a stage on scenes trains on; null: whole scenes. size: what scenes are
    brought to before, instead of data.size. load_size: what training scenes alone are brought to, larger than what is cut of them;
    null: as all others. crop_area: (least, most) share of a scene that a window shows before it is scaled
    to `crop`; null: it is cut as it is.
    translate: once: the source's training images go through a frozen g_st whole, before training, and windows, mirrors and affine maps
    are taken of the results; on_the_fly: every batch goes through it as it is, after them.
    steps, epochs: one of the two. Epochs are counted in steps before anything is trained, by the images that are there
    (`cycada.planning.epochs`): passes over the labelled training set; where a generator learns, over the longer of the two
    domains' sets, as in CycleGAN's release; where a feature discriminator learns and no generator, over the shorter, as in
    ADDA's. A stage is known by
    its steps, so that 300 steps and epochs that come to 300 are the same stage. A file's `epochs` take the place of the `steps` of
    a file that it uses, and the other way round. In a stage that says `epochs` steps are 0 until they are counted.
    batch: images of each domain per step and process. networks: kind or role -> spec, over the experiment's.
    every, repeat: phase -> it runs in every so many-th step, and there so many times.
    ema: role -> what its moving average keeps a step, at most: the average warms up, step k keeps min(ema, 1 - (1 + k)^(-2/3)), which
    is 0.99 at 1,000 steps, 0.995 at 2,830 and 0.998 at 11,180. The average is what is scored and handed on.
    schedules: phase -> how its learning rate changes, where it is not as `schedule` says for all.
    """

    method: str
    losses: dict[str, Loss] = {}
    init: dict[str, str] = {}
    networks: dict[str, Spec] = {}
    options: dict[str, Any] = {}
    steps: Count = 0
    epochs: Count | None = None
    batch: Annotated[Count, Field(le=10**6)]
    optimizer: OptimizerConfig = OptimizerConfig()
    optimizers: dict[str, OptimizerConfig] = {}
    every: dict[str, Count] = {}
    repeat: dict[str, Count] = {}
    schedule: ScheduleConfig = ScheduleConfig()
    schedules: dict[str, ScheduleConfig] = {}
    precision: Literal["fp32", "bf16"] = "fp32"
    augment: AugmentConfig | None = None
    crop: Shape | None = None
    size: Size | None = None
    load_size: Size | None = None
    crop_area: tuple[Part, Part] | None = None
    translate: Literal["on_the_fly", "once"] = "on_the_fly"
    ema: dict[str, Annotated[Positive, Field(lt=1)]] = {}
    compile: bool = False

    @model_validator(mode="after")
    def _is_so_long(self) -> Stage:
        if bool(self.steps) == bool(self.epochs):
            found = (
                f"steps: {self.steps} and epochs: {self.epochs}" if self.steps else "neither steps nor epochs"
            )
            raise ValueError(f"found {found}, expected one of the two.")
        return self


class EvaluationConfig(Strict):
    """How the answers that are scored come about: see cycada.evaluation.test_time_augmentation. None of it changes what is learnt.

    window: (height, width) in pixels of windows that slide over a scene, `overlap` the share of one that the next one sees
    again; null: whole scenes. flip: also the mirror image. scales: the scene at several sizes, 1 being data.size.
    """

    window: Shape | None = None
    overlap: Below1 = 1 / 3
    flip: bool = False
    scales: tuple[Annotated[Positive, Field(le=100)], ...] = (1.0,)

    @field_validator("scales")
    @classmethod
    def _one_at_least(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("found none, expected at least one, such as [1.0].")
        return value

    def changes(self) -> dict[str, Any]:
        """What is not the default, as plain values; empty where one look at the whole scene is scored."""
        given = self.model_dump(mode="json")
        kept = {"window", "overlap"} if self.window else set()
        kept |= {
            key for key in ("flip", "scales") if getattr(self, key) != type(self).model_fields[key].default
        }
        return {key: value for key, value in given.items() if key in kept}


class Logging(Strict):
    """In steps. None of it changes what is learnt. gradients: the norm of every term's gradient, at every fifth report."""

    report_every: Count = 50
    evaluate_every: Count = 500
    checkpoint_every: Count = 500
    gradients: bool = True


class Tracking(Strict):
    """kind none: the run folder only. uri null: sqlite under the results folder. Its password is for the tracker alone, no file has it."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: str | None = Field(None, min_length=1, repr=False)

    @field_serializer("uri")
    def _no_password(self, value: str | None) -> str | None:
        return value and redacted(value)


class Config(Strict):
    """One experiment."""

    name: Name
    seed: Seed = 0
    plugins: list[Module] = []
    data: Data
    networks: dict[str, Spec] = {}
    stages: dict[str, Stage]
    device: Annotated[str, AfterValidator(known_device)] = "auto"
    threads: Annotated[Whole, Field(ge=1, le=1024)] | None = None
    results: Home = Path("results")
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: Logging = Logging()
    tracking: Tracking = Tracking()

    def shapes(self, stage: Stage | None = None) -> dict[str, tuple[int, int]]:
        """(height, width) that the source's and the target's scenes have in a stage."""
        return shapes_of(stage.size if stage and stage.size else self.data.size)

    def loads(self, stage: Stage) -> dict[str, tuple[int, int]]:
        """(height, width) that the source's and the target's training scenes have before windows are cut."""
        return shapes_of(stage.load_size) if stage.load_size else self.shapes(stage)

    def window(self, stage: Stage) -> tuple[int, int]:
        """(height, width) of a stage's training images."""
        return stage.crop or self.shapes(stage)["source"]

    def ancestors(self, stage: str) -> set[str]:
        """The stage itself and all stages that its networks start from, directly or not."""
        parents = {start.split(".")[0] for start in self.stages[stage].init.values() if "#" not in start}
        return {stage}.union(*(self.ancestors(parent) for parent in parents))

    @model_validator(mode="before")
    @classmethod
    def _defaults_and_removals(cls, data: Any) -> Any:
        """`defaults:` goes under every stage; a stage that is null is taken out."""
        if not isinstance(data, Mapping) or not isinstance(data.get("stages"), Mapping):
            return data
        data = dict(data)
        defaults = data.pop("defaults", None) or {}
        if not isinstance(defaults, Mapping):
            raise ValueError(f"defaults: found {shown(defaults)}, expected a mapping of stage keys.")
        data["stages"] = {
            k: merge(defaults, v) if isinstance(v, Mapping) else v
            for k, v in data["stages"].items()
            if v is not None
        }
        return data

    @model_validator(mode="after")
    def _references(self) -> Config:
        before: list[str] = []
        for name, stage in self.stages.items():
            if not re.fullmatch(r"[\w-]+", name) or len(name) > 100:
                raise ValueError(
                    f"stages: the name {shown(name)} may hold letters, digits, '_' and '-' only, at most 100."
                )
            for role, start in stage.init.items():
                parent = start.split(".")[0]
                if "#" not in start and parent not in before:
                    raise ValueError(
                        f"stages.{name}.init.{role}: {shown(start)} names no earlier stage.{nearest(parent, before)} "
                        f"Write STAGE.ROLE, or PATH/weights.safetensors#ROLE."
                    )
            before.append(name)
        if not before:
            raise ValueError("stages: there is none.")
        return self


def parse(data: Mapping[str, Any], where: str = "config") -> Config:
    """Raises CycadaError with one line per mistake: its path, what is wrong, what is known."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise CycadaError(f"{where}\n  " + "\n  ".join(mistakes(error, _whole_stages(data)))) from None


def _whole_stages(data: Mapping[str, Any]) -> list[str]:
    stages = data.get("stages")
    return (
        [n for n, stage in stages.items() if isinstance(stage, Mapping) and "method" in stage]
        if isinstance(stages, Mapping)
        else []
    )


def mistakes(error: ValidationError, stages: Sequence[str] = ()) -> list[str]:
    """One line per mistake: where it is, what is wrong, what was found. stages: the names that a setting may have meant."""
    lines = []
    for problem in error.errors():
        match problem["loc"]:
            case ("stages", name, "method") if problem["type"] == "missing" and stages:
                lines.append(
                    f"stages.{name}: found a stage without a method, which a new one needs.{nearest(name, stages)}"
                )
                continue
        path = ".".join(str(p) for p in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        found = (
            ""
            if problem["type"] in ("missing", "value_error")
            else f" Found {shown(problem['input'])}.{advice(problem['type'])}"
        )
        lines.append(f"{path}: {message}{found}" if path else f"{message}{found}")
    return lines


def advice(problem: str) -> str:
    """What to do about a mistake of pydantic's kind `problem`, where its message does not say it."""
    return " Put it in quotes to have it as text." if problem == "string_type" else ""


def data_root() -> Path:
    """Where data is when nothing says it: CYCADA_DATA, or `data`. Raises CycadaError."""
    try:
        return at_home(os.environ.get("CYCADA_DATA") or "data")
    except ValueError as error:
        raise CycadaError(f"CYCADA_DATA: {error}") from None


def load(path: Path | str, assignments: Sequence[str] = ()) -> Config:
    """The experiment in a YAML file, with overrides."""
    return parse(override(read_as("an experiment", path), assignments), str(path))


COMMANDS = {
    "an experiment": "`cycada run {path}` trains it.",
    "a sweep": "`cycada sweep {path}` trains it; with --dry-run it says what that would be.",
    "a class map": "It is an option of a domain: data.source={{name: mask_folder, classes: {path}, ...}}.",
    "the key of a study": "`cycada study score` wants it, with --key.",
}
"""What a YAML file may be -> what one does with it."""


def read_as(wanted: str, path: Path | str) -> dict[str, Any]:
    """A file's mapping. Raises CycadaError, with the command to use, where it is clearly of another kind than `wanted`."""
    data = read(path)
    found = _kind(data)
    if found and found != wanted:
        raise CycadaError(f"{path}: found {found}, expected {wanted}. {COMMANDS[found].format(path=path)}")
    return data


def _kind(data: Mapping[str, Any]) -> str | None:
    """What a file is by its keys; None where they do not say."""
    if data and all(_is_code(value) for value in data.values()):
        return "a class map"
    if str(data.get("format", "")).startswith("cycada-study-key"):
        return "the key of a study"
    if "stages" in data or "data" in data:
        return "an experiment"
    return "a sweep" if "experiment" in data else None


def _is_code(value: object) -> bool:
    """An id, `{ids: [...]}`, a colour, or colours, as a class has them in a class map."""
    if isinstance(value, Mapping):
        return set(value) == {"ids"}
    if isinstance(value, list):
        return bool(value) and all(_is_code(part) for part in value)
    return isinstance(value, int) and not isinstance(value, bool)


def digest(value: Any) -> str:
    """12 hex characters that depend on everything in `value` (JSON-like), not on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
