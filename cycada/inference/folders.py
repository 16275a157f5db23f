"""Translation of folders of pictures: names and EXIF are kept, and an interrupted call can be continued."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from cycada.core.errors import CycadaError, list_some, shown
from cycada.core.files import bytes_digest, changed_since, file_digest, prepare_folder
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.progress import Progress
from cycada.data.doubts import find_masks_among, group_doubts, join_doubts, summarize_left_out
from cycada.data.picture import SUFFIXES, describe_folder, list_pictures, picture_doubts, read_picture
from cycada.data.translated import is_whole
from cycada.inference.failures import describe_failures
from cycada.inference.image_writer import Format, mark_of, save_like
from cycada.inference.sources import check_path, leave_out_results
from cycada.inference.tiling import TILE
from cycada.inference.translator import Size, Translator, load_generator
from cycada.methods import Direction


@dataclass
class Translation:
    """The result of translating pictures.

    Attributes:
        out: The folder, or the file, with the translations.
        done: How many pictures were translated.
        there: How many were translated already, by an earlier call.
        bad: Pictures that could not be translated, and why.
        doubts: For each picture that was translated now, what could not be known about it.
        left_out: Files and folders beside the pictures, each with the reason why it is not translated.
    """

    out: Path
    done: int = 0
    there: int = 0
    bad: dict[Path, str] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def complaint(self) -> str:
        """Return how many pictures failed, and why the first 20 did; empty where none failed."""
        return describe_failures(
            list(self.bad.values()), len(self.bad) + self.done + self.there, "translated"
        )


def translate(  # noqa: PLR0913 (each is an option of its caller)
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
    device: str | torch.device | None = None,
    screen: Progress | None = None,
) -> Translation:
    """Translate one picture, or all pictures of a folder.

    Each picture is written completely or not at all, with the EXIF of its original and with a mark of what
    made it and of what. A picture in `out` with the same mark is left alone, so that the same call continues
    after an interruption. Where the original was changed afterwards, or another one has its name now, it is
    translated anew, and a translation whose name would be another one today is removed; both are warned of.
    If any other file has the name of a translation, the call is refused before the first picture is
    translated.

    Args:
        what: A run folder, the beginning of a run's id, the name of an experiment, a folder or a file of
            `cycada export`, or a `Translator`.
        source: A picture, or a folder of pictures.
        out: A folder, where pictures keep their names; or a file, for one picture.
        direction: `st`, source to target, or `ts`.
        size: `run`: the size of the training. `keep`: each picture's own size. A number: pixels of the
            shorter side.
        recursive: Take the pictures of sub-folders, too.
        form: The format of the translations, `png` or `jpg`.
        tile: Pictures of more than tile ** 2 pixels are translated in tiles, without seams
            (`inference/tiling.py`).
        strict: Raise for a bad picture, in place of noting it in the result.
        results: The folder of the runs.
        device: `auto`, `cpu` or `cuda`; the run's own where it is not given.
        screen: Shows the progress; nothing is shown without it.

    Raises:
        CycadaError: There is no such generator or picture, a file is in the way, or a picture is bad and
            `strict` is set.
        Interrupted: The call was stopped by Ctrl-C or a signal.
    """
    screen = screen or Progress(quiet=True)
    if form not in ("png", "jpg"):
        raise CycadaError(f"form: found {shown(form)}, expected png or jpg.")
    check_path("source", source)
    translator = what if isinstance(what, Translator) else load_generator(what, direction, results, device)
    translator.check(size)
    source, out = Path(source), Path(out)
    result = Translation(out)
    if source.is_file():
        pairs = _pair_of_file(source, out, form)
        if (suffix := pairs[0][1].suffix) != f".{form}" and form != "png":
            screen.warn(f"--format {form}: the translation is written to {out}, as {suffix[1:]}.")
    else:
        pairs, result.left_out = _pairs_of_folder(source, out, recursive, form)
        if out.resolve().is_relative_to(source.resolve()):
            screen.warn(
                f"{out}: it lies in {source}, so that a command that searches the sub-folders of {source}, "
                "such as cycada predict, reads the translations among its pictures. A folder beside it "
                "avoids this."
            )
    if result.left_out:
        screen.warn(f"{source}: not translated: {summarize_left_out(result.left_out)}.")
    for folder in {to.parent for _, to in pairs if to.parent.is_dir()}:
        prepare_folder(folder)
    mark = f"{translator.identity} {translator.direction} size={size}"
    missing = [(file, to) for file, to in pairs if not _is_there(to, mark, file)]
    if again := sum(to.exists() and to.stat().st_size > 0 for _, to in missing):
        screen.warn(
            f"{out}: {again} translations there are of other pictures, or of these before they were changed, "
            "and are replaced."
        )
    result.there = len(pairs) - len(missing)
    inside = f" in={bytes_digest(os.fsencode(source.resolve()), 8)}" if source.is_dir() else ""
    if inside:
        written = (out.rglob if recursive else out.glob)(f"*.{form}")
        if others := find_others(written, [to for _, to in pairs], _is_of_folder(mark, inside)):
            _drop_renamed(others, [file for file, _ in pairs], mark, inside, out, screen)
    _translate(translator, missing, size, tile, partial(_whole_mark, mark, inside), strict, screen, result)
    return result


def _is_of_folder(mark: str, inside: str) -> Callable[[str], bool]:
    """Return the function that tells by its mark whether a translation is of a folder's picture."""
    return lambda found: found.startswith(f"{mark} of=") and found.endswith(inside)


