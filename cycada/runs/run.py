"""Run an experiment: every stage once, in order, from where it stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from cycada.build import Datasets, build_training, load_datasets, pick, stage_id, weights_from_file
from cycada.config import Config, digest
from cycada.errors import CycadaError
from cycada.methods import Classify, Networks
from cycada.metrics import scores as score_functions
from cycada.networks import kind_of
from cycada.plan import StagePlan, plan
from cycada.runs.pictures import draw_confusion, image_grid
from cycada.runs.progress import Screen
from cycada.runs.store import RunFolder, environment
from cycada.runs.tracking import NoTracker, tracker
from cycada.train import checkpoint
from cycada.train.device import Device
from cycada.train.evaluate import count_predictions, evaluating
from cycada.train.loop import Diverged, Training, finite, train

SHOWN = 10
"""Examples in an image grid."""
CLASSIFICATION_SCORES = ("accuracy", "class_accuracy")

Scores = dict[str, dict[str, Any]]
"""domain -> score -> a number, or a list with one per class (None where the class is absent)."""


class Interrupted(CycadaError):
    """Ctrl-C or SIGTERM; the run can go on."""

    exit_code = 130


@dataclass(frozen=True)
class StageResult:
    """What a stage came to. seconds: of training, over all interruptions."""

    name: str
    method: str
    id: str
    folder: Path
    seconds: float
    scores: Scores
    reused: bool


@dataclass
class Summary:
    """What `cycada run --json` prints."""

    name: str
    seed: int
    stages: list[StageResult] = field(default_factory=list)
    tracking: str = ""

    def as_dict(self) -> dict[str, Any]:
        stages = {
            s.name: {"id": s.id, "seconds": round(s.seconds, 1), "reused": s.reused, "folder": str(s.folder), "scores": s.scores}
            for s in self.stages
        }
        return {"name": self.name, "seed": self.seed, "selection": "last step", "stages": stages}


@dataclass(frozen=True)
class Room:
    """What every stage of one experiment shares."""

    config: Config
    datasets: Datasets
    device: Device
    tracker: NoTracker
    screen: Screen


def run(config: Config, screen: Screen | None = None) -> Summary:
    """Run every stage that is not done yet. Raises CycadaError; whatever was trained by then is kept."""
    plans = plan(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = Device.find(config.device)
    screen = Screen(quiet=True) if screen is None or not device.main else screen
    datasets = load_datasets(config, plans, device)
    tracking = config.tracking
    watcher = tracker(tracking.kind if device.main else "none", tracking.uri, config.results, screen.warn)
    room = Room(config, datasets, device, watcher, screen)
    watcher.begin(config.name, config.seed, digest(config.model_dump(mode="json", exclude={"results", "tracking", "logging"})), environment())
    summary = Summary(config.name, config.seed, tracking=watcher.where)
    try:
        for stage in plans:
            ids = {s.name: s.id for s in summary.stages}
            result = _run_stage(room, stage, stage_id(config, stage, ids, datasets, device), ids)
            summary.stages.append(result)
            screen.say(_line(result))
    except BaseException:
        watcher.end(_flat_by_stage(summary), failed=True)
        raise
    watcher.end(_flat_by_stage(summary))
    if device.main:
        folder = config.results / "experiments" / config.name
        folder.mkdir(parents=True, exist_ok=True)
        RunFolder(folder).write_json(f"seed{config.seed}.json", summary.as_dict())
    return summary


def _run_stage(room: Room, plan: StagePlan, identity: str, ids: Mapping[str, str]) -> StageResult:
    """Reuse, go on, or start. Rank 0 alone touches the folder; two runs that want the same stage wait for one lock."""
    runs = room.config.results / "runs"
    folder = RunFolder(runs / identity)
    if not room.device.main:
        return _train_stage(room, plan, folder, ids)
    runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(runs / f"{identity}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        room.screen.say(f"stage {plan.name}: another run trains {identity}; waiting for it.")
        lock.acquire()
    try:
        return _train_stage(room, plan, folder, ids)
    finally:
        lock.release()


def _train_stage(room: Room, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]) -> StageResult:
    config, device, main = room.config, room.device, room.device.main
    manifest = _manifest(room, plan, folder, ids)
    if main:
        room.tracker.begin_stage(plan.name, folder.id, _flat(plan.identity()), _tags(manifest))
    if device.share(folder.done if main else None):
        return _reused(room, plan, folder)
    training = build_training(config, plan, room.datasets, device, _starts(room, plan, ids))
    state = None
    if main:
        folder.create()
        state = checkpoint.load_latest(folder.path, room.screen.warn)
        folder.rewind_metrics(state["step"] if state else 0)
        folder.write_config(config.model_dump(mode="json"), plan.name)
        folder.write_json("manifest.json", manifest)
        for row in folder.metrics():  # steps that a killed process wrote down but did not track
            room.tracker.log(int(row["step"]), row)
    state = device.share(state)
    seconds = 0.0
    if state:
        training.load_state(state)
        seconds = state["seconds"]
        room.screen.say(f"stage {plan.name}: going on from step {training.step} of {training.steps} ({folder.path})")
    seconds, scores = _train(room, plan, training, folder, seconds)
    if main:
        outcome = training.outcome()
        folder.save_weights({r: n.state_dict() for r, n in outcome.named_children() if kind_of(r) != "pool"})
        folder.write_json("scores.json", scores)
        folder.write_json("manifest.json", manifest | {"seconds": round(seconds, 1)})
        folder.finish()
        for old in checkpoint.checkpoints(folder.path):
            old.unlink()
        room.tracker.end_stage(_artifacts(folder), flatten_scores(scores))
    return StageResult(plan.name, plan.stage.method, folder.id, folder.path, seconds, scores, reused=False)


def _reused(room: Room, plan: StagePlan, folder: RunFolder) -> StageResult:
    """A finished stage, read from its folder."""
    if not room.device.main:
        return StageResult(plan.name, plan.stage.method, folder.id, folder.path, 0.0, {}, reused=True)
    scores, seconds = folder.read_json("scores.json"), folder.read_json("manifest.json")["seconds"]
    for row in folder.metrics():
        room.tracker.log(int(row["step"]), row)
    room.tracker.end_stage(_artifacts(folder), flatten_scores(scores))
    return StageResult(plan.name, plan.stage.method, folder.id, folder.path, seconds, scores, reused=True)


def _train(room: Room, plan: StagePlan, training: Training, folder: RunFolder, seconds: float) -> tuple[float, Scores]:
    """The loop, with what is written and shown at its reports. -> seconds so far, final scores."""
    logging, device, main = room.config.logging, room.device, room.device.main
    room.screen.begin(plan.name, training.step, training.steps)
    began, scores = time.perf_counter() - seconds, None
    with _stop_on_signal(enabled=device.world == 1) as stopped:
        try:
            reached = training.step
            for report in train(training, logging.report_every, stopped.is_set, logging.gradients):
                values = report.values | {"rate": round(report.rate, 1)}
                last = report.step == training.steps
                if last or _crossed(reached, report.step, logging.evaluate_every):
                    scores = evaluate_stage(room, plan, training.outcome(), folder.images if main else None, report.step)
                    values |= flatten_scores(scores)
                seconds = time.perf_counter() - began
                if main:
                    folder.append_metrics(report.step, values)
                    room.tracker.log(report.step, values)
                    room.screen.update(report.step, report.rate, report.values)
                if last or stopped.is_set() or _crossed(reached, report.step, logging.checkpoint_every):
                    _save(training, folder, seconds, main)
                reached = report.step
        finally:
            room.screen.end()
    if training.step < training.steps:
        raise Interrupted(f"Stopped at step {training.step} of {training.steps} of stage '{plan.name}'. The same command goes on from there.")
    if scores is None:  # killed after the last checkpoint, before the stage was closed
        scores = evaluate_stage(room, plan, training.outcome(), folder.images if main else None, training.steps)
    return seconds, scores


def _save(training: Training, folder: RunFolder, seconds: float, main: bool) -> None:
    state = training.state() | {"seconds": seconds}
    if not finite(training.nets):
        raise Diverged(f"Step {training.step}: a weight is no longer a number, though every loss was. Lower the learning rate.")
    if main:
        checkpoint.save(folder.path, state)


def evaluate_stage(room: Room, plan: StagePlan, nets: Networks, images: Path | None, step: int) -> Scores:
    """Both domains' test sets; where `images` is given, also the pictures of this step."""
    ways, datasets, device = plan.method.scored(nets), room.datasets, room.device
    for net in nets.children():
        device.average_buffers(net)
    scores: Scores = {}
    with evaluating(nets):
        for side, examples in (("source", datasets.source["test"]), ("target", datasets.target["test"])):
            if side in ways and examples.labels is not None:
                count = count_predictions(ways[side], examples, len(datasets.classes), device, plan.stage.precision)
                scores[side] = as_scores(count)
                if images:
                    draw_confusion(count, datasets.classes, f"{side}, stage {plan.name}, step {step}", images / f"confusion_{side}.png")
    if images:
        source, target = datasets.source["test"].images[:SHOWN], datasets.target["train"].images[:SHOWN]
        image_grid(plan, nets, source, target, device, images / f"grid_{step:07d}.png")
    return scores


