"""Run one stage of an experiment: reuse it, resume it, or start it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from torch import Tensor

from cycada.core.lock import locked
from cycada.core.profile import Profile, recording, span
from cycada.core.versions import environment
from cycada.data.development import selection
from cycada.evaluation.scores import Scores, stored_scores
from cycada.evaluation.scoring import evaluate_stage
from cycada.evaluation.tasks import EVALUATIONS
from cycada.methods import Networks
from cycada.methods.batch_statistics import batch_norms
from cycada.networks import kind_of
from cycada.planning.build import (
    build_networks,
    build_training,
    select_role_weights,
    weights_from_file,
)
from cycada.planning.plan import StagePlan
from cycada.planning.updates import count_updates
from cycada.runs.file_starts import check_file_start
from cycada.runs.pretranslate import translate_once
from cycada.runs.rescoring import find_same_weights, load_weights_by_role, replace_scores
from cycada.runs.reuse import check_run_folder, write_analysis
from cycada.runs.stage_context import StageContext, StageResult
from cycada.runs.stage_training import train_stage
from cycada.storage.identity import weights_id
from cycada.storage.store import RunFolder
from cycada.tracking.class_names import left_out
from cycada.tracking.settings import stage_description, stage_params
from cycada.train import checkpoint
from cycada.train.compiling import find_obstacle, keep_compiled

PROFILE = "profile.json"
"""File of a run folder with the profile of the process that trained the stage last."""


def run_stage(ctx: StageContext, plan: StagePlan, identity: str, ids: Mapping[str, str]) -> StageResult:
    """Reuse a finished stage, resume an unfinished one, or start it.

    Rank 0 alone touches the folder. Two runs that want the same stage share a lock; so do two stages that
    differ in their evaluation alone, of which the second takes the first one's weights.

    Args:
        ctx: What the experiment's stages share.
        plan: The stage.
        identity: Its id.
        ids: Name -> id of every stage of the experiment.

    Raises:
        Interrupted: After Ctrl-C, when the stage has been saved.
        Diverged: Where a loss is no longer a finite number.
        CycadaError: Where files that the stage needs are damaged.
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
        return _train_profiled(ctx, plan, folder, ids)


def _train_profiled(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]
) -> StageResult:
    """Train a stage, and keep and write its profile where one is wanted, also of an interrupted stage."""
    if ctx.profiles is None or folder.done:
        return _train_stage(ctx, plan, folder, ids)
    profile = ctx.profiles[plan.name] = Profile(ctx.device.synchronize)
    try:
        with recording(profile):
            return _train_stage(ctx, plan, folder, ids)
    finally:
        if folder.path.is_dir():
            whole = {"stage": plan.name, "device": ctx.device.describe(), "seconds": profile.total}
            folder.write_json(PROFILE, whole | {"parts": profile.parts()})


def _train_stage(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]
) -> StageResult:
    config, device, main = ctx.config, ctx.device, ctx.device.main
    if main and folder.done:
        check_run_folder(folder, ctx.screen.warn).tidy()
    if main:
        params, text = stage_params(config, plan, ctx.variant), stage_description(config, plan)
        ctx.tracker.begin_stage(plan.name, folder.id, params, _tags(ctx, plan), text)
    if device.share(folder.done if main else None):
        return _read_finished(ctx, plan, folder)
    manifest = _manifest(ctx, plan, folder, ids)
    if same := device.share(find_same_weights(folder) if main else None):
        return _rescore(ctx, plan, folder, manifest, same)
    plan = _compilable(ctx, plan)
    pretranslate = partial(translate_once, config.results / "translated", plan, device, ctx.screen)
    began = time.perf_counter()
    with span("preparation"):
        starts = _load_starts(ctx, plan, ids)
        training = build_training(config, plan, ctx.datasets, device, starts, pretranslate)
    _warn_of_idle_statistics(ctx, plan, training.nets)
    seconds, state = time.perf_counter() - began, None  # `translate: once` takes long here
    if main:
        folder.create()
        with span("checkpoints"):
            state = checkpoint.load_latest(folder.path, ctx.screen.warn, training.check)
        folder.rewind_metrics(state["step"] if state else -1)
        folder.write_config(config.model_dump(mode="json"), plan.name)
        folder.write_json("manifest.json", manifest)
        for row in folder.metrics():  # a killed process may have stored rows that it did not track
            ctx.track(plan, row)
    state = device.share(state)
    if state:
        training.load_state(state)
        seconds += state["seconds"]
        ctx.screen.info(
            f"stage {plan.name}: going on from step {training.step} of {training.steps} ({folder.path})"
        )
    seconds, scores = train_stage(ctx, plan, training, folder, seconds)
    if main:
        _finish(folder, training.outcome(), scores, manifest | {"seconds": round(seconds, 1)})
        ctx.track_end(folder, scores)
    return StageResult(
        plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, seconds, scores, reused=False
    )


@span("checkpoints")
def _finish(folder: RunFolder, outcome: Networks, scores: Scores, manifest: dict[str, Any]) -> None:
    """Write weights, scores, manifest and digests; from then on the stage is finished."""
    folder.save_weights({r: n.state_dict() for r, n in outcome.named_children() if kind_of(r) != "pool"})
    folder.write_json("scores.json", scores)
    folder.write_json("manifest.json", manifest)
    folder.finish()
    for old in checkpoint.checkpoints(folder.path):
        old.unlink()


