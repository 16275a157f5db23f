"""Registries of losses, networks, domains, methods and scores, to which plug-ins add with a decorator.

An entry is a function or a class. The names of its positional parameters say what the toolkit passes to it
(tensors for a loss, `classes` or `image_channels` for a network); its keyword-only parameters are the
options that YAML may set. `check_options` checks their names and types before anything is loaded.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from cycada.core.bounds import takes_none
from cycada.core.errors import CycadaError, nearest, shown
from cycada.core.sources import plugin_source

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Mapping from names to registered entries, in the order of the names.

    Args:
        kind: What an entry is in error messages ('loss', 'domain', ...).

    Raises:
        CycadaError: A name is looked up that is not registered; the message lists similar names.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._sources: dict[str, str] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers a function or class: `@losses("cycle_s")`.

        Raises:
            CycadaError: The name is already registered.
        """

        def enter(entry: T) -> T:
            self.add(name, entry)
            return entry

        return enter

    def add(self, name: str, entry: T) -> None:
        """Register an entry.

        Raises:
            CycadaError: The name is already registered.
        """
        if name in self._entries:
            both = " and ".join(  # a method is an instance of a class
                f"{x.__module__}.{getattr(x, '__qualname__', type(x).__qualname__)}"
                for x in (self._entries[name], entry)
            )
            raise CycadaError(f"There are two entries for the {self.kind} '{name}': {both}. Rename one.")
        self._entries[name] = entry
        self._sources[name] = plugin_source(entry)

    def source(self, name: str) -> str:
        """Return a hash of the source files of a plug-in's entry; empty for entries of the toolkit itself."""
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
        """Remove what is registered within a `with` block when the block ends; for tests."""
        before = dict(self._entries), dict(self._sources)
        try:
            yield
        finally:
            self._entries, self._sources = before


def needs(entry: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of an entry's positional parameters, which the toolkit passes to it."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in _parameters(entry) if p.kind in kinds)


def option_defaults(entry: Callable[..., Any]) -> dict[str, Any]:
    """Return an entry's keyword-only parameters, which YAML may set, with their defaults."""
    return {p.name: p.default for p in _parameters(entry) if p.kind is inspect.Parameter.KEYWORD_ONLY}


@lru_cache(maxsize=1024)
def _parameters(entry: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(entry).parameters.values())


@lru_cache(maxsize=1024)
def _type_hints(entry: Callable[..., Any]) -> Mapping[str, Any]:
    return typing.get_type_hints(entry.__init__ if inspect.isclass(entry) else entry, include_extras=True)


def has_type(entry: Callable[..., Any], option: str, hint: Any) -> bool:
    """Return whether an option of a registered entry has this type, or this type or None.

    Args:
        entry: A registered function or class.
        option: The option's name.
        hint: The type, as it is annotated.
    """
    own = _type_hints(entry).get(option)
    return bool(own == hint) or hint in typing.get_args(own)


def check_options(entry: Callable[..., Any], given: Mapping[str, object], where: str) -> dict[str, Any]:
    """Return `given` with its values checked and converted to the types of the entry's options.

    Args:
        entry: A registered function or class.
        given: Option to value, as in YAML; null resets an option to its default, unless None is a valid
            value.
        where: Path in the config for messages, such as `networks.f`.

    Raises:
        CycadaError: An option is unknown or of another type, or one without a default is missing.
    """
    defaults = option_defaults(entry)
    for name in given:
        if name not in defaults:
            raise CycadaError(f"{where}: unknown option {shown(name)}.{nearest(name, defaults)}")
    hints = _type_hints(entry)
    given = {
        name: value for name, value in given.items() if value is not None or takes_none(hints.get(name, Any))
    }
    for name, default in defaults.items():
        if default is inspect.Parameter.empty and name not in given:
            raise CycadaError(f"{where}: the option '{name}' is missing and has no default.")
    return {name: typed(value, hints.get(name, Any), f"{where}.{name}") for name, value in given.items()}


def typed(value: object, hint: Any, where: str) -> Any:
    """Return `value`, converted to the type `hint`.

    Args:
        value: A value as in YAML.
        hint: A type, with bounds or without.
        where: Path in the config for messages.

    Raises:
        CycadaError: It is of another type, is infinite or NaN, or is true or false where a number is
            expected.
    """
    try:
        converted = _adapter(hint, repr(hint)).validate_python(value, strict=isinstance(value, bool))
    except ValidationError as error:
        problems = error.errors()  # of a type that may be one of several: a problem for each of them
        messages = [p["msg"].removeprefix("Value error, ").rstrip(".") for p in problems]
        first, *others = dict.fromkeys(messages)
        expected = "; or: ".join([first, *(other[:1].lower() + other[1:] for other in others)])
        quotable = problems[0]["type"] == "string_type" and not isinstance(value, (list, tuple, dict))
        advice = " Put it in quotes to have it as text." if quotable else ""
        raise CycadaError(f"{where}: found {shown(value)}. {expected}.{advice}") from None
    if not _finite(converted):
        raise CycadaError(f"{where}: found {shown(value)}, expected a finite number.")
    return converted


@lru_cache(maxsize=1024)
def _adapter(hint: Any, _spelling: str) -> TypeAdapter[Any]:
    """Return the adapter of a type; a sweep asks for the same ones thousands of times.

    Args:
        hint: The type.
        _spelling: Its text, which tells types apart that are equal: `int | str` and `str | int`.
    """
    try:
        return TypeAdapter(hint, config={"coerce_numbers_to_str": True})
    except PydanticUserError:  # a model has a config of its own
        return TypeAdapter(hint)


def _finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, (list, tuple)) else True


def import_folder(package: str, path: list[str]) -> None:
    """Import all modules of a package and its subpackages, so that a new file in the folder registers itself.

    Args:
        package: Name of the package.
        path: Its `__path__`.
    """
    for module in pkgutil.walk_packages(path, f"{package}."):
        importlib.import_module(module.name)
