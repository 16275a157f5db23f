"""Build the page of a study, which holds all its pictures and pairs, and the key to its answers."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cycada.core.errors import CycadaError, foreign_file
from cycada.core.files import prepare_folder, write_text
from cycada.data.doubts import group_doubts
from cycada.data.picture import picture_doubts
from cycada.study.pairs import Pair, Pairing, draw_pairs
from cycada.study.pictures import Format, encoded, fitted, of_one_length
from cycada.study.records import Key, Pairs, Picture, Settings, parsed, read_bytes

TITLE = "Which picture is real?"
TEMPLATES = ("page.html.j2", "page.css", "page.js")
SIGN = b'<meta name="cycada-study"'
"""What only pages of studies hold."""
ASPECT = 0.02
"""Largest difference of log(height / width) at which a photo and its translation can show the same scene."""
THINKING = 2.0
"""Seconds a person takes for each pair besides looking at it, to estimate the minutes on the first screen."""
CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Letters of the codes that stand for methods, without vowels: no code is a word that could be a hint."""


@dataclass(frozen=True)
class Built:
    """The files of a study.

    Attributes:
        page: The page.
        key: The key to its answers.
        study: The id of the study.
        codes: Method -> the code that stands for it in the page.
        notes: What makes the task easier than it should be, and which pictures are doubtful.
    """

    page: Path
    key: Path
    study: str
    codes: dict[str, str]
    notes: list[str]


@dataclass(frozen=True)
class _Read:
    """A picture at the page's size, with the file's own (height, width) as `shape`."""

    image: Image.Image
    shape: tuple[int, int]
    digest: str


def build_study(  # noqa: PLR0913 (each is an option of its caller)
    out: Path | str,
    real: Path | str,
    methods: Mapping[str, Path | str],
    *,
    trials: int = 40,
    practice: int = 10,
    pool: int | None = None,
    seconds: float = 1.0,
    size: int | tuple[int, int] = 256,
    pairing: Pairing = "same",
    format: Format = "jpeg",
    seed: int = 0,
    title: str = TITLE,
    about: str = "",
) -> Built:
    """Write a self-contained page of real-or-fake trials.

    The task is that of CycleGAN (Zhu et al. 2017, section 5.1.1) after Isola et al. (2017). Each session
    shows the pictures of one method: `practice` pairs with feedback, then `trials` pairs without, each for
    `seconds`. Equal arguments and pictures give equal files.

    Args:
        out: The page to write. Its key is written next to it as `<out>.key.json`. No answers can be scored
            without the key, because the page does not know which pictures of the scored pairs are real.
        real: A folder of photos.
        methods: The name of each method -> the folder of its pictures.
        trials: The number of scored pairs in a session.
        practice: The number of practice pairs before them.
        pool: The number of scored pairs of each method in the page, from which a session draws `trials`; by
            default the same number.
        seconds: How long a pair is shown, 0.05 to 60.
        size: The size of a picture in pixels: one side, or (height, width).
        pairing: "same" for a photo and its translation, which have the same name; "random" for any two
            pictures.
        format: The format of the pictures in the page.
        seed: The seed that draws the pairs.
        title: The heading of the page.
        about: A text for the first screen: who asks, and for what.

    Raises:
        CycadaError: There are too few pictures, a picture cannot be used, or another file, or the key of
            another study, is in the way.
    """
    out, scored = Path(out), trials if pool is None else pool
    shape = (size, size) if isinstance(size, int) else size
    _check(real, methods, trials, practice, scored, seconds, shape)
    if out.exists() and SIGN not in read_bytes(out):
        raise foreign_file(out, "cycada study")
    drawn = draw_pairs(
        Path(real), {m: Path(folder) for m, folder in methods.items()}, pairing, practice, scored, seed
    )
    pairs = {method: [*before, *after] for method, (before, after) in drawn.items()}
    read = {
        file: _read(file, shape)
        for method_pairs in pairs.values()
        for pair in method_pairs
        for file in (pair.real, pair.fake)
    }
    for method_pairs in pairs.values():
        for pair in method_pairs:
            _check_pair(pair, read, pairing)
    settings = Settings(
        title=title,
        trials=trials,
        practice=practice,
        scored=scored,
        seconds=seconds,
        size=shape,
        pairing=pairing,
        format=format,
        seed=seed,
    )
    data, key = _assembled(settings, about, drawn, read)
    key_file = out.with_suffix(".key.json")
    _check_no_other_key(key_file, key)
    prepare_folder(out.parent)
    write_text(key_file, key.model_dump_json(indent=1) + "\n")
    write_text(out, _page(settings, about, data))
    codes = {name: code for code, name in key.methods.items()}
    return Built(
        out,
        key_file,
        key.study,
        codes,
        [*_notes(pairs, read, shape), *group_doubts({str(file): picture_doubts(file) for file in read})],
    )


