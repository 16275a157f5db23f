"""YAML files: safe reading, `uses:`, deep merge and `key=value` overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cycada.errors import CycadaError


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys and keys that are not words (`on:` reads as True)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise CycadaError(f"{key_node.start_mark.name}, line {line}: the key {key!r} is no word. Put it in quotes.")
            if key in seen:
                raise CycadaError(f"{key_node.start_mark.name}, line {line}: the key '{key}' stands here twice.")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in _Loader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(  # 2e-4, without a dot, is a number too (YAML 1.2)
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, name: str) -> Any:
    """Raises CycadaError with file and line."""
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise CycadaError(f"{name}: not valid YAML. {' '.join(str(error).split())}") from None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are joined key by key, everything else is replaced. A mapping with its own `name` replaces

    a mapping with another `name`: options of one network are not options of the next.
    """
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and value.get("name", old.get("name")) == old.get("name"):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def read(path: Path | str, _chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's mapping with everything it `uses:` merged under it. Paths in `uses` are relative to the file."""
    path = Path(path).resolve()
    if path in _chain:
        raise CycadaError(f"{path}: uses itself, by way of {' -> '.join(p.name for p in _chain)}.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text file"
        raise CycadaError(f"Cannot read the config {path}: {reason}.") from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise CycadaError(f"{path}: found {type(data).__name__}, expected a mapping of keys.")
    uses = data.pop("uses", None) or []
    uses = [uses] if isinstance(uses, str) else uses
    if not isinstance(uses, list) or not all(isinstance(u, str) for u in uses):
        raise CycadaError(f"{path}: uses: found {uses!r}, expected a path or a list of paths.")
    result: dict[str, Any] = {}
    for used in uses:
        result = merge(result, read(path.parent / used, (*_chain, path)))
    return merge(result, data)


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`a.b.c=value`, the value read as YAML. A number or name on the way, as in `losses: {cycle_s: 1}`, is kept as the

    weight or name of the mapping that it becomes.
    """
    result = dict(data)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise CycadaError(f"Override '{assignment}': expected key=value, for example stages.pixel.steps=100.")
        value: Any = parse_yaml(text, f"override {path}")
        parts = path.split(".")
        for depth in range(len(parts) - 1, -1, -1):
            value = {parts[depth]: value}
        result = merge(_open(result, parts[:-1]), value)
    return result


def _open(data: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """`data` with the scalars along a path turned into mappings."""
    if not parts:
        return dict(data)
    below = data.get(parts[0])
    if isinstance(below, (int, float)) and not isinstance(below, bool):
        below = {"weight": below}
    elif isinstance(below, str) and len(parts) == 1:
        below = {"name": below}
    return {**data, parts[0]: _open(below, parts[1:])} if isinstance(below, Mapping) else dict(data)
