"""Run an experiment: every stage once, in order, from where it stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cycada.config.schema import Config, digest
from cycada.core.errors import memory_named
from cycada.core.files import prepare_folder, warn_if_read_only, write_json
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.evaluation.scoring import HEADLINES, flatten_scores, percent
from cycada.planning.build import check_labels, load_datasets
from cycada.planning.plan import StagePlan, counted, plan
from cycada.planning.rehearsal import memory_of, rehearse
from cycada.runs.counts import check_masks, report_sets
from cycada.runs.stage import StageContext, StageResult, run_stage
from cycada.runs.unfinished import unfinished
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder, environment
from cycada.tracking.tracker import Tracker, open_tracker
from cycada.train.device import Device


@dataclass
class Summary:
    """Outcome of an experiment with one seed.

    Attributes:
        name: The experiment's name.
        seed: Its seed.
        stages: What each stage came to, in order.
        tracking: The tracker's address without passwords; empty without tracking.
    """

    name: str
    seed: int
    stages: list[StageResult] = field(default_factory=list)
    tracking: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `cycada run --json` prints them."""
        stages = {
            s.name: {
                "id": s.id,
                "seconds": round(s.seconds, 1),
                "reused": s.reused,
                "folder": str(s.folder),
                "scores": s.scores,
            }
            for s in self.stages
        }
        return {"name": self.name, "seed": self.seed, "selection": "last step", "stages": stages}


def run(config: Config, screen: Progress | None = None) -> Summary:
    """Run every stage that is not done yet, and mirror the experiment into the tracker that its config names.

    Args:
        config: The experiment.
        screen: Where progress is shown; None shows warnings only.

    Returns:
        The outcome of all stages.

    Raises:
        CycadaError: For a mistake in the config or the data, and where training fails; what was trained is
            kept.
        Interrupted: After Ctrl-C, when the stage has been saved.
    """
    main = os.environ.get("RANK", "0") == "0"
    screen = Progress(quiet=True) if screen is None or not main else screen
    tracking = config.tracking
    tracker = open_tracker(tracking.kind if main else "none", tracking.uri, config.results, screen.warn)
    summary = run_stages(config, tracker, screen)
    if main:
        folder = config.results / "experiments" / config.name
        with warn_if_read_only("the summary", screen.warn):
            write_json(prepare_folder(folder) / f"seed{config.seed}.json", summary.as_dict())
    return summary


def run_stages(config: Config, tracker: Tracker, screen: Progress) -> Summary:  # noqa: PLR0912 (the stages in their order)
    """Run all stages and report them to `tracker`; see `run` for what is raised."""
    plans = plan(config)
    config = counted(config, plans)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = Device.find(config.device)
    for stage in plans:
        rehearse(config, stage, memory_of(device.torch_device))
    with memory_named("data"):
        datasets = load_datasets(config, plans, device)
    if device.main:
        report_sets(config, datasets, screen)
        for stage in plans:
            if stage.epochs:
                screen.info(f"stage {stage.name}: {stage.epochs} are {stage.epochs.steps:,} steps")
    for stage in plans:
        check_labels(stage, datasets)
    ids: dict[str, str] = {}
    for stage in plans:
        ids[stage.name] = stage_id(config, stage, ids, datasets, device)
    if device.main:
        for message in unfinished(config, ids):
            screen.info(message)
    without_effect = {"results", "tracking", "logging"} | (
        set() if config.evaluation.changes() else {"evaluation"}
    )
    tracker.begin(
        config.name,
        config.seed,
        digest(config.model_dump(mode="json", exclude=without_effect)),
        environment(),
    )
    masks_were_checked = False
    summary = Summary(config.name, config.seed)
    try:
        with stop_on_signal(enabled=device.world == 1) as stopped:
            for stage in plans:
                if stopped.is_set():
                    raise Interrupted(
                        f"Stopped before stage '{stage.name}'. The same command goes on from there."
                    )
                ctx = StageContext(config, datasets.resized_to(config, stage.stage), device, tracker, screen)
                identity = ids[stage.name]
                run_folder = RunFolder(config.results / "runs" / identity)
                if device.main and not masks_were_checked and not run_folder.done:
                    check_masks(datasets, screen)
                    masks_were_checked = True
                if device.main and not run_folder.path.exists() and not stage.stage.init:
                    _mention_other_processes(ctx, stage, run_folder.path.parent)
                with memory_named(f"stages.{stage.name}"):
                    result = run_stage(ctx, stage, identity, ids)
                summary.stages.append(result)
                screen.info(_line(result))
    except BaseException:
        tracker.end(_flat_by_stage(summary), failed=True)
        raise
    tracker.end(_flat_by_stage(summary))
    summary.tracking = tracker.where
    return summary


def _mention_other_processes(ctx: StageContext, stage: StagePlan, runs: Path) -> None:
    """Say where the stage was trained by another number of processes, which explains why it is not reused.

    The number of processes is part of a stage's id.
    """
    for world in {1, 2, 4, 8} - {ctx.device.world}:
        other = stage_id(ctx.config, stage, {}, ctx.datasets, replace(ctx.device, world=world))
        if (runs / other).is_dir():
            ctx.screen.info(
                f"stage {stage.name}: {runs / other} is of {world} process{'es' * (world > 1)}; "
                f"{ctx.device.world} learn other weights, so it starts anew."
            )


def _flat_by_stage(summary: Summary) -> dict[str, float]:
    return {
        f"{s.name}/{k}": v
        for s in summary.stages
        for k, v in flatten_scores(s.scores).items()
        if k.split("/")[-1] in HEADLINES
    }


def _line(result: StageResult) -> str:
    scores = ", ".join(f"{side} {percent(s)}" for side, s in result.scores.items())
    time = "reused" if result.reused else f"{result.seconds:.0f} s"
    return f"stage {result.name:<10} {time:>8}   {scores}"