def _check(
    real: Path | str,
    methods: Mapping[str, Path | str],
    trials: int,
    practice: int,
    scored: int,
    seconds: float,
    shape: tuple[int, int],
) -> None:
    if not methods:
        raise CycadaError("Found no method, expected at least one: --method NAME=FOLDER.")
    folders = [Path(folder).resolve() for folder in (real, *methods.values())]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise CycadaError(
            f"{twice}: found it twice, expected different folders for the photos and for each method."
        )
    if trials < 1 or practice < 0 or scored < trials:
        raise CycadaError(
            f"Found {practice} practice pairs and {trials} trials from {scored} pairs, expected 0 or more "
            "practice pairs, 1 or more trials, and no fewer pairs than trials."
        )
    if not 0.05 <= seconds <= 60:
        raise CycadaError(f"--seconds: found {seconds:g}, expected 0.05 to 60.")
    if not all(16 <= side <= 1024 for side in shape):
        raise CycadaError(f"--size: found {shape[0]} x {shape[1]}, expected 16 to 1024 pixels for each side.")


def _read(file: Path, shape: tuple[int, int]) -> _Read:
    image, own = fitted(file, shape)
    return _Read(image, own, hashlib.sha256(image.tobytes()).hexdigest())


def _check_pair(pair: Pair, read: Mapping[Path, _Read], pairing: Pairing) -> None:
    real, fake = read[pair.real], read[pair.fake]
    if real.digest == fake.digest:
        raise CycadaError(
            f"{pair.fake}: its pixels are those of {pair.real}, expected a generated picture next to a photo."
        )
    ratio = [side.shape[0] / side.shape[1] for side in (real, fake)]
    if pairing == "same" and abs(math.log(ratio[0] / ratio[1])) > ASPECT:
        sizes = " and ".join(f"{h} x {w}" for h, w in (real.shape, fake.shape))
        raise CycadaError(
            f"{pair.real} and {pair.fake}: found {sizes} pixels, expected the same aspect ratio. Cropped to "
            "the page's size, they would show different parts of the scene. First crop the photos to what "
            "the method was given."
        )


