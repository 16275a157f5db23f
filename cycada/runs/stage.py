"""One stage of an experiment: reuse it, go on with it, or start it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from cycada.config.schema import Config
from cycada.core.differences import dotted
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.lock import locked
from cycada.core.progress import Progress
from cycada.data import ResizedDataset
from cycada.evaluation.missing_classes import missing_classes
from cycada.evaluation.scoring import Evaluation, Scores, evaluate_stage, flatten_scores, stored_scores
from cycada.evaluation.translation_warnings import WarnOnce
from cycada.methods import Networks
from cycada.networks import kind_of
from cycada.planning.build import Datasets, build_networks, build_training, pick, weights_from_file
from cycada.planning.plan import StagePlan
from cycada.runs.pretranslate import translate_once
from cycada.runs.rescoring import metrics_of, twin_of, weights_of
from cycada.runs.reuse import checked, write_findings
from cycada.storage.identity import weights_id
from cycada.storage.store import RunFolder, environment
from cycada.tracking.tracker import Tracker
from cycada.train import checkpoint
from cycada.train.device import Device
from cycada.train.loop import TrainState, train
from cycada.train.meter import Diverged

HUGE = 1e6
"""A mean loss beyond this is warned of: it is hardly learning any more."""


@dataclass(frozen=True)
class StageResult:
    """What a stage came to. seconds: of training, over all interruptions."""

    name: str
    method: str
    label: str
    id: str
    folder: Path
    seconds: float
    scores: Scores
    reused: bool


@dataclass(frozen=True)
class StageContext:
    """What every stage of one experiment shares; the scenes are at the size of the stage at hand."""

    config: Config
    datasets: Datasets
    device: Device
    tracker: Tracker
    screen: Progress


def run_stage(ctx: StageContext, plan: StagePlan, identity: str, ids: Mapping[str, str]) -> StageResult:
    """Reuse, go on, or start. Rank 0 alone touches the folder; two runs that want the same stage wait for one lock, and so do

    two that learn the same and are evaluated in different ways: the second takes the first one's weights.
    """
    runs = ctx.config.results / "runs"
    folder = RunFolder(runs / identity)
    if not ctx.device.main:
        return _train_stage(ctx, plan, folder, ids)
    runs.mkdir(parents=True, exist_ok=True)
    trained = weights_id(identity)
    with locked(
        runs / f"{trained}.lock",
        lambda: ctx.screen.info(f"stage {plan.name}: another run trains {trained}; waiting for it."),
    ):
        return _train_stage(ctx, plan, folder, ids)


def _train_stage(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]
) -> StageResult:
    config, device, main = ctx.config, ctx.device, ctx.device.main
    if main and folder.done:
        checked(folder, ctx.screen.warn).tidy()
    manifest = _manifest(ctx, plan, folder, ids)
    if main:
        evaluation = {"evaluation": e} if (e := plan.evaluation.changes()) else {}
        ctx.tracker.begin_stage(plan.name, folder.id, dotted(plan.identity() | evaluation), _tags(manifest))
    if device.share(folder.done if main else None):
        return _reused(ctx, plan, folder)
    if twin := device.share(twin_of(folder) if main else None):
        return _scored_again(ctx, plan, folder, manifest, twin)
    once = partial(translate_once, config.results / "translated", plan, device, ctx.screen)
    began = time.perf_counter()
    training = build_training(config, plan, ctx.datasets, device, _starts(ctx, plan, ids), once)
    seconds, state = time.perf_counter() - began, None  # of `translate: once`, above all
    if main:
        folder.create()
        state = checkpoint.load_latest(folder.path, ctx.screen.warn, training.check)
        folder.rewind_metrics(state["step"] if state else 0)
        folder.write_config(config.model_dump(mode="json"), plan.name)
        folder.write_json("manifest.json", manifest)
        for row in folder.metrics():  # steps that a killed process wrote down but did not track
            ctx.tracker.log(int(row["step"]), row)
    state = device.share(state)
    if state:
        training.load_state(state)
        seconds += state["seconds"]
        ctx.screen.info(
            f"stage {plan.name}: going on from step {training.step} of {training.steps} ({folder.path})"
        )
    seconds, scores = _train(ctx, plan, training, folder, seconds)
    if main:
        _finish(folder, training.outcome(), scores, manifest | {"seconds": round(seconds, 1)})
        ctx.tracker.end_stage(_artifacts(folder), flatten_scores(scores))
    return StageResult(
        plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, seconds, scores, reused=False
    )


def _finish(folder: RunFolder, outcome: Networks, scores: Scores, manifest: dict[str, Any]) -> None:
    """Write what others read; from here on the stage is done."""
    folder.save_weights({r: n.state_dict() for r, n in outcome.named_children() if kind_of(r) != "pool"})
    folder.write_json("scores.json", scores)
    folder.write_json("manifest.json", manifest)
    folder.finish()
    for old in checkpoint.checkpoints(folder.path):
        old.unlink()


def _scored_again(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, manifest: dict[str, Any], twin: RunFolder
) -> StageResult:
    """What the twin learnt, evaluated in this stage's way: a whole folder of its own, and nothing is trained."""
    device, datasets, main = ctx.device, ctx.datasets, ctx.device.main
    nets = build_networks(
        ctx.config, plan, len(datasets.classes), device, weights_of(twin, plan) if main else {}
    )
    if main:
        ctx.screen.info(f"stage {plan.name}: trained already ({twin.path}), now scored in another way")
        folder.create()
        folder.write_config(ctx.config.model_dump(mode="json"), plan.name)
        folder.write_json("manifest.json", manifest)
    found = evaluate_stage(plan, nets, datasets, device, folder.images if main else None, plan.stage.steps)
    if main:
        write_findings(ctx.config, folder, plan, nets, datasets, found, device)
        folder.rewind_metrics(0)
        for row in metrics_of(twin, found.flat(), plan.stage.steps):
            folder.append_metrics(int(row["step"]), row)
        manifest |= {"seconds": twin.read_json("manifest.json")["seconds"], "weights_of": twin.id}
        _finish(folder, nets, found.scores, manifest)
    return _reused(ctx, plan, folder)


