"""YAML files: safe reading, `uses:`, deep merging and `key=value` overrides.

Unquoted words are read as in YAML 1.2: `true`, `false`, `null` and ordinary numbers have their meaning, and
all else is text: 007, 1:30, on, 2024-01-02. Where true or false is expected, the text `on` is true; where a
number is expected, 010 is ten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cycada.core.errors import CycadaError, shown

LARGEST = 4_000_000
"""Most bytes of a config file."""
MOST = 200_000
"""Most values in a config file, with aliases written out."""
DEEPEST = 100
"""Most levels of nesting."""
ALTERNATIVES = (("steps", "epochs"),)
"""Groups of keys that exclude each other: setting one in an upper file removes the others from a lower
one."""


class NumberAsWritten(float):
    """Number that keeps its spelling, for where text is expected: `name: 1e3`.

    Attributes:
        text: The number as it was written, in lower case.
    """

    text: str

    def __new__(cls, text: str) -> NumberAsWritten:
        """Return the number that `text` spells."""
        number = super().__new__(cls, text.replace(".inf", "inf").replace(".nan", "nan"))
        number.text = text
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override] # what copies it is the text
        return (self.text,)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class _Loader(yaml.SafeLoader):
    """Safe loader for YAML 1.2 that refuses duplicate keys, keys that are not text, cycles and huge files."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse duplicate keys, and keys that are not text."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            where = f"{self.name}, line {key.start_mark.line + 1}"
            if not key.tag.endswith((":str", ":merge")):
                spelling = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise CycadaError(f"{where}: the key {spelling} is no word. Put it in quotes.")
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
        except ValueError:  # Python converts no number of more than 4300 digits
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


