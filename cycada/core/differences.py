"""In which settings two configs differ, by dotted keys as the command line takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cycada.core.errors import list_some


def dotted(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, `{a: {b: 1}}` as `{a.b: 1}`; a list of what has names is a mapping by them."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and "name" in value[0]:
        value = {item["name"]: item for item in value}
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        k: v
        for key, below in value.items()
        for k, v in dotted(below, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys whose values differ, with the values of `one` and `other`; None where one has no such key."""
    here, there = dotted(one), dotted(other)
    keys = dict.fromkeys([*here, *there])
    return {key: (here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)}


def as_words(found: Mapping[str, tuple[Any, Any]], one: str, other: str) -> str:
    """Return `lr is 1 ONE and 2 OTHER, ...` of the first few differences."""
    words = [f"{key} is {_value(a)} {one} and {_value(b)} {other}" for key, (a, b) in found.items()]
    return list_some(words, 4)


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)[:60]