def _reused(ctx: StageContext, plan: StagePlan, folder: RunFolder) -> StageResult:
    """A finished stage, read from its folder."""
    if not ctx.device.main:
        return StageResult(
            plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, 0.0, {}, reused=True
        )
    scores, seconds = stored_scores(folder), folder.read_json("manifest.json")["seconds"]
    for row in folder.metrics():
        ctx.tracker.log(int(row["step"]), row)
    ctx.tracker.end_stage(_artifacts(folder), flatten_scores(scores))
    return StageResult(
        plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, seconds, scores, reused=True
    )


def _train(
    ctx: StageContext, plan: StagePlan, training: TrainState, folder: RunFolder, seconds: float
) -> tuple[float, Scores]:
    """The loop, with what is written and shown at its reports. -> seconds so far, final scores."""
    logging, device, main = ctx.config.logging, ctx.device, ctx.device.main

    alarms = WarnOnce(plan.name, ctx.screen.warn)
    if training.step == 0 and (said := missing_classes(plan, training.nets, ctx.datasets, device)):
        ctx.screen.warn(f"stage {plan.name}: {said}")

    def evaluate(step: int) -> Evaluation:
        found = evaluate_stage(
            plan, training.outcome(), ctx.datasets, device, folder.images if main else None, step
        )
        alarms.update(found.translations, last=step == training.steps)
        if main and step == training.steps:
            write_findings(ctx.config, folder, plan, training.outcome(), ctx.datasets, found, device)
        return found

    ctx.screen.begin(plan.name, training.step, training.steps)
    began, found = time.perf_counter() - seconds, None
    with stop_on_signal(enabled=device.world == 1) as stopped:
        try:
            reached = training.step - training.step % logging.report_every  # the last report that was on time
            for report in train(training, logging.report_every, stopped.is_set, logging.gradients):
                if heavy := next(
                    (
                        name
                        for name, value in report.values.items()
                        if name.startswith("loss/") and abs(value) > HUGE
                    ),
                    "",
                ):
                    ctx.screen.warn(
                        f"stage {plan.name}: {heavy} is {report.values[heavy]:.3g}. A loss so large learns nothing: lower lr."
                    )
                values = report.values | {"rate": round(report.rate, 1)}
                last = report.step == training.steps
                if last or (not report.early and _crossed(reached, report.step, logging.evaluate_every)):
                    found = evaluate(report.step)
                    values |= found.flat()
                seconds = time.perf_counter() - began
                if main:
                    if not report.early:  # or the curve would depend on when somebody stopped
                        folder.append_metrics(report.step, values)
                        ctx.tracker.log(report.step, values)
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
        raise Interrupted(f"Stopped at {where}. The same command goes on from there.")
    # no report where the run was killed between its last checkpoint and its end
    return seconds, (found or evaluate(training.steps)).scores