def read_plain(text: str) -> Any:
    """Return the values in a YAML text that the toolkit itself wrote, without the rules for what users write.

    The parser in C, where PyYAML has it, is ten times as fast.

    Raises:
        yaml.YAMLError: The text is no YAML.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _measure(node: yaml.Node | None, name: str, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """Return the number of values in a node with its aliases written out.

    Args:
        node: A node of the YAML tree.
        name: The file, for messages.
        sizes: Number of values of the nodes that were measured before, by id.
        above: Ids of the nodes that contain this one.

    Raises:
        CycadaError: There are too many values or levels, or a node contains itself.
    """
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) in above:
        raise CycadaError(
            f"{name}, line {node.start_mark.line + 1}: an alias stands within what it is an alias of, "
            f"without end."
        )
    if len(above) > DEEPEST:
        raise CycadaError(
            f"{name}, line {node.start_mark.line + 1}: found more than {DEEPEST} levels, one in the other; "
            f"expected fewer."
        )
    if id(node) not in sizes:
        within = (*above, id(node))
        children = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        sizes[id(node)] = 1 + sum(_measure(child, name, sizes, within) for child in children)
    if sizes[id(node)] > MOST:
        raise CycadaError(
            f"{name}: found more than {MOST} values with all aliases written out; expected a config of "
            f"ordinary size."
        )
    return sizes[id(node)]


def parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text.

    Args:
        text: The text.
        name: The file, for messages.

    Raises:
        CycadaError: It is not valid YAML; the message names the file and the line.
    """
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
    except ValueError as error:  # such as a tag !!int before a word
        raise CycadaError(f"{name}: not valid YAML. {shown(str(error))}") from None


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return two mappings merged deeply: mappings key by key, while `over` replaces all other values.

    Lists are replaced, not joined. A mapping with a `name` replaces one with another `name`, since options of
    one network are not options of another. `epochs` replaces `steps`, and the other way round.
    """
    replaced = [
        key
        for group in ALTERNATIVES
        for key in group
        if key not in over and any(over.get(other) is not None for other in group)
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


def _beside(word: str, folder: Path) -> Path:
    """Return the path that `word` is, relative to `folder`."""
    return folder / Path(word).expanduser()


def read(
    path: Path | str,
    find: Callable[[str, Path], Path] = _beside,
    note: Callable[[dict[str, Any], dict[str, Any]], None] = lambda under, over: None,
    place: Callable[[dict[str, Any], Path], dict[str, Any]] = lambda data, folder: data,
    _chain: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return the mapping in a YAML file, merged over the files that it names under `uses:`.

    Args:
        path: The file.
        find: Function from a word under `uses` and the folder of the file to the file that is meant; a path
            relative to the folder by default.
        note: Function that is called with the content of the used files and with that of a file which is
            merged over them.
        place: Function from the content of a used file and its folder to the content as it is merged, where
            paths that start from that folder are whole.
        _chain: The files that use this one, to find cycles.

    Raises:
        CycadaError: A file cannot be read, is no mapping, or uses itself.
    """
    try:
        path = Path(path).expanduser().resolve()
        if path in _chain:
            raise CycadaError(f"{path}: uses itself, by way of {' -> '.join(p.name for p in _chain)}.")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8-sig")
    except (OSError, RuntimeError, ValueError) as error:
        reason = (
            "it is no text file in UTF-8; save it in that encoding"
            if isinstance(error, UnicodeDecodeError)
            else getattr(error, "strerror", None) or shown(str(error))
        )
        raise CycadaError(f"Cannot read the config {shown(str(path))[1:-1]}: {reason}.") from None
    if len(content) > LARGEST:
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
        try:
            below = find(used, path.parent).resolve()
        except CycadaError as error:
            raise CycadaError(f"{path}: uses: {error}") from None
        result = merge(result, place(read(below, find, note, place, (*_chain, path)), below.parent))
    note(result, data)
    return merge(result, data)


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Return `data` with assignments of the form `a.b.c=value` applied to it.

    Args:
        data: The mapping.
        assignments: Texts, see `parse_value` for their values and `put` for their keys.

    Raises:
        CycadaError: An assignment has no `=`, no key or no value.
    """
    return put_all(data, map(parse_assignment, assignments))


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Return the dotted key and the value of an assignment; see `override`."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise CycadaError(
            f"Override {shown(assignment)}: expected key=value, for example stages.pixel.steps=100."
        )
    if not text.strip():  # as of a variable of the shell that is not set
        raise CycadaError(
            f"Override {shown(assignment)}: found no value, expected one; {path}=null takes the key "
            f"back to its default."
        )
    return path, parse_value(text, f"override {path}")


def parse_value(text: str, name: str) -> Any:
    """Return the value that a text after `=` stands for.

    Args:
        text: A list, a mapping or a quoted text is read as YAML; all else is one word, in which characters
            such as `#` have no special meaning.
        name: What error messages begin with.

    Raises:
        CycadaError: It is not valid YAML.
    """
    text = text.strip()
    if text.startswith(("{", "[", '"', "'")):
        return parse_yaml(text, name)
    loader = _Loader("")
    loader.name = name
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call] # in its stub
    return loader.construct_object(yaml.ScalarNode(tag, text))


def put(data: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return `data` with `value` at the dotted key `path`; a mapping is merged with the one already there.

    A number or a name on the way, as in `losses: {cycle_s: 1}`, becomes the weight or the name of a mapping.

    Raises:
        CycadaError: The path has an empty part, or too many parts.
    """
    keys = path.split(".")
    if not all(keys) or len(keys) > DEEPEST:
        raise CycadaError(
            f"The key {shown(path)} has an empty part or too many; expected a path such as "
            f"stages.pixel.steps."
        )
    for key in reversed(keys):
        value = {key: value}
    return merge(_open(data, keys[:-1]), value)


def put_all(data: Mapping[str, Any], pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return `data` with several values at dotted keys, one after the other; see `put`."""
    result = dict(data)
    for path, value in pairs:
        result = put(result, path, value)
    return result


def _open(data: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Return `data` with the numbers and names along a path turned into mappings."""
    if not parts:
        return dict(data)
    below = data.get(parts[0])
    if isinstance(below, (int, float)) and not isinstance(below, bool):
        below = {"weight": below}
    elif isinstance(below, str) and len(parts) == 1:
        below = {"name": below}
    return {**data, parts[0]: _open(below, parts[1:])} if isinstance(below, Mapping) else dict(data)
