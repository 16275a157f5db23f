"""Search for settings that have no effect on the files below them: shadowed `defaults:`, empty mappings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cycada.core.errors import list_some
from cycada.core.yaml_files import ALTERNATIVES, merge, put


def find_shadowed_defaults(
    under: Mapping[str, Any], over: Mapping[str, Any], partly: bool = False
) -> list[str]:
    """Return a sentence for each setting that changes nothing, though it was set later.

    A stage's own key goes before `defaults`, also where the stage stands in a file that is used, and the
    defaults in the file that uses it, or on the command line; nothing is said where both are equal. An empty
    mapping is merged with the one below, of which it takes nothing away.

    Args:
        under: Keys of the files below, merged.
        over: Keys of the file above them, or of the command line.
        partly: Include defaults that reach some stages and not others.
    """
    defaults, below, own = (
        _mapping(value) for value in (over.get("defaults"), under.get("stages"), over.get("stages"))
    )
    stages = [name for name, stage in merge(below, own).items() if stage is not None]
    sentences = []
    for path, wanted in _leaves(defaults):
        shadowing = [
            name
            for name in stages
            if _sets(below.get(name), path)
            and not _sets(own.get(name), path)
            and _value(below[name], path) != wanted
        ]
        if shadowing and (partly or len(shadowing) == len(stages)):
            key, many = ".".join(path), len(shadowing) > 1
            sentences.append(
                f"defaults.{key}: it has no effect on the stage{'s' * many} {list_some(shadowing)}, which "
                f"{'have values of their' if many else 'has a value of its'} own. Set "
                f"stages.{shadowing[0]}.{key} instead."
            )
    return sentences + [
        f"{'.'.join(path)}: an empty mapping takes nothing away from what a file below sets there, so it has "
        f"no effect. Set it, or single keys of it, to null to go back to the default."
        for path in _empty_over_full(under, over)
    ]


def find_repeated(settings: Iterable[tuple[str, Any]]) -> list[str]:
    """Return a sentence for each key that is set more than once, with the value that counts.

    `epochs` and `steps` are one key, and so are a loss and its weight, a network and its name.

    Args:
        settings: Dotted keys and their values, in the order in which they are applied.
    """
    values: dict[tuple[str, ...], list[str]] = {}
    for key, value in settings:
        for path, leaf in _leaves(put({}, key, value)):
            text = leaf if isinstance(leaf, (str, float)) else json.dumps(leaf, default=str)
            values.setdefault(_without_alternatives(path), []).append(f"{'.'.join(path)}={text}")
    return [
        f"{list_some(given)}: the last, {given[-1]}, counts."
        for given in values.values()
        if len(set(given)) > 1
    ]


def _without_alternatives(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return a path in one of the spellings that it may have."""
    *above, key = path
    if key in ("weight", "name") and above:
        return tuple(above)
    group = next((group for group in ALTERNATIVES if key in group), (key,))
    return (*above, group[0])


def _empty_over_full(
    under: Mapping[str, Any], over: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the path of every empty mapping in `over` where `under` has one that is not empty."""
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and below:
            if value:
                yield from _empty_over_full(below, value, (*above, key))
            else:
                yield (*above, key)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sets(stage: object, path: tuple[str, ...]) -> bool:
    """Return whether a stage's own keys leave nothing of a default at `path`."""
    default: Any = object()  # unlike any value
    for key in reversed(path):
        default = {key: default}
    return isinstance(stage, Mapping) and merge(default, stage) == stage


def _value(mapping: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at a path; None where the path ends before it, as in a stage without augmentation."""
    found: Any = mapping
    for key in path:
        found = _mapping(found).get(key)
    return found


def _leaves(mapping: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path of every value that is no mapping, or an empty one, with the value."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value
