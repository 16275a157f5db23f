"""Schema of an experiment's YAML file, and the messages for mistakes in it."""

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

from cycada.config.recipes import find_config
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
)
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.secrets import redacted
from cycada.core.sizes import Shape, Size, shapes_of
from cycada.core.sources import look_for_modules_in
from cycada.core.yaml_files import merge, override, read


class Strict(BaseModel):
    """Base of the config models, which refuses unknown keys and suggests the nearest known one.

    The value null resets a key to its default, and removes an entry from a mapping.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    null_removes_entries: ClassVar[bool] = True
    """Whether null removes an entry from a mapping; otherwise the entry stays, with None as its value."""

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
    """Return a mapping without the entries whose value is None; return any other value unchanged."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value


def is_name(value: str) -> bool:
    """Return whether `value` may be a path of files under `results`, which it cannot leave."""
    return bool(re.fullmatch(r"[\w-][\w.=+-]*(/[\w-][\w.=+-]*)*", value)) and len(value.encode()) <= LONGEST


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError(
            f"found {shown(value)}, expected at most {LONGEST} letters, digits, '_', '-' and '.', with '/' "
            f"between parts: it names files."
        )
    return value


LONGEST = 200
"""Most bytes of a name, so that a file's name has room for what is appended to it."""
Name = Annotated[str, AfterValidator(_name)]


def _module(value: str) -> str:
    """Return `value` if it is the dotted name of a module, not a path; raise ValueError otherwise."""
    if len(value) > LONGEST or not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(
            f"found {shown(value)}, expected the name of a module, such as my_terms or my_package.terms, "
            f"beside the config, in the working directory or on PYTHONPATH."
        )
    return value


Module = Annotated[str, AfterValidator(_module)]


class Spec(BaseModel):
    """Name of a registered entry with its options: `lenet`, or `{name: lenet, dropout: 0.5}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(description="Registered name of the domain or network, as `cycada list` shows it.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        # Entries that are null stay, since they are part of stage ids; check_options drops them.
        return {"name": data} if isinstance(data, str) else data

    @property
    def options(self) -> dict[str, Any]:
        """All keys but `name`, as they were given."""
        return dict(self.model_extra or {})


class RampConfig(Strict):
    """Factor in [0, 1] on a loss's weight over the course of a stage, as `cycada.losses.Ramp` computes it."""

    name: Literal["constant", "linear", "fall", "dann"] = Field(
        "constant",
        description="Shape of the ramp: `constant` is 1, `linear` rises from 0 to 1, `fall` goes from 1 to "
        "0, and `dann` rises as in Ganin et al. 2016, section 5.2.2.",
    )
    steps: Index = Field(
        0,
        description="Number of training steps over which `linear` rises or `fall` falls, 0 to 10^9; `fall` "
        "needs at least 1.",
    )
    gamma: Positive = Field(
        10.0,
        description="Steepness of `dann`, above 0: the factor is 2 / (1 + exp(-gamma p)) - 1 at progress p "
        "in [0, 1].",
    )

    @model_validator(mode="after")
    def _falls_over_some_steps(self) -> RampConfig:
        if self.name == "fall" and not self.steps:
            raise ValueError(
                "`fall` needs `steps`: without it the weight would be 0 from the start. Set over how many "
                "steps it falls to 0."
            )
        return self