def as_scores(count: Tensor) -> dict[str, Any]:
    """The scores of one (K, K) count as plain values, and the count itself."""
    found: dict[str, Any] = {}
    for name in CLASSIFICATION_SCORES:
        value = score_functions[name](count)
        found[name] = [None if v != v else round(v, 6) for v in value.tolist()] if value.ndim else round(value.item(), 6)
    return found | {"confusion": count.tolist()}


def flatten_scores(scores: Scores) -> dict[str, float]:
    """`target/accuracy`, `target/class_accuracy/3`, ...: what a tracker takes. Confusion counts are left out."""
    flat: dict[str, float] = {}
    for side, found in scores.items():
        for name, value in found.items():
            if isinstance(value, float):
                flat[f"{side}/{name}"] = value
            elif name != "confusion":
                flat |= {f"{side}/{name}/{k}": v for k, v in enumerate(value) if v is not None}
    return flat


def score_by(classify: Classify, room_datasets: Datasets, side: str, device: Device) -> dict[str, Any]:
    """One domain's test scores by one classifier."""
    examples = room_datasets.source["test"] if side == "source" else room_datasets.target["test"]
    return as_scores(count_predictions(classify, examples, len(room_datasets.classes), device))


def _starts(room: Room, plan: StagePlan, ids: Mapping[str, str]) -> dict[str, dict[str, Tensor]]:
    """role -> weights to start from. Rank 0 reads; the networks are broadcast afterwards."""
    starts: dict[str, dict[str, Tensor]] = {}
    for role, start in plan.stage.init.items():
        if role not in plan.specs or not room.device.main:
            continue
        where = f"stages.{plan.name}.init.{role}"
        if "#" in start:
            starts[role] = weights_from_file(start, where)
        else:
            stage, _, parent_role = start.partition(".")
            parent = RunFolder(room.config.results / "runs" / ids[stage])
            starts[role] = pick(parent.load_weights(), parent_role, where)
    return starts


