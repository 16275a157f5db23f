"""The commands `cycada translate` and `cycada export`, which use trained generators."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cycada.cli.completion import run_ids
from cycada.cli.options import Plugins, Results, import_plugins
from cycada.cli.values import PATH, TILE
from cycada.core.errors import CycadaError, shown

if TYPE_CHECKING:
    from cycada.inference.translator import Size


class Direction(StrEnum):
    """The direction of a translation: source to target, or target to source."""

    st = "st"
    ts = "ts"


class Network(StrEnum):
    """The networks that can be exported."""

    f_t = "f_t"
    g_st = "g_st"
    g_ts = "g_ts"


class Format(StrEnum):
    """The file format of the translations."""

    png = "png"
    jpg = "jpg"


def translate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            autocompletion=run_ids,
            help="A stage's run folder, its id under results/runs, an experiment's name (its last stage with "
            "the generator), or what `cycada export` wrote.",
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
            help="The folder for the translations, which keep their names; for one image also a file.",
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
            help="The size of the input: the run's data.size, each image's own (keep), or N pixels on the "
            "shorter side.",
        ),
    ] = "run",
    keep_size: Annotated[bool, typer.Option("--keep-size", help="The same as --size keep.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also translate sub-folders.")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="The file format of the translations.")
    ] = Format.png,
    tile: Annotated[
        int,
        typer.Option(
            parser=TILE,
            help="Images larger than N x N are translated in tiles of N pixels, without seams. "
            "A smaller N needs less memory.",
        ),
    ] = 512,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at the first image that cannot be read instead of leaving it out."
        ),
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="The device, instead of the run's own: cpu, cuda or auto.")
    ] = None,
    plugin: Plugins = None,
    results: Results = Path("results"),
) -> None:
    """Translate images with a run's or an exported generator. The same command continues after a stop."""
    from cycada.core.progress import Progress
    from cycada.inference.folders import translate as translate_pictures

    import_plugins(plugin or ())
    if keep_size and size not in ("run", "keep"):
        raise CycadaError(f"--keep-size: found --size {size} beside it, expected one of the two.")
    translated = translate_pictures(
        run,
        source,
        out,
        direction.value if direction else None,
        _size("keep" if keep_size else size),
        recursive=recursive,
        form=form.value,
        tile=tile,
        strict=strict,
        results=results,
        device=device,
        screen=Progress(),
    )
    print(
        f"{translated.done} images translated into {out}"
        + (f", {translated.there} were there already" if translated.there else "")
    )
    if complaint := translated.complaint():
        raise CycadaError(complaint)


def _size(text: str) -> Size:
    if text == "run":
        return "run"
    if text == "keep":
        return "keep"
    if not text.isdecimal() or len(text) > 5 or not 4 <= int(text) < 2**16:
        raise CycadaError(
            f"--size: found {shown(text)}, expected run, keep, or a number of pixels from 4 to 65535."
        )
    return int(text)


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            autocompletion=run_ids,
            help="A stage's run folder, its id under results/runs, or an experiment's name.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", parser=PATH, help="The folder for the network and its model card."),
    ],
    network: Annotated[
        Network | None,
        typer.Option(
            help="The network to export, instead of the one that the stage is for.", show_default=False
        ),
    ] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(help="A generator: st is --network g_st, ts is --network g_ts.", show_default=False),
    ] = None,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Also write an ONNX file and compare it with torch. Needs cycada[onnx]."),
    ] = False,
    torch_export: Annotated[
        bool, typer.Option("--torch-export", help="Also write a program of torch.export, model.pt2.")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """Export a classifier, segmenter or generator in the layout of the Hugging Face Hub."""
    from cycada.inference.export import export as export_network

    for file in export_network(
        run,
        out,
        direction.value if direction else None,
        onnx,
        results,
        network=network.value if network else None,
        torch_export=torch_export,
    ):
        print(file)
