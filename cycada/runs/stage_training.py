"""Train a stage to its last step with reports, evaluations and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping

from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.profile import span
from cycada.evaluation.missing_classes import warn_of_missing_classes
from cycada.evaluation.scores import Scores
from cycada.evaluation.scoring import Evaluation, evaluate_stage
from cycada.evaluation.translation_warnings import WarnOnce
from cycada.planning.plan import StagePlan
from cycada.runs.reuse import write_analysis
from cycada.runs.stage_context import StageContext
from cycada.storage.store import RunFolder
from cycada.train import checkpoint
from cycada.train.loop import TrainState, train
from cycada.train.meter import Diverged

EVALUATIONS = 10
"""Number of evaluations of a stage after step 0, where the config does not say how far apart they are."""
HUGE = 1e6
"""Mean loss above which a warning is printed: a stage hardly learns any more."""


def train_stage(
    ctx: StageContext, plan: StagePlan, training: TrainState, folder: RunFolder, seconds: float
) -> tuple[float, Scores]:
    """Train to the last step with logs and checkpoints; return the seconds in total and the scores.

    Args:
        ctx: What the experiment's stages share.
        plan: The stage.
        training: Its state, from which training goes on.
        folder: Its run folder.
        seconds: How long it has taken before.

    Raises:
        Interrupted: After Ctrl-C, when the stage has been saved.
        Diverged: Where a loss is no longer a finite number.
    """
    logging, device, main = ctx.config.logging, ctx.device, ctx.device.main

    translation_warnings = WarnOnce(plan.name, ctx.screen.warn)
    if training.step == 0 and (message := warn_of_missing_classes(plan, training.nets, ctx.datasets, device)):
        ctx.screen.warn(f"stage {plan.name}: {message}")

    def evaluate(step: int) -> Evaluation:
        images = folder.images if main else None
        at_most = None if step == training.steps else logging.evaluation_images
        evaluation = evaluate_stage(
            plan, training.outcome(), ctx.datasets, device, images, step, at_most, logging.evaluation_images
        )
        if step:  # at step 0 a generator may be untrained
            translation_warnings.update(evaluation.translations, last=step == training.steps)
        if evaluation.undefined and step == training.steps:
            count = len(ctx.datasets.target["train"])
            ctx.screen.warn(
                f"stage {plan.name}: left out, as no finite number for {count} target training "
                f"image{'s' * (count > 1)}: the criteria {', '.join(evaluation.undefined)}."
            )
        if main and step == training.steps:
            write_analysis(ctx.config, folder, plan, training.outcome(), ctx.datasets, evaluation, device)
        return evaluation

    ctx.screen.begin(plan.name, training.step, training.steps)
    began, evaluation = time.perf_counter() - seconds, None
    evaluate_every = logging.evaluate_every or max(1, training.steps // EVALUATIONS)
    if training.step == 0 and logging.evaluate_every is None:
        values = evaluate(0).flat()
        if main:
            folder.append_metrics(0, values)
            ctx.track(plan, values | {"step": 0})
    with stop_on_signal(enabled=device.world == 1) as stopped:
        try:
            reached = training.step - training.step % logging.report_every  # the last regular report
            for report in train(training, logging.report_every, stopped.is_set, logging.gradients):
                _warn_of_huge_losses(ctx, plan, report.values)
                values = report.values | {"rate": round(report.rate, 1)}
                last = report.step == training.steps
                if last or (not report.early and _crossed(reached, report.step, evaluate_every)):
                    evaluation = evaluate(report.step)
                    values |= evaluation.flat()
                seconds = time.perf_counter() - began
                if main:
                    if not report.early:  # otherwise the curve would depend on when somebody pressed Ctrl-C
                        folder.append_metrics(report.step, values)
                        ctx.track(plan, values | {"step": report.step})
                    ctx.screen.update(report.step, report.rate, report.values)
                if last or stopped.is_set() or _crossed(reached, report.step, logging.checkpoint_every):
                    _save(training, folder, seconds, main)
                reached = report.step
        except Diverged as error:
            raise Diverged(f"stages.{plan.name}: {error}") from error
        finally:
            ctx.screen.end()
    if training.step < training.steps:
        where = f"step {training.step} of {training.steps} of stage '{plan.name}'"
        raise Interrupted(f"Stopped at {where}. The same command continues from there.")
    # there is no report where the run was killed between its last checkpoint and its end
    return seconds, (evaluation or evaluate(training.steps)).scores


def _warn_of_huge_losses(ctx: StageContext, plan: StagePlan, values: Mapping[str, float]) -> None:
    huge = {n: v for n, v in values.items() if n.startswith("loss/") and abs(v) > HUGE}
    for name, value in list(huge.items())[:1]:
        ctx.screen.warn(
            f"stage {plan.name}: {name} is {value:.3g}. Nothing is learned from so large a loss: lower lr."
        )


@span("checkpoints")
def _save(training: TrainState, folder: RunFolder, seconds: float, main: bool) -> None:
    state = training.state() | {"seconds": seconds}
    if main:
        folder.sync_metrics()
        checkpoint.save(folder.path, state)


def _crossed(before: int, now: int, every: int) -> bool:
    """Return whether a multiple of `every` lies after step `before` and not after step `now`."""
    return before // every != now // every