def _manifest(room: Room, plan: StagePlan, folder: RunFolder, ids: Mapping[str, str]) -> dict[str, Any]:
    d = room.datasets
    return {
        "id": folder.id,
        "experiment": room.config.name,
        "stage": plan.name,
        "method": plan.stage.method,
        "seed": room.config.seed,
        "steps": plan.stage.steps,
        "batch": plan.stage.batch * room.device.world,
        "parents": {role: start if "#" in start else ids[start.split(".")[0]] for role, start in plan.stage.init.items()},
        "images": {f"{side} {split}": len(e) for side, sets in (("source", d.source), ("target", d.target)) for split, e in sets.items()},
        "data_fingerprint": d.fingerprint,
        "device": room.device.describe(),
        "selection": "last step",
        "environment": environment(),
    }


def _tags(manifest: dict[str, Any]) -> dict[str, str]:
    return {f"cycada.{k}": str(v) for k, v in manifest.items() if k in ("experiment", "method", "device", "seed")} | manifest["environment"]


def _artifacts(folder: RunFolder) -> list[Path]:
    names = ("config.yaml", "manifest.json", "scores.json", "metrics.jsonl")
    grids = sorted(folder.images.glob("grid_*.png"))
    return [folder.path / n for n in names] + sorted(folder.images.glob("confusion_*.png")) + grids[-3:]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {k: v for key, below in value.items() for k, v in _flat(below, f"{prefix}.{key}" if prefix else str(key)).items()}
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and "name" in value[0]:
        return _flat({item["name"]: item for item in value}, prefix)
    return {prefix: value}


def _flat_by_stage(summary: Summary) -> dict[str, float]:
    return {f"{s.name}/{k}": v for s in summary.stages for k, v in flatten_scores(s.scores).items() if k.endswith("/accuracy")}


def _line(result: StageResult) -> str:
    accuracy = ", ".join(f"{side} {100 * s['accuracy']:.2f} %" for side, s in result.scores.items())
    how = "reused" if result.reused else f"{result.seconds:.0f} s"
    return f"stage {result.name:<10} {how:>8}   {accuracy}"


def _crossed(before: int, now: int, every: int) -> bool:
    return before // every != now // every


@contextmanager
def _stop_on_signal(enabled: bool) -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event; the loop ends after the step that it is in. A second Ctrl-C ends at once."""
    stopped = threading.Event()
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def handle(number: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