def _drop_renamed(
    others: Sequence[Path], pictures: Sequence[Path], mark: str, inside: str, out: Path, screen: Progress
) -> None:
    """Remove translations of the folder's pictures under names of before, and name those of no picture.

    With the pictures of a folder, the names of their translations change, and none must stay under a name
    that is another picture's.

    Args:
        others: Translations that an equal call wrote, and this one does not write.
        pictures: The pictures of the folder.
        mark: What made the translations.
        inside: The end of the mark of this folder's pictures.
        out: The folder of the translations.
        screen: Where it is said.
    """
    today = {_whole_mark(mark, inside, file) for file in pictures}
    if renamed := [file for file in others if mark_of(file) in today]:
        for file in renamed:
            file.unlink()
        names = [str(file.relative_to(out)) for file in renamed]
        screen.warn(f"{out}: removed, since they have other names now: {list_some(names)}.")
    if left := [str(file.relative_to(out)) for file in others if file not in renamed]:
        screen.warn(f"{out}: translations of pictures that are gone stay: {list_some(left)}.")


def find_others(files: Iterable[Path], kept: Iterable[Path], ours: Callable[[str], bool]) -> list[Path]:
    """Return the pictures of an earlier call that this one does not write.

    Args:
        files: The files that there are.
        kept: The files that this call writes, of which some may be absent.
        ours: Whether a mark says that such a call wrote the file that has it.
    """
    # A file system may spell the name of a file that stays in another way, such as in capitals.
    same = {file.stat().st_ino for file in kept if file.exists()}
    others = [file for file in sorted(files) if file.is_file() and file.stat().st_ino not in same]
    return [file for file in others if ours(mark_of(file) or "")]


def _translate(
    translator: Translator,
    missing: Sequence[tuple[Path, Path]],
    size: Size,
    tile: int,
    mark_for: Callable[[Path], str],
    strict: bool,
    screen: Progress,
    result: Translation,
) -> None:
    """Translate the missing pictures, and note the outcome in `result`."""
    count = len(missing) + result.there
    screen.begin("translate", result.there, count)
    began = time.perf_counter()
    with stop_on_signal(enabled=True) as stopped:

        def report(share: float) -> None:
            """Report the share done of the current picture; stop, also between two tiles, if asked to."""
            finished = result.there + result.done + len(result.bad)
            screen.update(finished + share, result.done / (time.perf_counter() - began), {})
            if stopped.is_set() and share < 1 and finished + share < count:
                raise Interrupted(
                    f"Stopped after {finished} of {count} translations. "
                    "The same command continues from there."
                )

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
                save_like(to, translated, file, mark_for(file))
                result.done += 1
                report(0.0)
        finally:
            screen.end()
            among = find_masks_among(file for file, _ in missing)
            for doubt in group_doubts(join_doubts(result.doubts, among)):
                screen.warn(doubt)


