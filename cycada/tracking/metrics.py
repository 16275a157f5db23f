"""Rows of metrics as trackers get them: with learning rates and the names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cycada.planning.plan import StagePlan
from cycada.tracking.class_names import with_class_names
from cycada.train.schedule import Schedule


def tracked_row(row: Mapping[str, float], plan: StagePlan, classes: Sequence[str]) -> dict[str, float]:
    """Return a row of metrics.jsonl as trackers get it.

    The row's `rate`, which counts pairs of images where the stage looks at both domains, becomes
    `images_per_second`; the learning rates are those of the row's step, since a row does not hold them.

    Args:
        row: Metrics by key, with the `step`.
        plan: The stage.
        classes: The names of the classes.
    """
    values = {key: value for key, value in row.items() if key not in ("step", "rate")}
    if "rate" in row:
        values["images_per_second"] = row["rate"] * (2 if plan.needs_target else 1)
    return with_class_names(values, classes) | learning_rates(plan, int(row["step"]))


def learning_rates(plan: StagePlan, step: int) -> dict[str, float]:
    """Return the learning rate of each phase in a training step, as `learning_rate/PHASE`.

    Args:
        plan: The stage.
        step: The number of the step, from 1; before the first step there is no rate.
    """
    rates = {}
    for phase in plan.phases if step else ():
        config = phase.schedule or plan.stage.schedule
        factor = Schedule(config.name, config.after, config.warmup)(step - 1, plan.stage.steps)
        for key, name in (("lr", phase.name), ("head_lr", f"{phase.name}/head")):
            if phase.optimizer.get(key) is not None:
                rates[f"learning_rate/{name}"] = phase.optimizer[key] * factor
    return rates
