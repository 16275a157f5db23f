"""What finished stages are for: score them again, translate images with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from cycada.build import Datasets, build_networks, load_datasets
from cycada.config import Config, Spec, parse
from cycada.data import Fitted, convert, to_bytes, to_float
from cycada.data.picture import image_files
from cycada.data.translated import write_png
from cycada.errors import CycadaError, nearest
from cycada.methods import Networks
from cycada.plan import StagePlan, plan
from cycada.runs.analysis import write_findings
from cycada.runs.scoring import as_scores, count, evaluate_stage, scored
from cycada.runs.store import RunFolder
from cycada.runs.trained import trained_network
from cycada.runs.twin import weights_of
from cycada.train.device import Device
from cycada.train.evaluate import evaluating
from cycada.yaml_files import override


def find_run(run: Path | str, results: Path | str = "results") -> RunFolder:
    """A run folder by its path, or by (the beginning of) its id under results/runs. Raises CycadaError."""
    path, results, run = Path(run), Path(results), str(run)
    if not path.is_dir():
        ids = [p.name for p in (results / "runs").glob("*") if p.is_dir()]
        matches = [i for i in ids if i == run] or [i for i in ids if i.startswith(run)]
        if len(matches) != 1:
            raise CycadaError(f"No run '{run}': it is no folder, and {len(matches)} ids in {results / 'runs'} begin so.{nearest(run, ids)}")
        path = results / "runs" / matches[0]
    folder = RunFolder(path)
    if not folder.done:
        raise CycadaError(f"{path}: this stage is not finished. Run its experiment again to go on with it.")
    return folder


def load_stage(
    folder: RunFolder, data_root: Path | None = None, data: Mapping[str, Any] | None = None, assignments: Sequence[str] = ()
) -> tuple[Config, StagePlan]:
    """The experiment and the stage that a run folder was made by, with parts of `data` replaced where asked for, and other

    settings by `assignments`, as in `evaluation.flip=true`.
    """
    experiment, name = folder.read_config()
    experiment["data"] |= dict(data or {}) | ({"root": data_root} if data_root else {})
    experiment = override(experiment, assignments)
    config = parse(experiment, str(folder.path / "config.yaml"))
    return config, next(p for p in plan(config) if p.name == name)


def trained_networks(folder: RunFolder, config: Config, stage: StagePlan, classes: int, device: Device) -> Networks:
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
            raise CycadaError(f"'{assignment}': a finished stage takes settings of its evaluation alone, such as evaluation.flip=true.")
    config, stage = load_stage(folder, data_root, {"target": Spec(name=domain).model_dump()} if domain else None, assignments)
    device = Device.find(config.device)
    datasets: Datasets = load_datasets(config, [stage], device).at(config, stage.stage)
    nets = trained_networks(folder, config, stage, len(datasets.classes), device)
    ways = scored(stage, nets)
    if not ways:
        raise CycadaError(f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no classifier to score.")
    if domain:
        test = datasets.target["test"]
        with evaluating(nets):
            counted = count(ways["target"], test, len(datasets.classes), device, stage.stage.precision)
        if counted is None:
            raise CycadaError(f"{domain}: its test images have no labels, so there is nothing to score.")
        scores = {domain: as_scores(counted[1], isinstance(test, Fitted))}
    else:
        found = evaluate_stage(stage, nets, datasets, device, None, stage.stage.steps)
        scores = found.scores
        if not assignments and set(folder.arrays("analysis.npz")) <= {"classes"}:  # a run of an older version
            write_findings(config, folder, stage, nets, datasets, found, device)
    return {
        "experiment": config.name, "seed": config.seed, "stage": stage.name, "id": folder.id,
        "evaluation": stage.evaluation.changes(), "classes": list(datasets.classes), "scores": scores,
    }  # fmt: skip


def translate_folder(
    run: Path | str,
    in_dir: Path | str,
    out_dir: Path | str,
    direction: str = "st",
    keep_size: bool = False,
    results: Path | str = "results",
) -> tuple[int, int]:
    """Every image of a folder through g_st or g_ts, written as PNG under its own name. -> translated, already there.

    Images are converted to the run's channels and size; with keep_size they keep their own size (padded to what the
    generator needs, and cut back). What is in `out_dir` already is left alone, so an interrupted call goes on.
    """
    folder, in_dir, out_dir = find_run(run, results), Path(in_dir), Path(out_dir)
    config, stage = load_stage(folder)
    role = f"g_{direction}"
    if role not in stage.specs:
        known = nearest(role, stage.specs)
        raise CycadaError(f"{folder.path}: stage '{stage.name}' ({stage.stage.method}) has no generator '{role}'.{known}")
    if not in_dir.is_dir():
        raise CycadaError(f"{in_dir.resolve()}: no such folder of images.")
    files = image_files(in_dir)
    if not files:
        raise CycadaError(f"{in_dir.resolve()}: found no images in this folder.")
    size = config.shapes(stage.stage)["source" if direction == "st" else "target"]
    device = Device.find(config.device)
    generator = trained_network(folder, config, stage, role).to(device.torch_device)
    out_dir.mkdir(parents=True, exist_ok=True)
    done = 0
    with evaluating(generator):
        for file in files:
            out = out_dir / f"{file.stem}.png"
            if out.exists():
                continue
            pixels = _read(file, config, None if keep_size else size).to(device.torch_device)
            write_png(out, to_bytes(_padded(generator, to_float(pixels)))[0])
            done += 1
    return done, len(files) - done


def _read(file: Path, config: Config, size: tuple[int, int] | None) -> torch.Tensor:
    """(1, C, H, W) uint8, at `size` = (height, width) or as large as it is."""
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB" if config.data.channels == 3 else "L")
    except (OSError, ValueError, SyntaxError) as error:
        raise CycadaError(f"{file}: not a readable image ({error}). Mend or remove it.") from None
    array = np.asarray(image)
    pixels = torch.from_numpy(array.copy()).reshape(1, *array.shape[:2], -1).permute(0, 3, 1, 2)
    return pixels if size is None else convert(pixels, size, config.data.channels, config.data.resize)


def _padded(generator: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Through the generator at any size: repeated at the right and lower border to a multiple, and cut back."""
    multiple = int(getattr(generator, "multiple_of", 1))
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    result: torch.Tensor = generator(padded)[..., :height, :width]
    return result
