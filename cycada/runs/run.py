"""Run an experiment: every stage once, in order, from where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from cycada.config.schema import Config, digest, load
from cycada.core.errors import CycadaError, explain_out_of_memory
from cycada.core.files import prepare_folder, warn_if_read_only, write_json
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.profile import Profile
from cycada.core.progress import Progress
from cycada.core.texts import listed, listed_seeds
from cycada.core.versions import environment
from cycada.evaluation.scores import headline_scores, percent
from cycada.planning.build import Datasets, check_labels, load_datasets
from cycada.planning.counts import check_files, report_sets
from cycada.planning.known_data import DataMemory, KnownData
from cycada.planning.plan import StagePlan, load_plugins, plan, replace_epochs_by_steps
from cycada.planning.rehearsal import memory_of, rehearse
from cycada.planning.results_place import check_results_place
from cycada.planning.slow import find_slow_settings
from cycada.runs.stage import run_stage
from cycada.runs.stage_context import StageContext, StageResult
from cycada.runs.unfinished import find_unfinished
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder
from cycada.tracking.mirrored import MirrorMemory
from cycada.tracking.open_tracker import SeveralTrackers, check_trackers, open_tracker
from cycada.tracking.settings import experiment_details
from cycada.tracking.tracker import TrackedModel, Tracker
from cycada.train.allocator import keep_freed_memory, return_freed_memory
from cycada.train.device import Device


@dataclass
class Summary:
    """Outcome of an experiment with one seed.

    Attributes:
        name: The experiment's name.
        seed: Its seed.
        stages: What each stage came to, in order.
        tracking: The commands that show what was tracked, one on each line; empty without tracking.
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


@dataclass(frozen=True)
class Products:
    """Functions of the floors above that make of a finished experiment what trackers show beside its stages.

    Attributes:
        report: Writes a report where it is not up to date, and returns its files; None for no report.
        model: Exports the last stage's network into a folder; None for no model.
    """

    report: Callable[[Config, Summary, Progress], list[Path]] | None = None
    model: Callable[[Config, Summary, Path], TrackedModel] | None = None


def run(
    config: Config,
    screen: Progress | None = None,
    variant: str = "",
    tracker: Tracker | None = None,
    products: Products = Products(),
    profiles: dict[str, Profile] | None = None,
) -> Summary:
    """Run every stage that is not done yet, and mirror the experiment into its config's trackers.

    Args:
        config: The experiment.
        screen: Where progress is shown; None shows warnings only.
        variant: Label of the sweep's row that it is; empty outside a sweep.
        tracker: An open tracker in place of those of the config.
        products: What trackers get beside the stages; `cycada.run` gives the report.
        profiles: Gets the profile of each stage that is trained, by its name, as soon as it begins; it is
            also written to the stage's folder, as profile.json. None profiles nothing.

    Returns:
        The outcome of all stages.

    Raises:
        CycadaError: For a mistake in the config or the data, and where training fails; what was trained is
            kept.
        Interrupted: After Ctrl-C, when the stage has been saved.
    """
    main = os.environ.get("RANK", "0") == "0"
    screen = Progress(quiet=True) if screen is None or not main else screen
    load_plugins(config)
    check_results_place(config)
    check_trackers(config.tracking.kinds)
    if tracker is None and main and not _summary_file(config).exists():
        for warning in find_slow_settings(config, plan(config)):
            screen.warn(warning)
    summary = run_stages(config, tracker, screen, variant, products, profiles)
    return_freed_memory()
    if main:
        file = _summary_file(config)
        with warn_if_read_only("the summary", screen.warn):
            write_json(prepare_folder(file.parent) / file.name, summary.as_dict())
    return summary


def run_seeds(
    file: Path | str, assignments: Sequence[str], seeds: Sequence[int], screen: Progress | None = None
) -> list[Summary]:
    """Run an experiment once for each seed, without training finished stages again.

    Args:
        file: The experiment's YAML file.
        assignments: Settings over the file's, as in `data.root=DATA`.
        seeds: The seeds, in order.
        screen: Where progress is shown; None shows it on stderr.

    Returns:
        A summary for each seed.

    Raises:
        CycadaError: For a mistake in the config or the data, and where training fails.
        Interrupted: After Ctrl-C, when the stage has been saved.
    """
    screen = screen or Progress()
    return [run(load(file, [*listed(assignments), f"seed={seed}"]), screen) for seed in listed_seeds(seeds)]


