"""The one plug-in idiom: a decorator enters a name, a duplicate raises, an unknown name is answered with its neighbours.

An entry is a function or class. Its positional parameter NAMES are what the toolkit gives it (tensors for
a loss, `classes` or `image_channels` for a network), its keyword-only parameters are the options that
YAML may set. `options` checks names and types of the latter before anything is loaded.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from cycada.core.bounds import takes_none
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.sources import plugin_source

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A dictionary of named entries. `kind` is the word used in messages ('loss', 'domain', ...)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._sources: dict[str, str] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator: `@losses("cycle_s")`. Raises CycadaError on a name that is taken."""

        def enter(entry: T) -> T:
            self.add(name, entry)
            return entry

        return enter

    def add(self, name: str, entry: T) -> None:
        if name in self._entries:
            raise CycadaError(
                f"There are two entries for the {self.kind} '{name}': {self._entries[name]!r} and {entry!r}. Rename one."
            )
        self._entries[name] = entry
        self._sources[name] = plugin_source(entry)

    def source(self, name: str) -> str:
        """A digest of the source files of an entry that a plug-in brought; empty for the toolkit's own."""
        return self._sources.get(name, "")

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise CycadaError(f"Unknown {self.kind} {shown(name)}.{nearest(name, self._entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def temporary(self) -> Iterator[None]:
        """What is entered inside this block is gone after it (for tests)."""
        before = dict(self._entries), dict(self._sources)
        try:
            yield
        finally:
            self._entries, self._sources = before


def needs(entry: Callable[..., Any]) -> tuple[str, ...]:
    """The positional parameters of an entry: what the toolkit must give it."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in inspect.signature(entry).parameters.values() if p.kind in kinds)


def option_defaults(entry: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only parameters of an entry with their defaults: what YAML may set."""
    parameters = inspect.signature(entry).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(entry: Callable[..., Any], given: Mapping[str, object], where: str) -> dict[str, Any]:
    """`given`, checked against the entry's keyword-only parameters and turned into their types.

    Raises CycadaError that names `where`, the option, what was found and what is expected; also where an
    option without a default is missing. null takes an option back to its default, unless it is one of its values.
    """
    defaults = option_defaults(entry)
    for name in given:
        if name not in defaults:
            raise CycadaError(f"{where}: unknown option {shown(name)}.{nearest(name, defaults)}")
    hints = typing.get_type_hints(entry.__init__ if inspect.isclass(entry) else entry, include_extras=True)
    given = {
        name: value for name, value in given.items() if value is not None or takes_none(hints.get(name, Any))
    }
    for name, default in defaults.items():
        if default is inspect.Parameter.empty and name not in given:
            raise CycadaError(f"{where}: the option '{name}' is missing and has no default.")
    return {name: typed(value, hints.get(name, Any), f"{where}.{name}") for name, value in given.items()}


def typed(value: object, hint: Any, where: str) -> Any:
    """`value` as the type of an option. Raises CycadaError for another one, for infinity and NaN, and for true as a number."""
    try:
        found = _adapter(hint).validate_python(value, strict=isinstance(value, bool))
    except ValidationError as error:
        problem = error.errors()[0]
        advice = " Put it in quotes to have it as text." if problem["type"] == "string_type" else ""
        raise CycadaError(
            f"{where}: found {shown(value)}. {problem['msg'].removeprefix('Value error, ').rstrip('.')}.{advice}"
        ) from None
    if not _finite(found):
        raise CycadaError(f"{where}: found {shown(value)}, expected a finite number.")
    return found


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config={"coerce_numbers_to_str": True})
    except PydanticUserError:  # a class with settings of its own
        return TypeAdapter(hint)


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, (list, tuple)) else True


def import_folder(package: str, path: list[str]) -> None:
    """Import every module of a package and of the packages inside it, so that a file dropped into a folder registers itself."""
    for module in pkgutil.walk_packages(path, f"{package}."):
        importlib.import_module(module.name)
