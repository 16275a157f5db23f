"""The shipped recipes: configs inside the package, which are found by name where there is no such file.

The folder `cycada/configs` is a link to `configs` in the repository, and a folder of the installed package.
"""

from __future__ import annotations

import difflib
import re
import sys
from functools import cache
from importlib import resources
from pathlib import Path

from cycada.core.errors import CycadaError, list_some, shown

SUFFIXES = (".yaml", ".yml")
"""Endings of the names of config files."""
LONGEST = 100
"""Most letters of an unknown word that are compared with the names of recipes."""


@cache
def recipes() -> dict[str, Path]:
    """Return every shipped recipe: its name, such as `digits/quick`, to its file, in the order of the names.

    Raises:
        CycadaError: The package was installed without its recipes.
    """
    folder = Path(str(resources.files("cycada"))) / "configs"
    found = {file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.rglob("*.yaml")}
    if not found:
        raise CycadaError(f"{folder}: found no recipes, expected those of the package. Install cycada again.")
    return dict(sorted(found.items()))


def descriptions() -> dict[str, str]:
    """Return a short phrase for each shipped recipe, by its name, from the tables of `configs/README.md`."""
    return {name: phrase for name, (phrase, _) in _rows().items()}


def remarks() -> dict[str, str]:
    """Return what the tables of `configs/README.md` remark on each shipped recipe, by its name; often ''."""
    return {name: remark for name, (_, remark) in _rows().items()}


def _rows() -> dict[str, tuple[str, str]]:
    """Return the phrase and the remark of each shipped recipe, without links."""
    text = (next(iter(recipes().values())).parents[0] / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| \[[^]]*\]\(([^)]*)\.yaml\) \| (.*?) \| (?:(.*) )?\|$", text, re.MULTILINE)
    known = {name: (phrase, re.sub(r"\[[^]]*\]\([^)]*\)", "", remark)) for name, phrase, remark in lines}
    return {name: known.get(name, ("", "")) for name in recipes()}


def find_config(word: Path | str, folder: Path = Path()) -> Path:
    """Return the config file that a word names.

    Files come first: one in `folder`, then one in the working directory. If there is none, the word names a
    shipped recipe, and a line on stderr says which one was taken. The ending `.yaml` may be left out. The
    last part of a recipe's name is enough if it names one recipe only; of several, the one in the fewest
    folders is taken. `cyclegan` is `translation/cyclegan`.

    Args:
        word: A path, or the name of a recipe.
        folder: The folder from which a relative path starts, such as that of the file which uses this one.

    Raises:
        CycadaError: There is neither a file nor a recipe of this name, or there are several recipes. The
            message lists similar names.
    """
    if not isinstance(word, (str, Path)):
        raise CycadaError(
            f"Found a {type(word).__name__}, expected the path of a config file or the name of a recipe; "
            "cycada.parse_config takes a mapping."
        )
    try:
        path = Path(word).expanduser()
        places = [
            folder / path,
            path,
            *(p.with_name(f"{p.name}.yaml") for p in (folder / path, path) if p.name),
        ]
        if there := [place for place in places if place.is_file()] or [p for p in places[:2] if p.exists()]:
            return there[0]
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or shown(str(error))
        raise CycadaError(f"Cannot read the config {shown(str(word))}: {reason}.") from None
    name = path.with_suffix("").as_posix() if path.suffix in SUFFIXES else path.as_posix()
    return _shipped(name.removeprefix("./").removeprefix("configs/"), str(word))


def _shipped(name: str, word: str) -> Path:
    """Return the file of the recipe that a name, or the last part of one, stands for."""
    found = recipes()
    same_end = [other for other in found if other == name or other.endswith(f"/{name}")]
    depth = min((other.count("/") for other in same_end), default=0)
    meant = [name] if name in found else [other for other in same_end if other.count("/") == depth]
    if not meant:
        raise CycadaError(
            f"{shown(word)}: found neither a file nor a shipped recipe of this name.{_near(name)} "
            f"`cycada list recipes` shows them all."
        )
    if len(meant) > 1:
        raise CycadaError(
            f"{shown(word)}: found several recipes, {list_some(meant, 10)}. Give the whole name."
        )
    _tell(word, meant[0])
    return found[meant[0]]


def _near(name: str) -> str:
    """Return a question that lists the recipes whose whole name, or its last part, is like `name`; or ''."""
    close = {
        recipe: max(
            difflib.SequenceMatcher(None, name[:LONGEST], known).ratio()
            for known in (recipe, recipe.rpartition("/")[2])
        )
        for recipe in recipes()
    }
    best = sorted((r for r in close if close[r] > 0.6), key=lambda r: -close[r])[:5]
    return f" Did you mean {' or '.join(best)}?" if best else ""


@cache
def _tell(word: str, name: str) -> None:
    """Say once in a process which recipe was taken for a word."""
    print(f"{shown(word)} is the shipped recipe {name}, {recipes()[name]}.", file=sys.stderr)