def _whole_mark(mark: str, inside: str, file: Path) -> str:
    """Return what made a translation, with the digest of its original and of the folder it was given in."""
    return f"{mark} of={file_digest(file, 8)}{inside}"


def _is_there(to: Path, mark: str, file: Path) -> bool:
    """Return whether this very translation of a picture exists; it does not where the picture is another one.

    Raises:
        CycadaError: There is another file of this name.
    """
    if not to.exists() or to.stat().st_size == 0:
        return False
    other = mark_of(to)
    if other == mark:  # of an earlier version, which did not note the original
        return is_whole(to) and not changed_since(file, to.stat().st_mtime)
    if other and other.startswith(f"{mark} of="):
        return is_whole(to) and other.partition(" in=")[0] == _whole_mark(mark, "", file)
    made = f"was made by '{other.partition(' of=')[0]}'" if other else "was not made by cycada translate"
    raise CycadaError(
        f"{to}: there is already a picture of this name, but it {made}, expected '{mark}'. "
        "Choose another folder, or remove it."
    )


def _pair_of_file(source: Path, out: Path, form: Format) -> list[tuple[Path, Path]]:
    """Return a picture with the file of its translation."""
    if out.is_dir() or not out.suffix:
        return [(source, out / f"{source.stem}.{form}")]
    if out.suffix not in (".png", ".jpg"):
        raise CycadaError(f"{out}: pictures are written as .png or .jpg.")
    if out.resolve() == source.resolve():
        raise CycadaError(f"{out}: this is the picture to be translated. Choose another file.")
    return [(source, out)]


def _pairs_of_folder(
    source: Path, out: Path, recursive: bool, form: Format
) -> tuple[list[tuple[Path, Path]], dict[str, str]]:
    """Return every picture of a folder with the file of its translation, and what is no picture.

    Raises:
        CycadaError: There are no pictures, or `out` is in the way of them.
    """
    if not source.is_dir():
        raise CycadaError(f"{source.resolve()}: no such folder of images, and no such image.")
    if out.is_file() or (not out.exists() and out.suffix.lower() in SUFFIXES):
        what = "this is a file" if out.exists() else "found the name of a picture"
        raise CycadaError(f"{out}: {what}, expected a folder for the translations of {source}.")
    if out.resolve() == source.resolve():
        raise CycadaError(
            f"{out}: the translations would lie among the pictures that they are made from. Choose another "
            "folder."
        )
    content = leave_out_results(list_pictures(source, recursive), source, out)
    by_folder: dict[Path, list[Path]] = {}
    for file in content.pictures:
        by_folder.setdefault(file.parent, []).append(file)
    # `out` may lie within the folder: earlier translations are no pictures to translate
    own = {f: f.resolve().is_relative_to(out.resolve()) for f in {*by_folder, *content.left_out}}
    pairs = [
        pair
        for folder, files in by_folder.items()
        if not own[folder]
        for pair in named_outputs(files, out / folder.relative_to(source), form)
    ]
    left_out = {str(path): why for path, why in content.left_out.items() if not own[path]}
    left_out |= {
        str(file): "it lies in the folder of the translations, and is none"
        for folder, files in by_folder.items()
        for file in (files if own[folder] else ())
        if mark_of(file) is None
    }
    if not pairs:
        hint = "" if recursive else " With --recursive its sub-folders are searched, too."
        raise CycadaError(
            f"{source.resolve()}: found no images in this folder, expected files ending in "
            f"{', '.join(SUFFIXES)}. "
            f"{describe_folder(source)}{hint}"
        )
    return pairs, left_out


def named_outputs(files: Sequence[Path], out: Path, form: Format) -> list[tuple[Path, Path]]:
    """Return files with those of their translations, whose names must differ.

    `a.jpg` becomes `a.png`. Beside an `a.tif`, both keep their whole names, `a.jpg.png` and `a.tif.png`; and
    so do all files where that would collide with a third one.
    """
    stems = Counter(f.stem.casefold() for f in files)
    names = [f"{f.stem if stems[f.stem.casefold()] == 1 else f.name}.{form}" for f in files]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{f.name}.{form}" for f in files]
    return [(f, out / name) for f, name in zip(files, names, strict=True)]
