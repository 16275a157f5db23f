"""Reading a YAML file of a known kind, with the files that it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cycada.config.recipes import find_config
from cycada.core.errors import CycadaError
from cycada.core.sources import look_for_modules_in
from cycada.core.yaml_files import read

COMMANDS = {
    "an experiment": "`cycada run {path}` trains it.",
    "a sweep": "`cycada sweep {path}` trains it; with --dry-run it says what that would be.",
    "a class map": "It is an option of a domain: data.source={{name: mask_folder, classes: {path}, ...}}.",
    "the key of a study": "`cycada study score` wants it, with --key.",
}
"""Kind of a YAML file, as messages name it, to a hint how it is used."""


def read_as(
    wanted: str,
    path: Path | str,
    note: Callable[[dict[str, Any], dict[str, Any]], None] = lambda under, over: None,
    place: Callable[[dict[str, Any], Path], dict[str, Any]] = lambda data, folder: data,
) -> dict[str, Any]:
    """Return the mapping in a YAML file, with the files that it uses merged under it.

    Args:
        wanted: The kind of file that is expected, one of `COMMANDS`.
        path: The file, or the name of a shipped recipe. Plug-ins are then also found beside it.
        note: See `cycada.core.yaml_files.read`.
        place: See `cycada.core.yaml_files.read`.

    Raises:
        CycadaError: The file cannot be read, or is clearly of another kind; the message then names the
            command to use.
    """
    file = find_config(path)
    data = read(file, find_config, note, place)
    if data.get("plugins"):
        look_for_modules_in(file.parent)
    kind = _kind(data)
    if kind and kind != wanted:
        raise CycadaError(f"{path}: found {kind}, expected {wanted}. {COMMANDS[kind].format(path=path)}")
    return data


def _kind(data: Mapping[str, Any]) -> str | None:
    """Return the kind of a file by its keys, one of `COMMANDS`; None where the keys do not tell."""
    if data and all(_is_class_code(value) for value in data.values()):
        return "a class map"
    if str(data.get("format", "")).startswith("cycada-study-key"):
        return "the key of a study"
    if "stages" in data or "data" in data:
        return "an experiment"
    return "a sweep" if "experiment" in data else None


def _is_class_code(value: object) -> bool:
    """Return whether `value` could stand in a class map: an id, `{ids: [...]}`, or one or more colours."""
    if isinstance(value, Mapping):
        return set(value) == {"ids"}
    if isinstance(value, list):
        return bool(value) and all(_is_class_code(part) for part in value)
    return isinstance(value, int) and not isinstance(value, bool)