def _summary_file(config: Config) -> Path:
    return config.results / "experiments" / config.name / f"seed{config.seed}.json"


def run_stages(
    config: Config,
    tracker: Tracker | None,
    screen: Progress,
    variant: str = "",
    products: Products = Products(),
    profiles: dict[str, Profile] | None = None,
) -> Summary:
    """Run all stages and report them to `tracker`; see `run` for the arguments and for what is raised."""
    name = config.name.rpartition("/")[0] if variant else config.name
    plans = plan(config)
    config = replace_epochs_by_steps(config, plans)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = Device.find(config.device)
    if device.torch_device.type == "cpu":
        keep_freed_memory()
    known, ids, datasets = _find_data(config, plans, device, screen)
    without_effect = {"results", "tracking", "logging"} | (
        set() if config.evaluation.changes() else {"evaluation"}
    )
    config_id = digest(config.model_dump(mode="json", exclude=without_effect))
    mirror = None
    if tracker is None:
        mirror = _mirror_memory(config, name, config_id, ids) if device.main else None
        tracker = _open_tracker(config, None if datasets else mirror, device, screen)
    details = experiment_details(config, plans, known, variant)
    tracker.begin(name, config.seed, config_id, environment(), details)
    masks_were_checked = False
    summary = Summary(config.name, config.seed)
    try:
        with stop_on_signal(enabled=device.world == 1) as stopped:
            for stage in plans:
                if stopped.is_set():
                    raise Interrupted(
                        f"Stopped before stage '{stage.name}'. The same command continues from there."
                    )
                resized = datasets and datasets.resized_to(config, stage.stage)
                ctx = StageContext(config, known, resized, device, tracker, screen, variant, profiles)
                identity = ids[stage.name]
                run_folder = RunFolder(config.results / "runs" / identity)
                if device.main and datasets and not masks_were_checked and not run_folder.done:
                    check_files(datasets, screen)
                    masks_were_checked = True
                if device.main and not run_folder.path.exists() and not stage.stage.init:
                    _mention_other_processes(ctx, stage, run_folder.path.parent)
                with explain_out_of_memory(f"stages.{stage.name}"):
                    result = run_stage(ctx, stage, identity, ids)
                summary.stages.append(result)
                screen.info(_line(result))
    except BaseException:
        tracker.end(_final_scores(summary), failed=True)
        raise
    _end(config, summary, tracker, products, screen)
    summary.tracking = tracker.where
    if mirror and tracker.where:
        mirror.remember()
    return summary


def _mirror_memory(config: Config, name: str, config_id: str, ids: dict[str, str]) -> MirrorMemory | None:
    """Return the memory of what MLflow's database under the results folder holds of an experiment.

    Returns:
        The memory; None where the experiment is tracked elsewhere, too, or not at all.
    """
    if config.tracking.kinds != ("mlflow",) or config.tracking.uri is not None:
        return None
    folders = [config.results / "runs" / identity for identity in ids.values()]
    shown = f"{name}, seed {config.seed}, model {config.tracking.log_model}"
    return MirrorMemory(config.results, shown, config_id, [*ids.values()], folders)


def _open_tracker(config: Config, mirror: MirrorMemory | None, device: Device, screen: Progress) -> Tracker:
    """Open the config's trackers, unless a finished experiment is held by MLflow already."""
    if mirrored := mirror.recall() if mirror else "":
        return SeveralTrackers({}, mirrored=mirrored)
    kinds = config.tracking.kinds if device.main else ()
    return open_tracker(kinds, config.tracking.uri, config.results, screen.warn)


