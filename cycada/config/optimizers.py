"""The optimizers of a stage and the schedules of their learning rates, as an experiment sets them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cycada.config.fields import Strict
from cycada.core.bounds import Below1, Index, NonNegative, Positive, Share

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
