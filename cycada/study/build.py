"""`cycada study build`: pictures and their pairs into one page that needs nothing else, and the key to its answers beside it."""

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

from cycada.core.errors import CycadaError
from cycada.core.files import ready, write_text
from cycada.data.doubts import grouped
from cycada.data.picture import picture_doubts
from cycada.study.pairs import Pair, Pairing, draw_pairs
from cycada.study.pictures import Format, encoded, fitted, of_one_length
from cycada.study.records import Key, Pairs, Picture, Settings, content, parsed

TITLE = "Which picture is real?"
TEMPLATES = ("page.html.j2", "page.css", "page.js")
ASPECT = 0.02
"""By how much height / width of a photo and its translation may differ before the two can not show the same."""
THINKING = 2.0
"""Seconds a person takes on each pair beside looking at it, for the minutes that the first screen foretells."""
CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels: a code is no word, and so no hint."""


@dataclass(frozen=True)
class Built:
    """page, key: the files. codes: method -> the code that the page knows it by.

    notes: what makes the task easier than it should be, and which pictures are in doubt.
    """

    page: Path
    key: Path
    study: str
    codes: dict[str, str]
    notes: list[str]


@dataclass(frozen=True)
class _Read:
    """A picture at the page's size. shape: the file's own (height, width)."""

    image: Image.Image
    shape: tuple[int, int]
    digest: str


def build_study(
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
    """A self-contained page of real-vs-fake trials, CycleGAN (Zhu et al. 2017, section 5.1.1) after Isola et al. (2017).

    real: a folder of photos. methods: name -> folder of its pictures. Each session shows one method: `practice` pairs with feedback,
    then `trials` without, each for `seconds`. pool: how many scored pairs of each method the page holds, of which a session draws
    `trials`; default all. size: pixels of a side, or (height, width). about: who asks, for the first screen. Writes `out` and, beside
    it, `<out>.key.json`, without which no answer can be scored: the page does not know which pictures of the scored pairs are real.
    Equal arguments and pictures give equal files. Raises CycadaError.
    """
    out, scored = Path(out), trials if pool is None else pool
    shape = (size, size) if isinstance(size, int) else size
    _check(real, methods, trials, practice, scored, seconds, shape)
    drawn = draw_pairs(
        Path(real), {m: Path(folder) for m, folder in methods.items()}, pairing, practice, scored, seed
    )
    pairs = {method: [*before, *after] for method, (before, after) in drawn.items()}
    read = {
        file: _read(file, shape)
        for several in pairs.values()
        for pair in several
        for file in (pair.real, pair.fake)
    }
    for several in pairs.values():
        for pair in several:
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
    beside = out.with_suffix(".key.json")
    _spare(beside, key)
    ready(out.parent)
    write_text(beside, key.model_dump_json(indent=1) + "\n")
    write_text(out, _page(settings, about, data))
    codes = {name: code for code, name in key.methods.items()}
    return Built(
        out,
        beside,
        key.study,
        codes,
        [*_notes(pairs, read, shape), *grouped({str(file): picture_doubts(file) for file in read})],
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
            f"{twice}: found it twice, expected a folder of its own for the photos and for each method."
        )
    if trials < 1 or practice < 0 or scored < trials:
        raise CycadaError(
            f"Found {practice} practice, {trials} trials of {scored} pairs, expected >= 0, >= 1 and no fewer pairs than trials."
        )
    if not 0.05 <= seconds <= 60:
        raise CycadaError(f"--seconds: found {seconds:g}, expected 0.05 to 60.")
    if not all(16 <= side <= 1024 for side in shape):
        raise CycadaError(f"--size: found {shape[0]} x {shape[1]}, expected 16 to 1024 pixels a side.")


def _read(file: Path, shape: tuple[int, int]) -> _Read:
    image, own = fitted(file, shape)
    return _Read(image, own, hashlib.sha256(image.tobytes()).hexdigest())


def _check_pair(pair: Pair, read: Mapping[Path, _Read], pairing: Pairing) -> None:
    real, fake = read[pair.real], read[pair.fake]
    if real.digest == fake.digest:
        raise CycadaError(
            f"{pair.fake}: its pixels are those of {pair.real}, expected a generated picture beside a photo."
        )
    ratio = [side.shape[0] / side.shape[1] for side in (real, fake)]
    if pairing == "same" and abs(math.log(ratio[0] / ratio[1])) > ASPECT:
        found = " and ".join(f"{h} x {w}" for h, w in (real.shape, fake.shape))
        raise CycadaError(
            f"{pair.real} and {pair.fake}: found {found} pixels, expected one height / width. CropBatch to the page's size they would show "
            "different parts of the scene. Bring the photos to what the method was given first."
        )


def _assembled(
    settings: Settings,
    about: str,
    drawn: Mapping[str, tuple[list[Pair], list[Pair]]],
    read: Mapping[Path, _Read],
) -> tuple[dict[str, Any], Key]:
    """What the page holds, and the key to it. Ids, orders and codes come from the pictures: nobody who has the page alone can

    draw them again, whatever the seed.
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
        "trials": settings.trials, "seconds": settings.seconds, "size": settings.size, "mime": f"image/{settings.format}",
        "pictures": {i: packed[i] for i in pictures},
    }  # fmt: skip
    known = {
        c: {"scored": p.scored, "practice": [(a, b, int(pictures[b].method is None)) for a, b in p.practice]}
        for c, p in by_code.items()
    }
    told = [
        settings.title,
        about,
        *(_environment().loader.get_source(_environment(), name)[0] for name in TEMPLATES),
    ]
    study = hashlib.sha256(json.dumps([data, known, told]).encode()).hexdigest()[:16]
    data |= {"study": study, "methods": {code: _veiled(value, study) for code, value in known.items()}}
    names = {code: method for method, code in sorted(codes.items(), key=lambda item: item[1])}
    return data, Key(study=study, settings=settings, methods=names, pictures=pictures, pairs=by_code)


def _unique(draw: Any, count: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw()] = None
    return list(found)


def _veiled(value: Any, study: str) -> str:
    """Not secret, but not to be read in passing: base64 of the JSON text, each byte XOR one of the study's id, which repeats."""
    text, mask = json.dumps(value, separators=(",", ":")).encode(), study.encode()
    return base64.b64encode(bytes(b ^ mask[i % len(mask)] for i, b in enumerate(text))).decode()


def _spare(beside: Path, key: Key) -> None:
    """A key that is gone takes all answers with it."""
    if beside.exists() and parsed(Key, content(beside), str(beside)).study != key.study:
        raise CycadaError(
            f"{beside}: found the key of another study, whose answers need it. Choose another name, or remove page and key if nobody "
            "has answered."
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
    """Different sizes before, and so different sharpness after."""
    notes = []
    for method, several in pairs.items():
        real, fake = (
            sorted({read[f].shape for f in files})
            for files in zip(*((p.real, p.fake) for p in several), strict=True)
        )
        if real != fake:
            found = " and ".join(
                f"{s[0][0]} x {s[0][1]}" + (" and others" if len(s) > 1 else "") for s in (real, fake)
            )
            notes.append(
                f"{method}: photos of {found} pixels: sharpness alone may tell them apart. Bring the photos to the method's size first."
            )
    smallest = min((r.shape for r in read.values()), key=math.prod)
    if smallest[0] < shape[0] or smallest[1] < shape[1]:
        notes.append(
            f"Pictures of {smallest[0]} x {smallest[1]} pixels are enlarged to {shape[0]} x {shape[1]}."
        )
    return notes