def _find_data(
    config: Config, plans: list[StagePlan], device: Device, screen: Progress
) -> tuple[KnownData, dict[str, str], Datasets | None]:
    """Return what is known of the data, each stage's id, and the data, None where all stages are finished."""
    memory = DataMemory(config, plans)
    if found := _find_finished(config, plans, memory, device):
        screen.info("All stages are finished, and the data have not changed: no image is read.")
        return *found, None
    datasets, ids = _load_data(config, plans, device, screen)
    known = KnownData.of(datasets)
    if device.main:
        memory.remember(known)
    return known, ids, datasets


def _find_finished(
    config: Config, plans: list[StagePlan], memory: DataMemory, device: Device
) -> tuple[KnownData, dict[str, str]] | None:
    """Return what is known of the data and each stage's id, if all stages are finished; else None."""
    found = None
    if device.main and (known := memory.recall()):
        ids = _ids(config, plans, known, device)
        if all(RunFolder(config.results / "runs" / identity).done for identity in ids.values()):
            found = known, ids
    shared: tuple[KnownData, dict[str, str]] | None = device.share(found)
    return shared


def _load_data(
    config: Config, plans: list[StagePlan], device: Device, screen: Progress
) -> tuple[Datasets, dict[str, str]]:
    """Rehearse the stages that are not finished, read the data, and return them with each stage's id."""
    # What ended once has its data here, so that ids are known soon, and finished stages need no rehearsal.
    ended = _summary_file(config).exists()
    for stage in plans if not ended else ():
        rehearse(config, stage, memory_of(device.torch_device))
    with explain_out_of_memory("data"):
        datasets = load_datasets(config, plans, device)
    if device.main:
        report_sets(config, datasets, screen, plans)
        for stage in plans:
            if stage.epochs:
                screen.info(f"stage {stage.name}: {stage.epochs} are {stage.epochs.steps:,} steps")
    for stage in plans:
        check_labels(stage, datasets)
    ids = _ids(config, plans, datasets, device)
    for stage in plans if ended else ():
        if not RunFolder(config.results / "runs" / ids[stage.name]).done:
            rehearse(config, stage, memory_of(device.torch_device))
    if device.main:
        for message in find_unfinished(config, ids):
            screen.info(message)
    return datasets, ids


def _ids(
    config: Config, plans: list[StagePlan], data: Datasets | KnownData, device: Device
) -> dict[str, str]:
    """Return each stage's id."""
    ids: dict[str, str] = {}
    for stage in plans:
        ids[stage.name] = stage_id(config, stage, ids, data, device)
    return ids


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


def _end(config: Config, summary: Summary, tracker: Tracker, products: Products, screen: Progress) -> None:
    """Give the tracker the last scores, image grids and products of a finished experiment."""
    with TemporaryDirectory() as folder:
        files = _last_grids(summary)
        if tracker.where and products.report:
            try:
                files[""] = products.report(config, summary, screen)
            except CycadaError as error:  # as where no stage has a labelled test set
                screen.warn(f"The tracker gets no report: {error}")
        if tracker.where and products.model and config.tracking.log_model:
            try:
                tracker.log_model(products.model(config, summary, Path(folder) / "export"))
            except CycadaError as error:  # as where a method translates by a search
                screen.warn(f"The tracker gets no model: {error}")
        tracker.end(_final_scores(summary), files=files)


def _final_scores(summary: Summary) -> dict[str, float]:
    """Return the headline score of every stage, and as `final/...` that of the last one."""
    scores = {s.name: headline_scores(s.scores) for s in summary.stages}
    scores |= {"final": headline_scores(summary.stages[-1].scores)} if summary.stages else {}
    return {f"{name}/{key}": value for name, some in scores.items() for key, value in some.items()}


def _last_grids(summary: Summary) -> dict[str, list[Path]]:
    """Return the last image grid of every stage, by the stage's name."""
    return {s.name: sorted((s.folder / "images").glob("grid_*.png"))[-1:] for s in summary.stages}


def _line(result: StageResult) -> str:
    scores = ", ".join(f"{side} {percent(s)}" for side, s in result.scores.items())
    time = "reused" if result.reused else f"{result.seconds:.0f} s"
    return f"stage {result.name:<10} {time:>8}   {scores}"
