"""YAML files: safe reading, `uses:`, deep merge and `key=value` overrides.

Plain words are read as in YAML 1.2: `true`, `false` and `null` are what they say, numbers are what a person reads, and all
else is text: 007, 1:30, on, 2024-01-02. Where a switch is expected the text `on` is one, where a number is, 010 is ten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cycada.core.errors import CycadaError, shown

LARGEST = 4_000_000
"""Bytes of a file: more is no config."""
MOST = 200_000
"""Values of a file, with aliases written out."""
DEEPEST = 100
WAYS = (("steps", "epochs"),)
"""Keys that say the same thing in different ways, of which a mapping has one."""


class NumberAsWritten(float):
    """A number that remembers how it was written, for where text is expected: `name: 1e3`."""

    text: str

    def __new__(cls, text: str) -> NumberAsWritten:
        number = super().__new__(cls, text.replace(".inf", "inf").replace(".nan", "nan"))
        number.text = text
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.text,)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class _Loader(yaml.SafeLoader):
    """Safe YAML 1.2 words; refuses duplicate keys, keys that are no words (`true:`), cycles, and more than fits a config."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            where = f"{self.name}, line {key.start_mark.line + 1}"
            if not key.tag.endswith((":str", ":merge")):
                found = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise CycadaError(f"{where}: the key {found} is no word. Put it in quotes.")
            if key.value in seen:
                raise CycadaError(f"{where}: the key {shown(key.value)} stands here twice.")
            seen.add(key.value)
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        _measure(node, self.name, {}, ())
        return node

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        try:
            return int(node.value)
        except ValueError:  # of thousands of digits
            return node.value

    def construct_written(self, node: yaml.ScalarNode) -> NumberAsWritten:
        return NumberAsWritten(node.value.lower())


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"0|-?[1-9][0-9]*", "-0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_written)


def _measure(node: yaml.Node | None, name: str, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a node is with its aliases written out. Raises CycadaError where they are too many, or have no end."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in above:
        raise CycadaError(
            f"{name}, line {node.start_mark.line + 1}: an alias stands within what it is an alias of, without end."
        )
    if len(above) > DEEPEST:
        raise CycadaError(
            f"{name}, line {node.start_mark.line + 1}: found more than {DEEPEST} levels, one in the other; expected fewer."
        )
    if id(node) not in sizes:
        within = (*above, id(node))
        parts = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        sizes[id(node)] = 1 + sum(_measure(part, name, sizes, within) for part in parts)
    if sizes[id(node)] > MOST:
        raise CycadaError(
            f"{name}: found more than {MOST} values with all aliases written out; expected a config of ordinary size."
        )
    return sizes[id(node)]


def parse_yaml(text: str, name: str) -> Any:
    """Raises CycadaError with file and line."""
    try:
        loader = _Loader(text)
        loader.name = name
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise CycadaError(f"{name}: not valid YAML. {' '.join(str(error).split())[:500]}") from None
    except RecursionError:
        raise CycadaError(
            f"{name}: found brackets or lists nested too deeply; expected at most {DEEPEST} levels."
        ) from None
    except ValueError as error:  # such as a tag !!int with words behind it
        raise CycadaError(f"{name}: not valid YAML. {shown(str(error))}") from None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are joined key by key, everything else, lists too, is replaced. A mapping with its own `name` replaces

    a mapping with another `name`: options of one network are not options of the next. What is said in one of two ways, as `steps` or
    `epochs`, replaces what was said in the other.
    """
    replaced = [
        way
        for ways in WAYS
        for way in ways
        if way not in over and any(over.get(other) is not None for other in ways)
    ]
    result = {key: value for key, value in under.items() if key not in replaced}
    for key, value in over.items():
        old = result.get(key)
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and value.get("name", old.get("name")) == old.get("name")
        ):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def read(path: Path | str, _chain: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's mapping with everything it `uses:` merged under it. Paths in `uses` are relative to the file."""
    try:
        path = Path(path).expanduser().resolve()
        if path in _chain:
            raise CycadaError(f"{path}: uses itself, by way of {' -> '.join(p.name for p in _chain)}.")
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
        text = found.decode("utf-8-sig")
    except (OSError, RuntimeError, ValueError) as error:
        reason = (
            "it is no text file"
            if isinstance(error, UnicodeDecodeError)
            else getattr(error, "strerror", None) or shown(str(error))
        )
        raise CycadaError(f"Cannot read the config {shown(str(path))[1:-1]}: {reason}.") from None
    if len(found) > LARGEST:
        raise CycadaError(f"{path}: found more than {LARGEST} bytes, expected a config of ordinary size.")
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise CycadaError(
            f"{path}: found {'nothing' if data is None else type(data).__name__}, expected a mapping of keys."
        )
    uses = data.pop("uses", None) or []
    uses = [uses] if isinstance(uses, str) else uses
    if not isinstance(uses, list) or not all(isinstance(u, str) for u in uses):
        raise CycadaError(f"{path}: uses: found {shown(uses)}, expected a path or a list of paths.")
    result: dict[str, Any] = {}
    for used in uses:
        result = merge(result, read(path.parent / Path(used).expanduser(), (*_chain, path)))
    return merge(result, data)


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`a.b.c=value`: see `typed` for the value and `put` for the key."""
    result = dict(data)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise CycadaError(
                f"Override {shown(assignment)}: expected key=value, for example stages.pixel.steps=100."
            )
        result = put(result, path, typed(text, f"override {path}"))
    return result


def typed(text: str, name: str) -> Any:
    """What somebody typed behind `=`: a list, a mapping or quotes are YAML; of all else, as in `#1`, every character counts."""
    text = text.strip()
    if text.startswith(("{", "[", '"', "'")):
        return parse_yaml(text, name)
    loader = _Loader("")
    loader.name = name
    return loader.construct_object(
        yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text)
    )


def put(data: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`data` with a value at `a.b.c`; a mapping is merged into what is there. A number or name on the way, as in

    `losses: {cycle_s: 1}`, is kept as the weight or name of the mapping that it becomes.
    """
    parts = path.split(".")
    if not all(parts) or len(parts) > DEEPEST:
        raise CycadaError(
            f"The key {shown(path)} has an empty part or too many; expected a path such as stages.pixel.steps."
        )
    for part in reversed(parts):
        value = {part: value}
    return merge(_open(data, parts[:-1]), value)


def dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose keys may be paths, `{stages.pixel.steps: 3}`, as nested mappings."""
    result: dict[str, Any] = {}
    for key, value in settings.items():
        result = put(result, key, value)
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
