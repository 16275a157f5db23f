"""The part `stages` of an experiment: methods, losses, augmentation and how long a stage trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from cycada.config.fields import Spec, Strict, without_null
from cycada.config.optimizers import OptimizerConfig, ScheduleConfig
from cycada.config.precision import Precision
from cycada.core.bounds import Angle, Below1, Count, Index, NonNegative, Part, Positive, Share, Shear
from cycada.core.errors import shown
from cycada.core.sizes import Shape, Size


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


class AugmentConfig(Strict):
    """Random augmentation of training images by affine maps, flips, and changes of colours (`Augment`).

    Segmentation allows all but the affine maps.
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
    random_convolution: Share = Field(
        0.0,
        description="Probability that an image is mixed with its convolution by a random kernel, which "
        "changes colours and textures and keeps shapes, in [0, 1] (RandConv, Xu et al. 2021).",
    )
    jitter: Share = Field(
        0.0,
        description="Largest relative change of brightness, contrast, saturation and hue, in [0, 1]; four "
        "images in five are changed. 0.25 is DACS's.",
    )
    blur: Annotated[NonNegative, Field(le=100)] = Field(
        0.0,
        description="Largest standard deviation of the blur, in pixels, 0 to 100; half of the images are "
        "blurred. 1.15 is DACS's.",
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
    precision: Precision = Field(
        "fp32",
        description="Floating-point precision of the forward passes: 32 bits, or bfloat16 by autocast. "
        "`auto` takes `bf16` on a GPU and on a processor that has instructions for it (AMX or AVX512-BF16), "
        "else `fp32`; ids and run folders hold which of the two it was.",
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
    compile: bool | Literal["auto"] = Field(
        False,
        description="Whether generators and discriminators are compiled with torch.compile; `auto` compiles "
        "those of a stage that is long enough to gain more than compiling takes: on a GPU, and in bf16 on a "
        "CPU with AMX.",
    )

    @field_validator("compile", mode="wrap")
    @classmethod
    def _is_true_false_or_auto(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> bool | str:
        try:
            return cast(bool | str, validate(value))
        except ValidationError:  # one for each of its types
            raise ValueError(f"found {shown(value)}, expected true, false or auto.") from None

    @model_validator(mode="after")
    def _has_steps_or_epochs(self) -> Stage:
        if bool(self.steps) == bool(self.epochs):
            found = (
                f"steps: {self.steps} and epochs: {self.epochs}" if self.steps else "neither steps nor epochs"
            )
            raise ValueError(f"found {found}, expected one of the two.")
        return self
