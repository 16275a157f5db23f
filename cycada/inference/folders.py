"""Folders of pictures through a translator: names and EXIF kept, bad files named, gone on with after an interruption."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cycada.core.errors import CycadaError
from cycada.core.files import ready
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.data.doubts import grouped
from cycada.data.picture import SUFFIXES, describe_folder, image_files, picture_doubts, read_picture
from cycada.data.translated import is_whole
from cycada.inference.image_writer import Format, mark_of, save_like
from cycada.inference.tiling import TILE
from cycada.inference.translator import Size, Translator, load_generator
from cycada.methods import Direction


@dataclass
class Translation:
    """What became of the pictures: how many were translated, how many were there already, and why others could not be.

    doubts: file -> what of it could not be known, of those that were translated now.
    """

    out: Path
    done: int = 0
    there: int = 0
    bad: dict[Path, str] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)

    def complaint(self) -> str:
        """One line for every bad picture below how many there were; empty where there were none."""
        if not self.bad:
            return ""
        count = len(self.bad) + self.done + self.there
        some = [f"  {why}" for why in list(self.bad.values())[:20]] + ["  ..."] * (len(self.bad) > 20)
        return "\n".join(
            [f"{len(self.bad)} of {count} images could not be translated; all others are done.", *some]
        )


def translate(
    what: Path | str | Translator,
    source: Path | str,
    out: Path | str,
    direction: Direction | None = None,
    size: Size = "run",
    *,
    recursive: bool = False,
    form: Format = "png",
    tile: int = TILE,
    strict: bool = False,
    results: Path | str = "results",
    device: str | None = None,
    screen: Progress | None = None,
) -> Translation:
    """Every picture of a folder, or one picture, through a run's generator, an exported one, or a `Translator`.

    what: a run folder, the beginning of a run's id, a folder or file of `cycada export`, or what `load_generator` gives. source: a
    folder (with its sub-folders if `recursive`) or a file. out: a folder, where pictures keep their names; or a file, of one
    picture. direction: st or ts. size: `run`, that of the training; `keep`, each picture's own; or pixels on the shorter side.
    tile: pictures of more than tile ** 2 pixels go by tiles, without seams (`train/tiles.py`). form: png or jpg.

    Pictures are written whole or not at all, with the EXIF of their originals, and with a mark of what made them: what is in `out`
    already with the same mark is left alone, so that the same call goes on after an interruption; anything else of such a name is
    refused before the first is translated. A bad picture is named in the result, or raises if `strict`. Raises CycadaError, and
    Interrupted after Ctrl-C.
    """
    screen = screen or Progress(quiet=True)
    translator = what if isinstance(what, Translator) else load_generator(what, direction, results, device)
    translator.check(size)
    source, out = Path(source), Path(out)
    todo = _one(source, out, form) if source.is_file() else _folder(source, out, recursive, form)
    for place in {to.parent for _, to in todo if to.parent.is_dir()}:
        ready(place)
    mark = f"{translator.identity} {translator.direction} size={size}"
    result = Translation(out)
    missing = [(file, to) for file, to in todo if not _is_there(to, mark)]
    result.there = len(todo) - len(missing)
    _translate(translator, missing, size, tile, mark, strict, screen, result)
    return result


def _translate(
    translator: Translator,
    missing: Sequence[tuple[Path, Path]],
    size: Size,
    tile: int,
    mark: str,
    strict: bool,
    screen: Progress,
    result: Translation,
) -> None:
    count = len(missing) + result.there
    screen.begin("translate", result.there, count)
    began = time.perf_counter()
    with stop_on_signal(enabled=True) as stopped:

        def report(share: float) -> None:
            """Of the picture at hand. Between two tiles, too, one may stop."""
            past = result.there + result.done + len(result.bad)
            screen.update(past + share, result.done / (time.perf_counter() - began), {})
            if stopped.is_set() and share < 1 and past + share < count:
                raise Interrupted(_stopped(past, count))

        try:
            for file, to in missing:
                try:
                    picture = read_picture(file, 3 if translator.channels == 3 else 1)
                except CycadaError as error:
                    if strict:
                        raise
                    result.bad[file] = str(error)
                    screen.warn(f"skipped: {error}")
                    continue
                try:
                    translated = translator(picture, size, tile, report)
                except Interrupted:
                    raise
                except CycadaError as error:
                    raise CycadaError(f"{file}: {error}") from None
                if doubts := picture_doubts(file):
                    result.doubts[str(file)] = doubts
                to.parent.mkdir(parents=True, exist_ok=True)
                save_like(to, translated, file, mark)
                result.done += 1
                report(0.0)
        finally:
            screen.end()
            for doubt in grouped(result.doubts):
                screen.warn(doubt)


def _stopped(past: int, count: int) -> str:
    return f"Stopped after {past} of {count} translations. The same command goes on from there."


def _is_there(to: Path, mark: str) -> bool:
    """Whether this very translation is there. Raises CycadaError where something else is."""
    if not to.exists() or to.stat().st_size == 0:
        return False
    if (found := mark_of(to)) == mark:
        return is_whole(to)
    made = f"was made by '{found}'" if found else "was not made by cycada translate"
    raise CycadaError(
        f"{to}: a picture of this name is there already, but it {made}, expected '{mark}'. Choose another place, or remove it."
    )


def _one(source: Path, out: Path, form: Format) -> list[tuple[Path, Path]]:
    if out.is_dir() or not out.suffix:
        return [(source, out / f"{source.stem}.{form}")]
    if out.suffix not in (".png", ".jpg"):
        raise CycadaError(f"{out}: pictures are written as .png or .jpg.")
    if out.resolve() == source.resolve():
        raise CycadaError(f"{out}: this is the picture to be translated. Choose another place.")
    return [(source, out)]


def _folder(source: Path, out: Path, recursive: bool, form: Format) -> list[tuple[Path, Path]]:
    """Every picture with the place of its translation. Raises CycadaError for no pictures, and for `out` in the way of them."""
    if not source.is_dir():
        raise CycadaError(f"{source.resolve()}: no such folder of images, and no such image.")
    if out.is_file():
        raise CycadaError(f"{out}: this is a file, expected a folder for the translations of {source}.")
    if out.resolve() == source.resolve():
        raise CycadaError(
            f"{out}: translations would lie among the pictures that they are made from. Choose another folder."
        )
    folders = [source, *sorted(p for p in source.rglob("*") if p.is_dir())] if recursive else [source]
    folders = [f for f in folders if not f.resolve().is_relative_to(out.resolve())]
    found = [pair for f in folders for pair in _named(image_files(f), out / f.relative_to(source), form)]
    if not found:
        hint = "" if recursive else " Its sub-folders are looked into with --recursive."
        raise CycadaError(
            f"{source.resolve()}: found no images in this folder, expected files ending in {', '.join(SUFFIXES)}. "
            f"{describe_folder(source)}{hint}"
        )
    return found


def _named(files: Sequence[Path], out: Path, form: Format) -> list[tuple[Path, Path]]:
    """`a.jpg` becomes `a.png`; beside an `a.tif` both keep their whole names, `a.jpg.png` and `a.tif.png`, and so do all where a third

    is called that.
    """
    stems = Counter(f.stem.casefold() for f in files)
    names = [f"{f.stem if stems[f.stem.casefold()] == 1 else f.name}.{form}" for f in files]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{f.name}.{form}" for f in files]
    return [(f, out / name) for f, name in zip(files, names, strict=True)]
