"""Find finished stages, load them and score them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, is_name, parse
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError, list_some, nearest, shown
from cycada.core.profile import span
from cycada.core.progress import Progress
from cycada.core.registry import typed
from cycada.core.texts import listed
from cycada.core.yaml_files import override
from cycada.evaluation.analysis import analyse, find_mistakes
from cycada.evaluation.elsewhere import load_test_set, named_domain
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.scores import as_scores
from cycada.evaluation.scoring import Evaluation, build_classifiers, count_predictions, evaluate_stage
from cycada.evaluation.target_statistics import refuse_target_statistics
from cycada.methods import Networks
from cycada.planning.build import Datasets, build_networks, load_datasets
from cycada.planning.plan import StagePlan, plan
from cycada.runs.rescoring import load_weights_by_role
from cycada.storage.exports import is_export
from cycada.storage.loading import with_classifier
from cycada.storage.schemas import read_shaped
from cycada.storage.store import MISTAKES, RECORDS, RunFolder
from cycada.train.device import Device


def find_run(
    run: Path | str, results: Path | str = "results", check: bool = True, records: bool = False
) -> RunFolder:
    """Return the folder of a finished stage.

    Args:
        run: Its path, or its id under results/runs, or the beginning of the id.
        results: The results folder.
        check: Whether to compare its files with what the stage wrote.
        records: Whether its record will do, as for a report; also looked for under results/records.

    Raises:
        CycadaError: Where there is no such stage, it is not finished, its files changed, or there is only a
            record and weights are needed.
    """
    path, results, run = typed(str(run), Home, "run"), Path(results), str(run)
    if path.exists() and is_export(path) and not any(map(_is_run_folder, (path, path.parent))):
        raise CycadaError(
            f"{path}: found an exported network, which `cycada predict` or `cycada translate` takes; "
            "expected a run. The run that it was made from is named in the export's README.md."
        )
    if not path.is_dir():
        matches = _ids_like(run, results)[1]
        if not matches and len(recorded := _ids_like(run, results / RECORDS)[1]) == 1:
            return find_run(results / RECORDS / "runs" / recorded[0], results, check, records)
        if len(matches) != 1:
            raise CycadaError(f"No run {shown(run)}: {_describe_unknown(run, path, results)}")
        path = results / "runs" / matches[0]
    folder = RunFolder(path)
    if folder.is_record:
        return folder.check(weights=not records)
    if not _is_run_folder(path):
        raise CycadaError(
            f"{path}: found a folder without config.yaml, so that it is no stage's; expected one such as "
            f"{results / 'runs'}/ID, or an ID.{_hint(run, results)}"
        )
    if not folder.done:
        raise CycadaError(f"{path}: this stage is not finished. Run its experiment again to go on with it.")
    return check_run_folder(folder, Progress(quiet=True).warn) if check else folder


def _ids_like(run: str, results: Path) -> tuple[list[str], list[str]]:
    """Return all ids under results/runs, and of these the one that is `run`, or else all that begin so."""
    ids = [p.name for p in (results / "runs").glob("*") if p.is_dir()]
    return ids, [i for i in ids if i == run] or [i for i in ids if i.startswith(run)]


def _describe_unknown(run: str, path: Path, results: Path) -> str:
    """Return why a text is no run, and what to do."""
    if not (results / "runs").is_dir():
        return (
            f"there is no folder {results / 'runs'}. Go to the folder in which its experiment was run, or "
            "name its results with --results."
        )
    if summaries := _summaries(run, results):
        stages = _first_summary(summaries)[1]["stages"]
        ids = list_some([f"{stage['id']} ({name})" for name, stage in stages.items()])
        return f"it is an experiment, expected a stage of it: {ids}."
    begin = len(_ids_like(run, results)[1])
    kind = "a file" if path.is_file() else "no folder"
    return f"it is {kind}, and {begin} ids in {results / 'runs'} begin so.{_hint(run, results)}"


def _hint(run: str, results: Path) -> str:
    """Return the hint for an unknown name: the experiments, which people know, or else the ids."""
    experiments = [path.parent.name for path in (results / "experiments").glob("*/seed*.json")]
    return nearest(run, set(experiments) or _ids_like(run, results)[0])


def _summaries(name: str, results: Path) -> list[Path]:
    """Return the summaries of an experiment, one for each seed; none where a text is no experiment's name."""
    return list((results / "experiments" / name).glob("seed*.json")) if is_name(name) else []