def _assembled(
    settings: Settings,
    about: str,
    drawn: Mapping[str, tuple[list[Pair], list[Pair]]],
    read: Mapping[Path, _Read],
) -> tuple[dict[str, Any], Key]:
    """Return the data of the page, and the key to it.

    Ids, orders and codes are drawn from the contents of the pictures as well as the seed, so nobody who has
    only the page can draw them again.
    """
    secret = hashlib.sha256(
        f"{settings.seed} {sorted(drawn)} {sorted(r.digest for r in read.values())}".encode()
    ).digest()
    random = np.random.default_rng(list(secret))
    files = sorted(read)
    ids = dict(zip(files, _unique(lambda: random.bytes(4).hex(), len(files)), strict=True))
    codes = dict(
        zip(
            sorted(drawn),
            _unique(lambda: "".join(random.choice(list(CODE_LETTERS), 3)), len(drawn)),
            strict=True,
        )
    )
    made_by = {pair.fake: codes[method] for method, both in drawn.items() for pairs in both for pair in pairs}
    pictures = {
        ids[f]: Picture(file=f.name, method=made_by.get(f)) for f in sorted(files, key=ids.__getitem__)
    }

    def shuffled(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
        both = [
            (ids[p.real], ids[p.fake]) if random.random() < 0.5 else (ids[p.fake], ids[p.real]) for p in pairs
        ]
        return [both[i] for i in random.permutation(len(both))]

    by_code = {
        codes[m]: Pairs(practice=shuffled(drawn[m][0]), scored=shuffled(drawn[m][1]))
        for m in sorted(drawn, key=codes.__getitem__)
    }
    held = of_one_length([encoded(read[f].image, settings.format) for f in files], random)
    packed = {ids[f]: base64.b64encode(data).decode() for f, data in zip(files, held, strict=True)}
    data: dict[str, Any] = {
        "trials": settings.trials,
        "seconds": settings.seconds,
        "size": settings.size,
        "mime": f"image/{settings.format}",
        "pictures": {i: packed[i] for i in pictures},
    }
    known = {
        c: {"scored": p.scored, "practice": [(a, b, int(pictures[b].method is None)) for a, b in p.practice]}
        for c, p in by_code.items()
    }
    texts = [
        settings.title,
        about,
        *(_environment().loader.get_source(_environment(), name)[0] for name in TEMPLATES),
    ]
    study = hashlib.sha256(json.dumps([data, known, texts]).encode()).hexdigest()[:16]
    data |= {"study": study, "methods": {code: _veiled(value, study) for code, value in known.items()}}
    names = {code: method for method, code in sorted(codes.items(), key=lambda item: item[1])}
    return data, Key(study=study, settings=settings, methods=names, pictures=pictures, pairs=by_code)


def _unique(draw: Any, count: int) -> list[str]:
    values: dict[str, None] = {}
    while len(values) < count:
        values[draw()] = None
    return list(values)


def _veiled(value: Any, study: str) -> str:
    """Return a value as text that cannot be read in passing, though it is not secret.

    It is the base64 of the JSON text, each byte XOR one byte of the study's id, which repeats.
    """
    text, mask = json.dumps(value, separators=(",", ":")).encode(), study.encode()
    return base64.b64encode(bytes(b ^ mask[i % len(mask)] for i, b in enumerate(text))).decode()


def _check_no_other_key(path: Path, key: Key) -> None:
    """Raise CycadaError where the key of another study exists, because its answers would be lost with it."""
    if path.exists() and parsed(Key, read_bytes(path), str(path)).study != key.study:
        raise CycadaError(
            f"{path}: found the key of another study, whose answers need it. Choose another name, or remove "
            "its page and key if nobody has answered."
        )


def _environment() -> Any:
    return Environment(
        loader=PackageLoader("cycada.study", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(settings: Settings, about: str, data: Mapping[str, Any]) -> str:
    shown = (settings.practice + settings.trials) * (
        settings.seconds + THINKING
    ) + settings.practice * THINKING
    minutes = max(1, round(shown / 60))
    html: str = (
        _environment()
        .get_template(TEMPLATES[0])
        .render(title=settings.title, about=about, practice=settings.practice, minutes=minutes, data=data)
    )
    return html


def _notes(
    pairs: Mapping[str, Sequence[Pair]], read: Mapping[Path, _Read], shape: tuple[int, int]
) -> list[str]:
    """Note where photos and pictures have different sizes, and so different sharpness after resizing."""
    notes = []
    for method, method_pairs in pairs.items():
        real, fake = (
            sorted({read[f].shape for f in files})
            for files in zip(*((p.real, p.fake) for p in method_pairs), strict=True)
        )
        if real != fake:
            sizes = " and ".join(
                f"{s[0][0]} x {s[0][1]}" + (" and others" if len(s) > 1 else "") for s in (real, fake)
            )
            notes.append(
                f"{method}: the photos and its pictures have {sizes} pixels, so sharpness alone may tell "
                "them apart. First resize the photos to the method's size."
            )
    smallest = min((r.shape for r in read.values()), key=math.prod)
    if smallest[0] < shape[0] or smallest[1] < shape[1]:
        notes.append(
            f"Pictures of {smallest[0]} x {smallest[1]} pixels are enlarged to {shape[0]} x {shape[1]}."
        )
    return notes
