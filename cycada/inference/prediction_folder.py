"""Prediction of the classes of any number of pictures into a folder, which an interrupted call continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cycada.core.errors import CycadaError, shown
from cycada.core.files import prepare_folder, write_json
from cycada.core.lock import locked
from cycada.core.progress import Progress
from cycada.data.doubts import summarize_left_out
from cycada.data.picture import SUFFIXES
from cycada.inference.class_folders import link_by_class
from cycada.inference.loading import load_model
from cycada.inference.prediction_work import PREDICTIONS, SHARES, Predictions, PredictionWork
from cycada.inference.predictor import Predictor
from cycada.inference.sources import ABOUT, BY_CLASS, MADE_BY, MASKS, OVERLAYS, check_path, find_sources
from cycada.train.device import Precision


def predict(  # noqa: PLR0913 - all but the first three are options of the command
    what: Path | str | Predictor,
    images: Path | str,
    out: Path | str,
    *,
    top: int = 1,
    by_class: bool = False,
    overlay: bool = False,
    results: Path | str = "results",
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    screen: Progress | None = None,
) -> Predictions:
    """Predict the class of pictures, or of each of their pixels, and write the results into a folder.

    A classifier writes predictions.csv: the picture, its class, the class's probability, the entropy in nats,
    and further classes with `top`. A segmenter writes masks/ in the values and colours of the target's
    domain, each at its picture's own size, and shares.csv, the share of each class in each picture. The same
    call continues after an interruption, predicts pictures again that were changed or replaced since, and
    removes the masks and links of pictures that are there no more; files that it did not write are never
    overwritten or removed.

    Args:
        what: What `load_model` takes, or a `Predictor`.
        images: A folder, which is searched with its sub-folders; a picture; or a text file with one path per
            line.
        out: The folder of the results.
        top: How many classes predictions.csv holds for each picture.
        by_class: Write by_class/ as well: a folder for each class with links to its pictures, or copies.
        overlay: Write overlays/ as well: each picture under the colours of its mask.
        results: The folder of the runs.
        device: `auto`, `cpu` or `cuda`; the run's own where it is not given.
        precision: `fp32` or `bf16`; by default as `load_model` says.
        screen: Shows the progress; only warnings are shown without it.

    Returns:
        What became of the pictures. Those that cannot be read are in its `bad`.

    Raises:
        CycadaError: There is no such run or picture, or other files are in the way.
        Interrupted: The call was stopped by Ctrl-C or a signal.
    """
    check_path("images", images)
    screen, images, out = screen or Progress(quiet=True), Path(images), Path(out)
    predictor = what if isinstance(what, Predictor) else _classifier(what, results, device, precision)
    top = int(top) if isinstance(top, np.integer) else top
    _check_options(predictor, top, by_class, overlay)
    sources = find_sources(images, out)
    if sources.left_out:
        screen.warn(f"not read: {summarize_left_out(sources.left_out)}")
    if out.is_file():
        raise CycadaError(f"{out}: this is a file, expected a folder for the results.")
    about = {
        "made_by": MADE_BY,
        "run": predictor.identity,
        "precision": predictor.precision,
        "images": str(images.resolve()),
        "top": top,
        "classes": list(predictor.classes),
    }
    _begin(out, about)
    with locked(out / ".lock", lambda: screen.info(f"{out}: another process writes here; waiting for it")):
        work = PredictionWork(predictor, sources, out, top, overlay)
        result = Predictions(out, work.table.path, predictor.identity, left_out=dict(sources.left_out))
        work.run(result, screen)
        if not predictor.segmentation:
            result.counts = work.counts()
        if by_class:
            link_by_class(work.classified(), out / BY_CLASS, predictor.classes)
    return result


def _classifier(
    what: Path | str, results: Path | str, device: str | torch.device | None, precision: Precision | None
) -> Predictor:
    """Load a model that names classes.

    Raises:
        CycadaError: It translates.
    """
    model = load_model(what, results=results, device=device, precision=precision)
    if not isinstance(model, Predictor):
        raise CycadaError(f"{what}: found a generator, which translates. Use it with: cycada translate")
    return model


def _check_options(predictor: Predictor, top: int, by_class: bool, overlay: bool) -> None:
    """Raise CycadaError for options that have no effect with this model."""
    if not isinstance(top, int) or not 1 <= top <= len(predictor.classes):
        raise CycadaError(
            f"--top: found {shown(top)}, expected 1 to {len(predictor.classes)}, the number of classes."
        )
    for name, given in (("--top", top > 1), ("--by-class", by_class)):
        if given and predictor.segmentation:
            raise CycadaError(
                f"{name}: this model names the class of every pixel, not of pictures. Take it out."
            )
    if overlay and not predictor.segmentation:
        raise CycadaError("--overlay: this model names the class of pictures, not of pixels. Take it out.")


def _begin(out: Path, about: Mapping[str, Any]) -> None:
    """Make the folder of the results, or check that these very results are in it.

    Raises:
        CycadaError: It holds other results, or files of the same names that are none, or has the name of a
            table or picture.
    """
    if not (out / ABOUT).exists():
        if not out.exists() and out.suffix.lower() in (".csv", *SUFFIXES):
            raise CycadaError(
                f"{out}: found the name of a file, expected that of a folder for the table and all else."
            )
        for name in (PREDICTIONS, SHARES, MASKS, OVERLAYS, BY_CLASS):
            if (out / name).exists():
                raise CycadaError(
                    f"{out / name}: it was not written by cycada predict. Choose another folder, or remove "
                    "it."
                )
        write_json(prepare_folder(out) / ABOUT, about)
        return
    try:
        found = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        differing = [name for name in about if found.get(name) != about[name]]
    except (OSError, ValueError, AttributeError) as error:
        raise CycadaError(f"{out / ABOUT}: not readable ({error}). Choose another folder.") from None
    if differing:
        name = differing[0]
        raise CycadaError(
            f"{out}: it holds other predictions, with {name}: {found.get(name)}, expected {about[name]}. "
            "Choose another folder, or remove it."
        )
    prepare_folder(out)
