"""The commands `cycada study build`, `serve` and `score`."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cycada.cli.options import Json
from cycada.cli.values import COUNT, INDEX, NON_NEGATIVE, PATH, SEED, SHARE
from cycada.core.bounds import Home
from cycada.core.console import make_plain_console
from cycada.core.errors import CycadaError
from cycada.core.registry import typed

study_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Paired(StrEnum):
    """How a real and a generated picture make a pair."""

    same = "same"
    random = "random"


class Kept(StrEnum):
    """The format of the pictures inside the page."""

    jpeg = "jpeg"
    png = "png"


@study_app.command()
def build(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT.html",
            parser=PATH,
            help="The page to write. Its key is written next to it: keep it, and keep it secret.",
        ),
    ],
    real: Annotated[Path, typer.Option(metavar="DIR", parser=PATH, help="The folder of real photos.")],
    method: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=DIR", help="A method and the folder of its pictures; once for each method."
        ),
    ],
    trials: Annotated[int, typer.Option(parser=COUNT, help="The number of scored pairs in a session.")] = 40,
    practice: Annotated[
        int, typer.Option(parser=INDEX, help="The number of practice pairs before them, with feedback.")
    ] = 10,
    pool: Annotated[
        int | None,
        typer.Option(
            parser=COUNT,
            help="The number of scored pairs in the page, from which each session draws its own. "
            "[default: as many as trials]",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How many seconds a pair is shown.")] = 1.0,
    size: Annotated[
        str, typer.Option(metavar="PIXELS", help="The size of a picture: one side, or HEIGHTxWIDTH.")
    ] = "256",
    pairing: Annotated[
        Paired, typer.Option(help="same: a photo and its translation, by file name. random: any two.")
    ] = Paired.same,
    format: Annotated[
        Kept, typer.Option(help="The format of the pictures in the page; png is lossless and larger.")
    ] = Kept.jpeg,
    seed: Annotated[int, typer.Option(parser=SEED, help="The seed that draws the pairs.")] = 0,
    title: Annotated[
        str | None, typer.Option(help="The heading of the page. It must not name a method.")
    ] = None,
    about: Annotated[
        str,
        typer.Option(help="A text shown before the start: who asks, for what, and whom to turn to."),
    ] = "",
) -> None:
    """Write one web page of real-or-fake trials, as in CycleGAN's paper."""
    from cycada.study.build import TITLE, build_study

    built = build_study(
        out,
        real,
        _methods(method),
        trials=trials,
        practice=practice,
        pool=pool,
        seconds=seconds,
        size=_size(size),
        pairing=pairing.value,
        format=format.value,
        seed=seed,
        title=title or TITLE,
        about=about,
    )
    for note in built.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, code in built.codes.items():
        print(f"  {code}  {name}  ({built.page.name}?method={code})")
    print(f"Page: {built.page} ({built.page.stat().st_size / 1e6:.1f} MB), study {built.study}")
    print(
        f"Key:  {built.key}. No answers can be scored without it, and whoever has it knows every right "
        "answer."
    )


def _methods(words: list[str]) -> dict[str, Path | str]:
    folders: dict[str, Path | str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise CycadaError(f"--method: found '{word}', expected NAME=DIR.")
        if name in folders:
            raise CycadaError(f"--method: found '{name}' twice, expected a name of its own for each method.")
        folders[name] = typed(folder, Home, f"--method {name}")
    return folders


def _size(text: str) -> int | tuple[int, int]:
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(p.isascii() and p.isdigit() for p in parts):
        raise CycadaError(
            f"--size: found '{text}', expected pixels such as 256, or HEIGHTxWIDTH such as 128x256."
        )
    sides = [int(p) for p in parts]
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


@study_app.command()
def serve(
    page: Annotated[
        Path, typer.Argument(metavar="PAGE", parser=PATH, help="The page that `cycada study build` wrote.")
    ],
    out: Annotated[
        Path, typer.Option(parser=PATH, help="The folder for the answers, one file per session.")
    ] = Path("answers"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")
    ] = 8000,
) -> None:
    """Serve a page on this machine, and receive its answers. Only this machine can reach it, until Ctrl-C."""
    from cycada.study.serve import serve_study

    serve_study(page, out, port, lambda line: print(line, flush=True))


@study_app.command()
def score(
    answers: Annotated[
        list[Path],
        typer.Argument(metavar="ANSWERS...", parser=PATH, help="Answers files, or folders of them."),
    ],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            parser=PATH,
            help="The key of the page. [default: *.key.json next to the answers, or one folder up]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=PATH, help="A folder for study.md, .csv, .json, .svg and people.csv."),
    ] = None,
    min_practice: Annotated[
        float,
        typer.Option(
            parser=SHARE,
            help="Leave out sessions with a smaller share of right answers in practice, from 0 to 1.",
        ),
    ] = 0.0,
    keep_hidden: Annotated[
        bool, typer.Option("--keep-hidden", help="Also count trials during which the tab was hidden.")
    ] = False,
    exposure_off: Annotated[
        float,
        typer.Option(
            parser=NON_NEGATIVE,
            help="Leave out trials whose time on screen was wrong by more than this share of it.",
        ),
    ] = 0.2,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Also count the later sessions of a participant.")
    ] = False,
    seed: Annotated[int, typer.Option(parser=SEED, help="The seed of the bootstrap over people.")] = 0,
    as_json: Json = False,
) -> None:
    """Compute how often each method fooled people. It lists what is left out, with reasons."""
    from cycada.study.score import score_study
    from cycada.study.sheets import sheet

    scored = score_study(
        answers,
        key or (),
        out,
        min_practice=min_practice,
        keep_hidden=keep_hidden,
        exposure_off=exposure_off,
        repeats=repeats,
        seed=seed,
    )
    if as_json:
        print(json.dumps(scored.as_dict()))
        return
    shown = sheet(scored)
    table = Table(title=f"{shown.title}; at 50 % nobody can tell fake from real")
    for i, head in enumerate(shown.heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in shown.rows:
        table.add_row(*row)
    make_plain_console().print(table)
    for note in shown.notes:
        print(f"note: {note}", file=sys.stderr)
    if out:
        print(f"Tables and chart: {out}")
