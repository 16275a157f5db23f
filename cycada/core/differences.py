"""Differences between two configs, by dotted keys as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cycada.core.errors import list_some


def flatten_keys(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as a flat one with dotted keys: `{a: {b: 1}}` becomes `{a.b: 1}`.

    Args:
        value: A mapping; a list of mappings that have a `name` counts as a mapping by their names.
        prefix: The dotted key at which `value` itself lies.
    """
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and "name" in value[0]:
        value = {item["name"]: item for item in value}
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        k: v
        for key, below in value.items()
        for k, v in flatten_keys(below, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the dotted keys whose values differ between two configs.

    Returns:
        Dotted key to the values in `one` and in `other`, None where it is not set.
    """
    first, second = flatten_keys(one), flatten_keys(other)
    keys = dict.fromkeys([*first, *second])
    return {key: (first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)}


def as_words(changes: Mapping[str, tuple[Any, Any]], one: str, other: str) -> str:
    """Return the first four differences in words: `lr is 1 ONE and 2 OTHER, ...`.

    Args:
        changes: What `differences` returned.
        one: Words for the first config, such as "here".
        other: Words for the second config, such as "in the run".
    """
    words = [f"{key} is {_as_text(a)} {one} and {_as_text(b)} {other}" for key, (a, b) in changes.items()]
    return list_some(words, 4)


def _as_text(value: Any) -> str:
    return "not set" if value is None else str(value)[:60]