def _save(training: TrainState, folder: RunFolder, seconds: float, main: bool) -> None:
    state = training.state() | {"seconds": seconds}
    if main:
        folder.sync_metrics()
        checkpoint.save(folder.path, state)


def _starts(ctx: StageContext, plan: StagePlan, ids: Mapping[str, str]) -> dict[str, dict[str, Tensor]]:
    """role -> weights to start from. Rank 0 reads; the networks are broadcast afterwards."""
    starts: dict[str, dict[str, Tensor]] = {}
    for role, start in plan.stage.init.items():
        if role not in plan.specs or not ctx.device.main:
            continue
        where = f"stages.{plan.name}.init.{role}"
        if "#" in start:
            starts[role] = weights_from_file(start, where)
        else:
            stage, _, parent_role = start.partition(".")
            parent = RunFolder(ctx.config.results / "runs" / ids[stage]).check()
            starts[role] = pick(parent.load_weights(), parent_role, where)
    return starts


def _manifest(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]
) -> dict[str, Any]:
    d = ctx.datasets
    sets = {
        f"{side} {split}": e
        for side, of in (("source", d.source), ("target", d.target))
        for split, e in of.items()
    }
    skipped = {
        name: len(e.skipped) for name, e in sets.items() if isinstance(e, ResizedDataset) and e.skipped
    }
    return {
        "id": folder.id,
        "experiment": ctx.config.name,
        "stage": plan.name,
        "method": plan.stage.method,
        "seed": ctx.config.seed,
        "recipe": plan.recipe(),
        "steps": plan.stage.steps,
        **({"epochs": plan.epochs.count} if plan.epochs else {}),
        "batch": plan.stage.batch * ctx.device.world,
        "parents": {
            role: start if "#" in start else ids[start.split(".")[0]]
            for role, start in plan.stage.init.items()
        },
        "images": {name: len(e) for name, e in sets.items()},
        **({"skipped": skipped} if skipped else {}),
        "data_fingerprint": d.fingerprint,
        "device": ctx.device.describe(),
        "selection": "last step",
        "environment": environment(),
    }


def _tags(manifest: dict[str, Any]) -> dict[str, str]:
    return {
        f"cycada.{k}": str(v) for k, v in manifest.items() if k in ("experiment", "method", "device", "seed")
    } | manifest["environment"]


def _artifacts(folder: RunFolder) -> list[Path]:
    names = (
        "config.yaml",
        "manifest.json",
        "scores.json",
        "confusion.json",
        "drift.json",
        "analysis.npz",
        "metrics.jsonl",
    )
    confusions, answers, grids = (
        sorted(folder.images.glob(f"{kind}_*.png")) for kind in ("confusion", "answers", "grid")
    )
    return (
        [folder.path / n for n in names if (folder.path / n).exists()]
        + confusions
        + answers[-1:]
        + grids[-3:]
    )


def _crossed(before: int, now: int, every: int) -> bool:
    return before // every != now // every
