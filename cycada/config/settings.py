"""The parts `evaluation`, `logging` and `tracking` of an experiment, on which training does not depend."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator

from cycada.config.fields import Strict
from cycada.core.bounds import Below1, Count, Positive
from cycada.core.errors import shown
from cycada.core.secrets import redacted
from cycada.core.sizes import Shape


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
    evaluation_images: Count = Field(
        250,
        description="Largest number of test images of a domain, spread evenly over its test set, that are "
        "scored before the last step, 1 to 10^9. After the last step all test images are scored. At every "
        "step it is also the largest number of images that each label-free criterion is of (100 for "
        "agreement, which translates them).",
    )
    checkpoint_every: Count = Field(
        500, description="Number of steps between two checkpoints, 1 to 10^9, both at reports."
    )
    gradients: bool = Field(
        True, description="Whether every fifth report holds the norm of each loss's gradient."
    )


class Tracking(Strict):
    """Experiment trackers that mirror the run folder."""

    kind: str | list[str] = Field(
        "mlflow",
        description="Trackers that runs are sent to: `mlflow`, `tensorboard`, `wandb`, or a list of several; "
        "`none` for no tracker beside the run folder.",
    )
    log_model: bool = Field(
        False, description="Whether MLflow gets the model of the last stage, for `mlflow models serve`."
    )
    uri: str | None = Field(
        None,
        min_length=1,
        repr=False,
        description="Address of the MLflow server; null for an SQLite file in the results folder. A password "
        "in it is never written to a file; of a variable, such as `$MY_SERVER`, the name alone is.",
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the trackers; empty for `none`."""
        names = [self.kind] if isinstance(self.kind, str) else self.kind
        return tuple(name for name in names if name != "none")

    @field_validator("kind")
    @classmethod
    def _names_each_once(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list) and (
            not value or len(set(value)) < len(value) or ("none" in value and len(value) > 1)
        ):
            raise ValueError(
                f"found {shown(value)}, expected one or more trackers, each once, such as "
                "[mlflow, tensorboard], or none."
            )
        return value

    @field_serializer("uri")
    def _no_password(self, value: str | None) -> str | None:
        return value and redacted(value)
