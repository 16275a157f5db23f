"""The command `cycada predict`, which uses trained classifiers and segmenters."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.completion import run_ids
from cycada.cli.options import Json, Plugins, Results, import_plugins
from cycada.cli.values import COUNT, PATH
from cycada.core.errors import CycadaError


class Precision(StrEnum):
    """The precision of forward passes."""

    fp32 = "fp32"
    bf16 = "bf16"


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            autocompletion=run_ids,
            help="A stage's run folder, its id under results/runs, an experiment's name (its last stage with "
            "a classifier), or what `cycada export` wrote.",
        ),
    ],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            parser=PATH,
            help="A folder of images and sub-folders, one image, or a text file with one path per line.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", parser=PATH, help="The folder for the results.")],
    top: Annotated[
        int, typer.Option(parser=COUNT, help="How many classes predictions.csv holds for each image.")
    ] = 1,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Also write a folder for each class with links to its images.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write each image under the colours of its mask.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="The device, instead of the run's own: cpu, cuda or auto.")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="The precision, instead of that of the run's scores; that of an export is fp32.",
            show_default=False,
        ),
    ] = None,
    plugin: Plugins = None,
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Predict the class of images, or of their pixels. The same command continues after a stop."""
    from cycada.core.progress import Progress
    from cycada.inference.prediction_folder import predict as predict_pictures

    import_plugins(plugin or ())
    found = predict_pictures(
        run,
        images,
        out,
        top=top,
        by_class=by_class,
        overlay=overlay,
        results=results,
        device=device,
        precision=precision.value if precision else None,
        screen=Progress(),
    )
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        before = f", {found.there} were predicted already" if found.there else ""
        print(f"{found.done} images predicted by run {found.run}{before}: {found.table}")
    if complaint := found.complaint():
        raise CycadaError(complaint)
