"""`cycada translate` and `cycada export`: what trained generators are for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cycada.cli.values import PATH, TILE
from cycada.core.errors import CycadaError, shown

Results = Annotated[Path, typer.Option(parser=PATH, help="Where runs are.")]


class Direction(StrEnum):
    st = "st"
    ts = "ts"


class Format(StrEnum):
    png = "png"
    jpg = "jpg"


def translate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A stage's run folder, its id under results/runs, or what `cycada export` wrote.",
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="IN", parser=PATH, help="A folder of images, or one image.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            parser=PATH,
            help="Where the translations go, by the same names; of one, a file too.",
        ),
    ],
    direction: Annotated[
        Direction | None,
        typer.Option(help="st: source to target, the default. ts: target to source.", show_default=False),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="run|keep|N",
            help="The run's data.size, each image's own, or N pixels on the shorter side.",
        ),
    ] = "run",
    keep_size: Annotated[bool, typer.Option("--keep-size", help="The same as --size keep.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Sub-folders too.")] = False,
    form: Annotated[Format, typer.Option("--format", help="Of the translations.")] = Format.png,
    tile: Annotated[
        int,
        typer.Option(
            parser=TILE,
            help="Larger images than N x N go in tiles of N pixels, without seams. Less N, less memory.",
        ),
    ] = 512,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at the first image that cannot be read instead of leaving it out."
        ),
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto, over the run's own.")] = None,
    results: Results = Path("results"),
) -> None:
    """Translate images with a run's or an exported generator. The same command goes on after an interruption."""
    from cycada.core.progress import Progress
    from cycada.inference.folders import translate as translate_pictures

    found = translate_pictures(
        run, source, out, direction.value if direction else None, _size("keep" if keep_size else size),  # type: ignore[arg-type]
        recursive=recursive, form=form.value, tile=tile, strict=strict, results=results, device=device, screen=Progress(),
    )  # fmt: skip
    print(
        f"{found.done} images translated into {out}"
        + (f", {found.there} were there already" if found.there else "")
    )
    if complaint := found.complaint():
        raise CycadaError(complaint)


def _size(text: str) -> str | int:
    if text in ("run", "keep"):
        return text
    if not text.isdecimal() or len(text) > 5 or not 4 <= int(text) < 2**16:
        raise CycadaError(
            f"--size: found {shown(text)}, expected run, keep, or a number of pixels from 4 to 65535."
        )
    return int(text)


def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A stage's run folder, or its id under results/runs.")
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", parser=PATH, help="A folder for the generator and what belongs to it."),
    ],
    direction: Annotated[
        Direction, typer.Option(help="st: source to target. ts: target to source.")
    ] = Direction.st,
    onnx: Annotated[bool, typer.Option("--onnx", help="An ONNX file too. Needs cycada[onnx].")] = False,
    results: Results = Path("results"),
) -> None:
    """Take a generator out of its run: weights, what they are, a model card, and ONNX where asked for."""
    from cycada.inference.export import export as export_generator

    for file in export_generator(run, out, direction.value, onnx, results):  # type: ignore[arg-type]
        print(file)
