"""`cycada study build | serve | score`."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cycada.cli.values import COUNT, INDEX, NON_NEGATIVE, PATH, SEED, SHARE
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError
from cycada.core.registry import typed

study_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class Paired(StrEnum):
    same = "same"
    random = "random"


class Kept(StrEnum):
    jpeg = "jpeg"
    png = "png"


@study_app.command()
def build(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT.html",
            parser=PATH,
            help="The page. Its key is written beside it: keep it, and give it to nobody.",
        ),
    ],
    real: Annotated[Path, typer.Option(metavar="DIR", parser=PATH, help="Real photos.")],
    method: Annotated[
        list[str], typer.Option(metavar="NAME=DIR", help="A method and its pictures; once for each method.")
    ],
    trials: Annotated[int, typer.Option(parser=COUNT, help="Scored pairs of a session.")] = 40,
    practice: Annotated[int, typer.Option(parser=INDEX, help="Pairs before them, with feedback.")] = 10,
    pool: Annotated[
        int | None,
        typer.Option(
            parser=COUNT,
            help="Scored pairs in the page, of which each session draws. [default: as many as trials]",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long a pair is shown.")] = 1.0,
    size: Annotated[str, typer.Option(metavar="PIXELS", help="Of a side, or HEIGHTxWIDTH.")] = "256",
    pairing: Annotated[
        Paired, typer.Option(help="same: a photo and its translation, by name. random: any two.")
    ] = Paired.same,
    format: Annotated[
        Kept, typer.Option(help="Of the pictures in the page; png loses nothing and is larger.")
    ] = Kept.jpeg,
    seed: Annotated[int, typer.Option(parser=SEED, help="Draws the pairs.")] = 0,
    title: Annotated[str | None, typer.Option(help="The page's heading. Name no method in it.")] = None,
    about: Annotated[
        str, typer.Option(help="Who asks, what for, whom to turn to: shown before the start.")
    ] = "",
) -> None:
    """A web page of real-vs-fake trials that needs nothing else, as in CycleGAN's paper."""
    from cycada.study.build import TITLE, build_study

    built = build_study(
        out, real, _methods(method), trials=trials, practice=practice, pool=pool, seconds=seconds, size=_size(size),
        pairing=pairing.value, format=format.value, seed=seed, title=title or TITLE, about=about,
    )  # fmt: skip
    for note in built.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, code in built.codes.items():
        print(f"  {code}  {name}  ({built.page.name}?method={code})")
    print(f"Page: {built.page} ({built.page.stat().st_size / 1e6:.1f} MB), study {built.study}")
    print(f"Key:  {built.key}. Without it no answer can be scored; whoever has it knows them all.")


def _methods(words: list[str]) -> dict[str, Path | str]:
    found: dict[str, Path | str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise CycadaError(f"--method: found '{word}', expected NAME=DIR.")
        if name in found:
            raise CycadaError(f"--method: found '{name}' twice, expected a name of its own for each method.")
        found[name] = typed(folder, Home, f"--method {name}")
    return found


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
        Path, typer.Argument(metavar="PAGE", parser=PATH, help="What `cycada study build` wrote.")
    ],
    out: Annotated[Path, typer.Option(parser=PATH, help="Where the answers go, one file a session.")] = Path(
        "answers"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve a page on this machine alone and receive its answers, until Ctrl-C."""
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
            help="The page's key. [default: *.key.json beside the answers or one folder up]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=PATH, help="A folder for study.md, .csv, .json, .svg and people.csv."),
    ] = None,
    min_practice: Annotated[
        float,
        typer.Option(parser=SHARE, help="Leave out sessions with a smaller share right in practice, 0 to 1."),
    ] = 0.0,
    keep_hidden: Annotated[
        bool, typer.Option("--keep-hidden", help="Count trials during which the tab was out of sight.")
    ] = False,
    exposure_off: Annotated[
        float,
        typer.Option(
            parser=NON_NEGATIVE, help="Leave out trials shown for a time that is off by more than this share."
        ),
    ] = 0.2,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Count a participant's further sessions too.")
    ] = False,
    seed: Annotated[int, typer.Option(parser=SEED, help="Of the bootstrap over people.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last thing on stdout.")
    ] = False,
) -> None:
    """Fooling rate of each method, with intervals; what is left out is named."""
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
    table = Table(title=f"{shown.title}; 50 % is where nobody can tell")
    for i, head in enumerate(shown.heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in shown.rows:
        table.add_row(*map(escape, row))
    Console(highlight=False).print(table)
    for note in shown.notes:
        print(f"note: {note}", file=sys.stderr)
    if out:
        print(f"Tables and chart: {out}")