class Loss(BaseModel):
    """Settings of one loss: its weight alone, or `{weight, ramp, phase}` with the options of the loss."""

    model_config = ConfigDict(extra="allow", frozen=True)
    weight: NonNegative | None = Field(
        None,
        description="Factor on the loss, at least 0; 0 removes the loss, and null takes the method's weight, "
        "or 1 where that is 0 or missing.",
    )
    ramp: RampConfig = Field(RampConfig(), description="How the weight changes over the course of the stage.")
    phase: str | None = Field(
        None,
        description="Name of the method's phase that gets the loss; null takes the phases that list it, or "
        "else the first one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_weight(cls, data: Any) -> Any:
        return without_null(data) if isinstance(data, Mapping) else {"weight": data}

    @property
    def options(self) -> dict[str, Any]:
        """The keyword options of the loss function: all keys but `weight`, `ramp` and `phase`."""
        return dict(self.model_extra or {})


class Data(Strict):
    """The two domains, and the size and number of channels to which their images are converted on loading."""

    root: Home | None = Field(
        None,
        description="Folder that relative paths of data start from; null takes the environment variable "
        "CYCADA_DATA, or else `data`.",
    )
    source: Spec = Field(description="Labelled source domain: its name, or its name with options.")
    target: Spec = Field(
        description="Target domain, whose training labels no method but an oracle sees: its name, or its "
        "name with options."
    )
    size: Size = Field(
        description="Size of the images in pixels, 4 to 65535: one side, [height, width] for segmentation, "
        "or {source: [height, width], target: [height, width]} where the two domains differ in shape.",
    )
    channels: Literal[1, 3] = Field(
        description="Number of image channels that all networks see: 1 for grey, 3 for RGB; segmentation "
        "needs 3."
    )
    resize: Literal["bilinear", "bicubic", "nearest", "pad"] = Field(
        "bilinear",
        description="How images with image-level labels are brought to `size`: interpolated (`bilinear` and "
        "`bicubic` with antialiasing), or padded with black, which refuses larger images.",
    )
    download: bool = Field(
        False, description="Whether files that are missing are downloaded, for domains that offer a download."
    )
    workers: Annotated[Whole, Field(ge=0, le=1024)] = Field(
        0,
        description="Number of processes that read segmentation images and class folders, 0 to 1024; 0 reads "
        "them in the training process.",
    )
    hold: NonNegative = Field(
        2000.0,
        description="Largest size in megabytes up to which a segmentation dataset or a class folder is kept "
        "in memory, at least 0; larger ones, and all of them where `workers` is above 0, are read from disk "
        "at every step.",
    )

    def resolved_root(self) -> Path:
        """Return the data root: `root`, or else `data_root()`.

        Raises:
            CycadaError: CYCADA_DATA is no usable path.
        """
        return self.root or data_root()


Rate = Annotated[Positive, Field(le=1e6)]
"""Learning rate, above 0: the bound is far above any useful rate, and far below the overflow of float32."""


class OptimizerConfig(Strict):
    """Settings of an optimizer that replace those of the method's phase; null keeps the phase's own."""

    name: Literal["adam", "adamw", "sgd"] | None = Field(None, description="Kind of the optimizer.")
    lr: Rate | None = Field(None, description="Learning rate, above 0 and at most 10^6.")
    betas: tuple[Below1, Below1] | None = Field(
        None,
        description="Decay rates of the running means of the gradient and of its square, both in [0, 1); for "
        "`adam` and `adamw`.",
    )
    momentum: Below1 | None = Field(None, description="Momentum in [0, 1), for `sgd`.")
    weight_decay: Annotated[NonNegative, Field(le=1e6)] | None = Field(
        None,
        description="Weight decay, 0 to 10^6: an L2 penalty for `adam` and `sgd`, decoupled for `adamw`.",
    )
    head_lr: Rate | None = Field(
        None,
        description="Learning rate of the networks' last layers (their submodule `head`), above 0 and at "
        "most 10^6; null takes `lr`.",
    )


class ScheduleConfig(Strict):
    """Learning-rate schedule over a stage, as `cycada.train.schedule.Schedule` computes it."""

    name: Literal["constant", "linear", "cosine", "poly"] = Field(
        "linear",
        description="How the learning rate falls to 0: not at all, linearly, as half a cosine, or as "
        "`linear` to the power of 0.9.",
    )
    after: Share = Field(
        0.5,
        description="Fraction of the stage's steps in [0, 1] with the full rate, before the rate begins to "
        "fall.",
    )
    warmup: Index = Field(
        0, description="Number of first steps over which the rate rises linearly from near 0, 0 to 10^9."
    )


class AugmentConfig(Strict):
    """Random affine augmentation and horizontal flips of training images, drawn by `cycada.data.Augment`.

    Segmentation allows only `flip`.
    """

    rotate: Angle = Field(0.0, description="Largest rotation to either side, in degrees, 0 to 180.")
    scale: Below1 = Field(0.0, description="Largest relative change of the size, up or down, in [0, 1).")
    shear: Shear = Field(0.0, description="Largest shear to either side, in degrees, 0 to below 90.")
    shift: Below1 = Field(
        0.0, description="Largest shift along each axis, as a fraction of the image's side, in [0, 1)."
    )
    flip: bool = Field(
        False,
        description="Whether half of the images are mirrored, left to right; refused for domains in which a "
        "mirrored image may show another class.",
    )
    domains: Literal["both", "source", "target"] = Field(
        "both", description="Domains whose training images are augmented."
    )


class Stage(Strict):
    """One stage: a method, its losses, where its networks start from, and how long it trains.

    A stage has either `steps` or `epochs`. Epochs are converted to steps before anything is trained, by the
    number of images found (see `cycada.planning.epochs`), and the steps alone enter the stage's id: 300
    steps, and epochs that amount to 300 steps, are the same stage. The `epochs` of a file replace the `steps`
    of a file that it uses, and the other way round.
    """

    method: str = Field(description="Name of the method that the stage trains, as `cycada list` shows it.")
    losses: dict[str, Loss] = Field(
        {},
        description="Weight or settings of each loss, by its name; a loss that is not listed has the "
        "method's weight.",
    )
    init: dict[str, str] = Field(
        {},
        description="Weights that networks start from, by role: `STAGE.ROLE` of an earlier stage, or "
        "`PATH/weights.safetensors#ROLE`.",
    )
    networks: dict[str, Spec] = Field(
        {},
        description="Architectures of this stage's networks, by kind or role, in place of the experiment's.",
    )
    options: dict[str, Any] = Field(
        {}, description="Options of the method, by name, which the method's page lists."
    )
    steps: Count = Field(
        0,
        description="Number of training steps, 1 to 10^9; it stays 0 in a stage with `epochs` until they are "
        "converted.",
    )
    epochs: Count | None = Field(
        None,
        description="Number of passes over the labelled training set, 1 to 10^9, in place of `steps`; where "
        "a generator is trained, over the larger of the two domains' sets (as CycleGAN's code does), and "
        "where a feature discriminator is trained without a generator, over the smaller (as ADDA's code "
        "does).",
    )
    batch: Annotated[Count, Field(le=10**6)] = Field(
        description="Number of images of each domain in one step of one process, 1 to 10^6."
    )
    optimizer: OptimizerConfig = Field(
        OptimizerConfig(), description="Optimizer settings for all phases, over those of the method."
    )
    optimizers: dict[str, OptimizerConfig] = Field(
        {}, description="Optimizer settings of single phases, by phase, over those of `optimizer`."
    )
    every: dict[str, Count] = Field(
        {},
        description="Number n for a phase, 1 to 10^9, which then runs in every n-th step only; 1 for a phase "
        "that is not listed.",
    )
    repeat: dict[str, Count] = Field(
        {},
        description="How many times a phase runs within a step, by phase, 1 to 10^9; a phase that is not "
        "listed has the method's number.",
    )
    schedule: ScheduleConfig = Field(ScheduleConfig(), description="Learning-rate schedule of all phases.")
    schedules: dict[str, ScheduleConfig] = Field(
        {}, description="Learning-rate schedules of single phases, by phase, in place of `schedule`."
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="Floating-point precision of the forward passes: 32 bits, or bfloat16 by autocast.",
    )
    augment: AugmentConfig | None = Field(
        None, description="Augmentation of the training images; null for none."
    )
    crop: Shape | None = Field(
        None,
        description="[height, width] in pixels of the random windows that a segmentation stage is trained "
        "on; null for whole images.",
    )
    size: Size | None = Field(
        None,
        description="Size in pixels to which segmentation images are resized in this stage, in place of "
        "`data.size`.",
    )
    load_size: Size | None = Field(
        None,
        description="Size in pixels to which segmentation training images are resized before windows are cut "
        "from them; null takes the size of all other images. Evaluation does not use it.",
    )
    crop_area: tuple[Part, Part] | None = Field(
        None,
        description="[least, most] fraction of the image's area, in (0, 1], that a window covers before it "
        "is resized to `crop`; null cuts windows of exactly `crop`.",
    )
    translate: Literal["on_the_fly", "once"] = Field(
        "on_the_fly",
        description="When a frozen g_st translates the source's training images: every batch, after cropping "
        "and augmentation (`on_the_fly`), or all whole images before training, whose results are then "
        "cropped and augmented (`once`).",
    )
    ema: dict[str, Annotated[Positive, Field(lt=1)]] = Field(
        {},
        description="Largest decay, in (0, 1), of an exponential moving average (EMA) of a network's "
        "weights, by role; the average is evaluated and passed on to later stages. The decay warms up: step "
        "k uses min(ema, 1 - (1 + k)^(-2/3)), which is 0.99 at 1,000 steps, 0.995 at 2,830 and 0.998 at "
        "11,180.",
    )
    compile: bool = Field(
        False, description="Whether generators and discriminators are compiled with torch.compile."
    )

    @model_validator(mode="after")
    def _has_steps_or_epochs(self) -> Stage:
        if bool(self.steps) == bool(self.epochs):
            found = (
                f"steps: {self.steps} and epochs: {self.epochs}" if self.steps else "neither steps nor epochs"
            )
            raise ValueError(f"found {found}, expected one of the two.")
        return self


class EvaluationConfig(Strict):
    """Settings of the predictions that are scored, on which training does not depend.

    See `cycada.evaluation.test_time_augmentation` and `cycada.evaluation.target_statistics`.
    """

    window: Shape | None = Field(
        None,
        description="[height, width] in pixels of a window that slides over a segmentation image; null for "
        "the whole image at once.",
    )
    overlap: Below1 = Field(
        1 / 3, description="Fraction of a window, in [0, 1), that it shares with the next one."
    )
    flip: bool = Field(
        False, description="Whether predictions are averaged with those for the mirrored image."
    )
    scales: tuple[Annotated[Positive, Field(le=100)], ...] = Field(
        (1.0,),
        description="Factors on `data.size`, in (0, 100], at which a segmentation image is classified; the "
        "predictions are averaged.",
    )

    batch_norm: Literal["stored", "target"] = Field(
        "stored",
        description="Batch-norm statistics by which the target is scored: those that training stored, or the "
        "target's own, estimated on unlabelled target training images.",
    )

    @field_validator("scales")
    @classmethod
    def _not_empty(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("found none, expected at least one, such as [1.0].")
        return value

    def augmentation(self) -> dict[str, Any]:
        """Return the settings of test-time augmentation, the arguments of `tta`, as plain values."""
        return self.model_dump(mode="json", exclude={"batch_norm"})

    def changes(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults, as plain values.

        Returns:
            Key to value; empty where the score is that of one prediction for the whole image.
        """
        given = self.model_dump(mode="json")
        kept = {"window", "overlap"} if self.window else set()
        kept |= {
            key
            for key in ("flip", "scales", "batch_norm")
            if getattr(self, key) != type(self).model_fields[key].default
        }
        return {key: value for key, value in given.items() if key in kept}


class Logging(Strict):
    """How often a stage reports, evaluates and writes checkpoints; training does not depend on it."""

    report_every: Count = Field(50, description="Number of steps between two reports of losses, 1 to 10^9.")
    evaluate_every: Count | None = Field(
        None,
        description="Number of steps between two evaluations, 1 to 10^9, both at reports; null evaluates at "
        "step 0 and then about ten times a stage.",
    )
    checkpoint_every: Count = Field(500, description="Number of steps between two checkpoints, 1 to 10^9.")
    gradients: bool = Field(
        True, description="Whether every fifth report holds the norm of each loss's gradient."
    )


class Tracking(Strict):
    """Experiment tracker that mirrors the run folder."""

    kind: Literal["mlflow", "none"] = Field(
        "mlflow", description="Tracker that runs are sent to: MLflow, or none beside the run folder."
    )
    uri: str | None = Field(
        None,
        min_length=1,
        repr=False,
        description="Address of the MLflow server; null for an SQLite file in the results folder. A password "
        "in it is never written to a file.",
    )

    @field_serializer("uri")
    def _no_password(self, value: str | None) -> str | None:
        return value and redacted(value)


class Config(Strict):
    """One experiment: its data, its networks and its stages, in the order in which they are trained."""

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
    tracking: Tracking = Field(Tracking(), description="Experiment tracker that mirrors the run folder.")

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
        """Merge every stage over `defaults:`, and drop stages that are null."""
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
            raise ValueError("stages: there is none.")
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


def mistakes(error: ValidationError, stages: Sequence[str] = ()) -> list[str]:
    """Return one line for each mistake in a config: its path, what is wrong, and what was found.

    Args:
        error: The error that pydantic raised.
        stages: Names of complete stages, one of which a stage without a method may have been meant to be.
    """
    lines = []
    for problem in error.errors():
        match problem["loc"]:
            case ("stages", name, "method") if problem["type"] == "missing" and stages:
                lines.append(
                    f"stages.{name}: found a stage without a method, which a new one "
                    f"needs.{nearest(name, stages)}"
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
    """Return what to do about an error of pydantic's type `problem` whose message does not say it, or ''."""
    return " Put it in quotes to have it as text." if problem == "string_type" else ""


def data_root() -> Path:
    """Return the default data folder: the environment variable CYCADA_DATA, or else `data`.

    Raises:
        CycadaError: CYCADA_DATA is no usable path.
    """
    try:
        return at_home(os.environ.get("CYCADA_DATA") or "data")
    except ValueError as error:
        raise CycadaError(f"CYCADA_DATA: {error}") from None


def load_config(path: Path | str, assignments: Sequence[str] = ()) -> Config:
    """Return the experiment that a YAML file describes.

    Args:
        path: The YAML file, or the name of a shipped recipe such as `demo`; files that it names under `uses:`
            are merged under it.
        assignments: Overrides as on the command line, such as `stages.pixel.steps=100`.

    Raises:
        CycadaError: The file cannot be read, is of another kind, or has mistakes: one line for each.
    """
    return parse_config(override(read_as("an experiment", path), assignments), str(path))


load = load_config
"""Earlier name of `load_config`."""

COMMANDS = {
    "an experiment": "`cycada run {path}` trains it.",
    "a sweep": "`cycada sweep {path}` trains it; with --dry-run it says what that would be.",
    "a class map": "It is an option of a domain: data.source={{name: mask_folder, classes: {path}, ...}}.",
    "the key of a study": "`cycada study score` wants it, with --key.",
}
"""Kind of a YAML file, as messages name it, to a hint how it is used."""


def read_as(wanted: str, path: Path | str) -> dict[str, Any]:
    """Return the mapping in a YAML file, with the files that it uses merged under it.

    Args:
        wanted: The kind of file that is expected, one of `COMMANDS`.
        path: The file, or the name of a shipped recipe. Plug-ins are then also found beside it.

    Raises:
        CycadaError: The file cannot be read, or is clearly of another kind; the message then names the
            command to use.
    """
    file = find_config(path)
    data = read(file, find_config)
    if data.get("plugins"):
        look_for_modules_in(file.parent)
    kind = _kind(data)
    if kind and kind != wanted:
        raise CycadaError(f"{path}: found {kind}, expected {wanted}. {COMMANDS[kind].format(path=path)}")
    return data


def _kind(data: Mapping[str, Any]) -> str | None:
    """Return the kind of a file by its keys, one of `COMMANDS`; None where the keys do not tell."""
    if data and all(_is_class_code(value) for value in data.values()):
        return "a class map"
    if str(data.get("format", "")).startswith("cycada-study-key"):
        return "the key of a study"
    if "stages" in data or "data" in data:
        return "an experiment"
    return "a sweep" if "experiment" in data else None


def _is_class_code(value: object) -> bool:
    """Return whether `value` could stand in a class map: an id, `{ids: [...]}`, or one or more colours."""
    if isinstance(value, Mapping):
        return set(value) == {"ids"}
    if isinstance(value, list):
        return bool(value) and all(_is_class_code(part) for part in value)
    return isinstance(value, int) and not isinstance(value, bool)


def digest(value: Any) -> str:
    """Return a hash of a JSON-like value: 12 hex characters that do not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
