"""Finished stages: found, loaded, scored again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, Spec, parse
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.progress import Progress
from cycada.core.registry import typed
from cycada.core.yaml_files import override
from cycada.data import ResizedDataset
from cycada.evaluation.analysis import analyse
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scoring import Evaluation, as_scores, count, evaluate_stage, scored
from cycada.methods import Networks
from cycada.planning.build import Datasets, build_networks, load_datasets
from cycada.planning.plan import StagePlan, plan
from cycada.runs.rescoring import weights_of
from cycada.storage.loading import with_classifier
from cycada.storage.store import RunFolder
from cycada.train.device import Device


def find_run(run: Path | str, results: Path | str = "results", check: bool = True) -> RunFolder:
    """A finished run's folder by its path, or by (the beginning of) its id under results/runs. Raises CycadaError.

    check: also where its files are no longer those that the stage wrote.
    """
    path, results, run = typed(str(run), Home, "run"), Path(results), str(run)
    if not path.is_dir():
        ids = [p.name for p in (results / "runs").glob("*") if p.is_dir()]
        matches = [i for i in ids if i == run] or [i for i in ids if i.startswith(run)]
        if len(matches) != 1:
            raise CycadaError(
                f"No run {shown(run)}: it is no folder, and {len(matches)} ids in {results / 'runs'} begin so.{nearest(run, ids)}"
            )
        path = results / "runs" / matches[0]
    folder = RunFolder(path)
    if not folder.done:
        raise CycadaError(f"{path}: this stage is not finished. Run its experiment again to go on with it.")
    return checked(folder, Progress(quiet=True).warn) if check else folder


def checked(folder: RunFolder, warn: Callable[[str], None]) -> RunFolder:
    """The folder of a finished stage, where its files are those that the stage wrote. Raises CycadaError that names those that are not.

    warn: is told once of folders of older versions, of which nobody knows.
    """
    folder.check()
    if folder.digests() is None and not _warned:
        _warned.append(folder.path)
        warn(
            f"{folder.path}: made by an older version, which kept no digests of its files, as others may be too. It is used as it is; "
            f"`cycada verify {folder.path}` scores it again."
        )
    return folder


_warned: list[Path] = []
"""The folder of an older version that was warned of."""


def load_stage(
    folder: RunFolder,
    data_root: Path | None = None,
    data: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> tuple[Config, StagePlan]:
    """The experiment and the stage that a run folder was made by, with parts of `data` replaced where asked for, and other

    settings by `assignments`, as in `evaluation.flip=true`.
    """
    experiment, name = folder.read_config()
    experiment["data"] |= dict(data or {}) | ({"root": data_root} if data_root else {})
    experiment = override(experiment, assignments)
    where = folder.path / "config.yaml"
    config = parse(experiment, str(where))
    if name not in config.stages:
        raise CycadaError(
            f"{where}: it is about the stage '{name}', which its experiment does not have. {folder.remedy}"
        )
    return config, next(p for p in plan(config) if p.name == name)


def trained_networks(
    folder: RunFolder, config: Config, stage: StagePlan, classes: int, device: Device
) -> Networks:
    """The stage's networks with the weights that it ended with."""
    return build_networks(config, stage, classes, device, weights_of(folder, stage))


def evaluate_run(
    run: Path | str,
    domain: str | None = None,
    data_root: Path | None = None,
    results: Path | str = "results",
    assignments: Sequence[str] = (),
) -> dict[str, Any]:
    """Scores of a finished stage on its own two test sets, or on `domain`'s, as the stage classifies its target.

    assignments: settings of `evaluation` over the run's own, such as `evaluation.flip=true`.
    -> {experiment, seed, stage, id, evaluation, classes, scores: {domain: {accuracy, class_accuracy}}}, evaluation being what
    is not the default. Writes analysis.npz, which reports read, where the run folder has none.
    """
    folder = find_run(run, results)
    for assignment in assignments:
        if not assignment.startswith("evaluation."):
            raise CycadaError(
                f"'{assignment}': a finished stage takes settings of its evaluation alone, such as evaluation.flip=true."
            )
    config, stage = load_stage(
        folder, data_root, {"target": Spec(name=domain).model_dump()} if domain else None, assignments
    )
    device = Device.find(config.device)
    datasets: Datasets = load_datasets(config, [stage], device).resized_to(config, stage.stage)
    nets = trained_networks(folder, config, stage, len(datasets.classes), device)
    ways = scored(stage, nets)
    if not ways:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier to score."
        )
    if domain:
        test = datasets.target["test"]
        with eval_mode(nets):
            counted = count(ways["target"], test, len(datasets.classes), device, stage.stage.precision)
        if counted is None:
            raise CycadaError(f"{domain}: its test images have no labels, so there is nothing to score.")
        scores = {domain: as_scores(counted[1], isinstance(test, ResizedDataset))}
    else:
        found = evaluate_stage(stage, nets, datasets, device, None, stage.stage.steps)
        scores = found.scores
        if not assignments and set(folder.arrays("analysis.npz")) <= {"classes"}:  # a run of an older version
            write_findings(config, folder, stage, nets, datasets, found, device)
    return {
        "experiment": config.name, "seed": config.seed, "stage": stage.name, "id": folder.id,
        "evaluation": stage.evaluation.changes(), "classes": list(datasets.classes), "scores": scores,
    }  # fmt: skip


def write_findings(
    config: Config,
    folder: RunFolder,
    plan: StagePlan,
    nets: Networks,
    datasets: Datasets,
    found: Evaluation,
    device: Device,
) -> None:
    """confusion.json, analysis.npz and, where a translation is learnt, drift.json. The folder's manifest has to be there."""
    folder.write_json(
        "confusion.json", {side: count.tolist() for side, count in found.counts.items()}, indent=None
    )
    parents = folder.read_json("manifest.json")["parents"]
    nets = with_classifier(config, plan, nets, folder, parents, len(datasets.classes), device)
    arrays, drift = analyse(plan, nets, datasets, found, device)
    folder.write_arrays("analysis.npz", arrays)
    if drift:
        folder.write_json("drift.json", drift)