def _first_summary(summaries: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """Return the file of the lowest seed, and its content."""
    first = min(summaries, key=lambda path: int(re.sub(r"\D", "", path.stem) or 0))
    return first, read_shaped(first, "summary", "Run the experiment again.")


def _is_run_folder(path: Path) -> bool:
    """Return whether a path is a stage's folder, and not any other one that has an experiment's name."""
    return any((path / name).exists() for name in ("config.yaml", "manifest.json"))


def find_stage(what: Path | str, results: Path | str = "results", role: str | None = None) -> RunFolder:
    """Return the folder of a finished stage, which an experiment's name may stand for.

    Args:
        what: A run folder, its id or the beginning of it, or the name of an experiment that was run: this is
            its last finished stage that has the network, of the lowest seed.
        results: The results folder.
        role: The network; None looks for f_t, and without one takes the last finished stage.

    Raises:
        CycadaError: Where there is no such stage, it is not finished, or its files changed.
    """
    name, results = str(what), Path(results)
    summaries = _summaries(name, results)
    if not summaries or _is_run_folder(typed(name, Home, "run")):
        return find_run(what, results)
    first, summary = _first_summary(summaries)
    folders = [RunFolder(results / "runs" / stage["id"]) for stage in summary["stages"].values()]
    finished = [folder for folder in reversed(folders) if folder.done]
    having = [folder for folder in finished if (role or "f_t") in load_stage(folder)[1].specs]
    if not having and (role or not finished):
        raise CycadaError(
            f"{first}: found no finished stage of '{name}' with {role or 'f_t'}, of {len(folders)} stages. "
            "Run the experiment again, or name a run folder."
        )
    return find_run((having or finished)[0].path, results)


def check_run_folder(folder: RunFolder, warn: Callable[[str], None]) -> RunFolder:
    """Return the folder of a finished stage if its files are those that the stage wrote.

    Args:
        folder: The folder.
        warn: Called once with a folder of an older version, whose files cannot be checked.

    Raises:
        CycadaError: Where files changed; the message names them.
    """
    folder.check()
    if folder.digests() is None and not _warned:
        _warned.append(folder.path)
        warn(
            f"{folder.path}: made by an older version, which kept no digests of its files, as others may be "
            f"too. It is used as it is; `cycada verify {folder.path}` scores it again."
        )
    return folder


_warned: list[Path] = []
"""The folder of an older version that this process has warned of."""


def load_stage(
    folder: RunFolder,
    data_root: Path | None = None,
    data: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> tuple[Config, StagePlan]:
    """Return the experiment and the stage that a run folder is of.

    Args:
        folder: The run folder.
        data_root: The data root, over the run's own.
        data: Keys of `data` that replace the run's own.
        assignments: Settings over the run's own, as in `evaluation.flip=true`.

    Raises:
        CycadaError: Where the folder's config cannot be read or does not go together with the settings.
    """
    experiment, name = folder.read_config()
    experiment["data"] |= dict(data or {}) | ({"root": data_root} if data_root else {})
    experiment = override(experiment, assignments)
    where = folder.path / "config.yaml"
    config = parse(experiment, str(where))
    if name not in config.stages:
        raise CycadaError(
            f"{where}: found the stage '{name}', which its experiment does not have. {folder.remedy}"
        )
    return config, next(p for p in plan(config) if p.name == name)


def stored_classes(folder: RunFolder) -> tuple[str, ...]:
    """Return the names of a finished stage's classes, which its run folder holds.

    Raises:
        CycadaError: An older version did not store them.
    """
    names = folder.arrays("analysis.npz").get("classes")
    if names is None:
        raise CycadaError(
            f"{folder.path}: it does not hold the names of its classes. `cycada evaluate {folder.path}` adds "
            "them to a run of an older version."
        )
    return tuple(str(name) for name in names)


def trained_networks(
    folder: RunFolder, config: Config, stage: StagePlan, classes: int, device: Device
) -> Networks:
    """Return the networks of a finished stage with the weights that it ended with."""
    return build_networks(config, stage, classes, device, load_weights_by_role(folder, stage))


def evaluate_run(
    run: Path | str,
    domain: str | Path | Mapping[str, Any] | None = None,
    data_root: Path | None = None,
    results: Path | str = "results",
    assignments: Sequence[str] = (),
) -> dict[str, Any]:
    """Score a finished stage again, on its own two test sets or on another domain's.

    Where the run folder has no analysis.npz, which reports read, it is written.

    Args:
        run: A run folder, its id under results/runs, or the name of an experiment (see `find_stage`).
        domain: What is scored, as the stage classifies its target, instead of the stage's own source and
            target: a registered domain, such as `camvid`; a domain with options, as a mapping or as YAML
            text, `{name: camvid, drive: dusk}`; or a folder of one's own test images with labels
            (`elsewhere.named_domain`). Only the test set of this domain has to be there.
        data_root: The data root, over the run's own.
        results: The results folder.
        assignments: Settings of `evaluation` over the run's own, such as `evaluation.flip=true`.

    Returns:
        {experiment, seed, stage, id, evaluation, classes, scores: {domain: {accuracy, class_accuracy, ...}}},
        where `evaluation` holds the settings that are not the default. With `domain` there is also
        `domain`, its name and options.

    Raises:
        CycadaError: Where there is no such finished stage, it has no classifier, the test images have no
            labels, or their classes are others than those of the run.
    """
    folder = find_stage(run, results)
    assignments = listed(assignments)
    for assignment in assignments:
        if not assignment.startswith("evaluation."):
            raise CycadaError(
                f"'{assignment}': a finished stage takes settings of its evaluation alone, such as "
                "evaluation.flip=true."
            )
    spec = named_domain(domain) if domain else None
    config, stage = load_stage(
        folder, data_root, {"target": spec.model_dump()} if spec else None, assignments
    )
    device = Device.find(config.device)
    if spec:
        refuse_target_statistics(stage, "Add evaluation.batch_norm=stored.")
        classes = stored_classes(folder)
        test = load_test_set(config, stage, classes, device)
    else:
        datasets: Datasets = load_datasets(config, [stage], device).resized_to(config, stage.stage)
        classes = datasets.classes
        _check_classes(folder, classes)
    nets = trained_networks(folder, config, stage, len(classes), device)
    classifiers = build_classifiers(stage, nets)
    if not classifiers:
        raise CycadaError(
            f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier to score."
        )
    if spec:
        with eval_mode(nets):
            counted = count_predictions(
                classifiers["target"], test, len(classes), device, stage.stage.precision
            )
        if counted is None:
            raise CycadaError(
                f"--domain {shown(domain)}: its test images have no labels, so there is nothing to score. A "
                "folder of one's own has a sub-folder for each class, or images/, masks/ and classes.yaml."
            )
        scores = {spec.name: as_scores(counted[1], test.task)}
    else:
        evaluation = evaluate_stage(stage, nets, datasets, device, None, stage.stage.steps)
        scores = evaluation.scores
        if not assignments and set(folder.arrays("analysis.npz")) <= {"classes"}:  # a run of an older version
            write_analysis(config, folder, stage, nets, datasets, evaluation, device)
    return {
        "experiment": config.name,
        "seed": config.seed,
        "stage": stage.name,
        "id": folder.id,
        "evaluation": stage.evaluation.changes(),
        "classes": list(classes),
        "scores": scores,
    } | ({"domain": spec.model_dump()} if spec else {})


def _check_classes(folder: RunFolder, classes: Sequence[str]) -> None:
    """Raise CycadaError where the data have other classes than those of a run, or another order of them.

    A run of an older version does not know its classes' names.
    """
    names = folder.arrays("analysis.npz").get("classes")
    if names is None or tuple(map(str, names)) == tuple(classes):
        return
    trained = [str(name) for name in names]
    order = " in this order" if set(trained) == set(classes) else ""
    raise CycadaError(
        f"{folder.path}: its data have the {len(classes)} classes {list_some(classes)} by now, expected the "
        f"{len(trained)} classes {list_some(trained)}{order}, with which it was trained. Put the data back, "
        "or name others with --domain."
    )


@span("analysis")
def write_analysis(
    config: Config,
    folder: RunFolder,
    plan: StagePlan,
    nets: Networks,
    datasets: Datasets,
    evaluation: Evaluation,
    device: Device,
) -> None:
    """Write confusion.json, analysis.npz, images/mistakes_target.png and, of a translation, drift.json.

    Args:
        config: The experiment.
        folder: The stage's run folder, which already has its manifest.
        plan: The stage.
        nets: Its networks.
        datasets: The experiment's data at the stage's size.
        evaluation: The stage's evaluation at its last step.
        device: Where the networks are.
    """
    counts = {side: count.tolist() for side, count in evaluation.counts.items()}
    folder.write_json("confusion.json", counts, indent=None)
    mistakes = find_mistakes(plan, nets, datasets, evaluation, device)
    if mistakes:
        mistakes.draw(folder.images / MISTAKES)
    parents = folder.read_json("manifest.json")["parents"]
    nets = with_classifier(config, plan, nets, folder, parents, len(datasets.classes), device)
    arrays, drift = analyse(plan, nets, datasets, evaluation, device)
    folder.write_arrays("analysis.npz", arrays | (dict(mistakes.arrays) if mistakes else {}))
    if drift:
        folder.write_json("drift.json", drift)