def _rescore(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, manifest: dict[str, Any], same: RunFolder
) -> StageResult:
    """Score the weights of `same`, a stage that differs in its evaluation alone, into a folder of its own."""
    device, datasets, main = ctx.device, ctx.datasets, ctx.device.main
    weights = load_weights_by_role(same, plan) if main else {}
    nets = build_networks(ctx.config, plan, len(datasets.classes), device, weights)
    _warn_of_idle_statistics(ctx, plan, nets)
    if main:
        ctx.screen.info(f"stage {plan.name}: trained already ({same.path}), now scored in another way")
        folder.create()
        folder.write_config(ctx.config.model_dump(mode="json"), plan.name)
        folder.write_json("manifest.json", manifest)
    images = folder.images if main else None
    sample = ctx.config.logging.evaluation_images
    evaluation = evaluate_stage(plan, nets, datasets, device, images, plan.stage.steps, sample=sample)
    if main:
        write_analysis(ctx.config, folder, plan, nets, datasets, evaluation, device)
        folder.rewind_metrics(-1)
        for row in replace_scores(same, evaluation.flat(), plan.stage.steps):
            folder.append_metrics(int(row["step"]), row)
        manifest |= {"seconds": same.read_json("manifest.json")["seconds"], "weights_of": same.id}
        _finish(folder, nets, evaluation.scores, manifest)
    return _read_finished(ctx, plan, folder)


def _read_finished(ctx: StageContext, plan: StagePlan, folder: RunFolder) -> StageResult:
    """Return the outcome of a finished stage from its folder, and mirror it into the tracker."""
    if not ctx.device.main:
        return StageResult(
            plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, 0.0, {}, reused=True
        )
    scores, seconds = stored_scores(folder), folder.read_json("manifest.json")["seconds"]
    for row in folder.metrics():
        ctx.track(plan, row)
    ctx.track_end(folder, scores)
    return StageResult(
        plan.name, plan.stage.method, plan.method.label, folder.id, folder.path, seconds, scores, reused=True
    )


def _compilable(ctx: StageContext, plan: StagePlan) -> StagePlan:
    """Return the plan of a stage, without compiled networks where this machine cannot compile them."""
    if not plan.stage.compile:
        return plan
    keep_compiled(ctx.config.results / "cache" / "compiled")
    if (obstacle := find_obstacle(ctx.device.torch_device)) is None:
        return plan
    ctx.screen.warn(f"stage {plan.name}: compile: not compiled, as torch.compile fails here ({obstacle}).")
    return replace(plan, stage=plan.stage.model_copy(update={"compile": False}))


def _warn_of_idle_statistics(ctx: StageContext, plan: StagePlan, nets: Networks) -> None:
    if plan.evaluation.batch_norm == "target" and not batch_norms(nets) and ctx.device.main:
        ctx.screen.warn(
            f"evaluation.batch_norm: no network of stage {plan.name} has batch norm. It has no effect. Take "
            "it out."
        )


def _load_starts(ctx: StageContext, plan: StagePlan, ids: Mapping[str, str]) -> dict[str, dict[str, Tensor]]:
    """Return role -> weights to start from. Rank 0 reads them; the networks are broadcast afterwards."""
    starts: dict[str, dict[str, Tensor]] = {}
    for role, start in plan.stage.init.items():
        if role not in plan.specs or not ctx.device.main:
            continue
        where = f"stages.{plan.name}.init.{role}"
        if "#" in start:
            for warning in check_file_start(start, role, ctx.known.classes, where):
                ctx.screen.warn(warning)
            starts[role] = weights_from_file(start, where)
        else:
            stage, _, parent_role = start.partition(".")
            parent = RunFolder(ctx.config.results / "runs" / ids[stage]).check()
            starts[role] = select_role_weights(parent.load_weights(), parent_role, where)
    return starts


def _manifest(
    ctx: StageContext, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]
) -> dict[str, Any]:
    sides = {"source": ctx.datasets.source, "target": ctx.datasets.target}
    sets = {f"{side} {split}": images for side, splits in sides.items() for split, images in splits.items()}
    skipped = {name: len(images.skipped) for name, images in sets.items() if images.skipped}
    return {
        "id": folder.id,
        "experiment": ctx.config.name,
        "stage": plan.name,
        "method": plan.stage.method,
        "seed": ctx.config.seed,
        "recipe": plan.recipe(),
        "steps": plan.stage.steps,
        "updates": asdict(count_updates(plan)),
        **({"epochs": plan.epochs.count} if plan.epochs else {}),
        "batch": plan.stage.batch * ctx.device.world,
        "parents": {
            role: start if "#" in start else ids[start.split(".")[0]]
            for role, start in plan.stage.init.items()
        },
        "images": {name: len(images) for name, images in sets.items()},
        **({"skipped": skipped} if skipped else {}),
        "criteria_images": EVALUATIONS[ctx.datasets.task].sample_size(
            len(ctx.datasets.target["train"]), ctx.config.logging.evaluation_images
        ),
        "data_fingerprint": ctx.datasets.fingerprint,
        "device": ctx.device.describe(),
        "selection": selection(ctx.config.data.source.name, ctx.config.data.target.name),
        "environment": environment(),
    }


def _tags(ctx: StageContext, plan: StagePlan) -> dict[str, str]:
    named = {
        "experiment": ctx.config.name,
        "method": plan.stage.method,
        "seed": str(ctx.config.seed),
        "device": ctx.device.describe(),
    }
    note = {"cycada.left_out": text} if (text := left_out(ctx.known.classes)) else {}
    return {f"cycada.{key}": value for key, value in named.items()} | note | environment()
