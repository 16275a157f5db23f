"""Every number that a setting may be: whatever is registered, nonsense is refused, or it is said here why it
is none."""

import inspect
import math
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from cycada.config.schema import Config, Loss, Strict
from cycada.core.bounds import Home, PathText, checked_number
from cycada.core.errors import CycadaError
from cycada.core.registry import Registry, option_defaults, typed
from cycada.core.sizes import Sizes
from cycada.data import domains, segmentation_domains
from cycada.losses import losses
from cycada.methods import methods
from cycada.metrics.monitors import monitors
from cycada.metrics.scores import scores
from cycada.metrics.selection import criteria
from cycada.networks import NETWORKS
from cycada.sweeps.schema import Sweep

NONSENSE = [math.nan, math.inf, -math.inf, -1, 10**19]
REGISTRIES: dict[str, Registry[Any]] = {
    "domains": domains,
    "segmentation_domains": segmentation_domains,
    "losses": losses,
    "monitors": monitors,
    "scores": scores,
    "criteria": criteria,
} | {f"networks.{kind}": registry for kind, registry in NETWORKS.items()}

WITHOUT_LIMIT = {
    "methods.cycada.semantic_gate": "a loss: one that is never reached leaves the gate open",
    "methods.cycada_pixel.semantic_gate": "a loss: one that is never reached leaves the gate open",
    "methods.cogan.invert_rate": "a learning rate",
    "Loss.weight": "a loss's own scale may be tiny; of a huge weight, a loss that is no longer finite tells",
    "Terms.terms": "weights of losses",
    "RampConfig.gamma": "the steeper, the nearer to a step",
    "Data.hold": "megabytes: more than there are keep everything",
}
"""Where 10**19 may stand -> why."""


def leaves(hint: Any) -> set[type]:
    """The kinds of numbers that a type takes, by themselves or within lists and mappings."""
    if hint in (int, float):
        return {hint}
    if typing.get_origin(hint) is typing.Literal:
        return set()
    return set().union(*(leaves(part) for part in typing.get_args(hint)))


def shapes(hint: Any, value: object) -> Iterator[object]:
    """A value as each alternative of a type would have it: by itself, in a list as long as the type says, in
    a mapping."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        yield value
    elif origin is tuple:
        yield [value, value] if len(parts) == 2 and parts[1] is not Ellipsis else [value]
    elif origin is list and leaves(parts[0]):
        yield [value]
    elif origin is dict and leaves(parts[1]):
        yield {"x": value}
    elif origin is not typing.Literal:
        for part in parts:
            yield from shapes(part, value)


def entries() -> Iterator[tuple[str, Any]]:
    """Path and type of every option of everything that is registered."""
    for name, registry in REGISTRIES.items():
        for key in registry:
            entry = registry[key]
            hints = typing.get_type_hints(
                entry.__init__ if inspect.isclass(entry) else entry, include_extras=True
            )
            for option in option_defaults(entry):
                assert option in hints, f"{name}.{key}.{option} has no type"
                yield f"{name}.{key}.{option}", hints[option]
    for key in methods:
        hints = typing.get_type_hints(methods[key].options, include_extras=True)
        for option in methods[key].options.__dataclass_fields__:
            yield f"methods.{key}.{option}", hints[option]


def models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("cycada."):
            yield model
            yield from models(model)


def fields() -> Iterator[tuple[str, Any]]:
    """Path and type of every key of configs and sweeps."""
    found = {*models(Strict), Loss, Sizes}
    assert {Config, Sweep} <= found
    for model in sorted(found, key=lambda m: m.__name__):
        for key, field in model.model_fields.items():
            yield (
                f"{model.__name__}.{key}",
                typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation,
            )


OPTIONS = {path: hint for path, hint in entries() if leaves(hint)}
KEYS = {path: hint for path, hint in fields() if leaves(hint)}


def taken(path: str, hint: Any, value: object) -> bool:
    try:
        if path in OPTIONS:
            typed(value, hint, path)
        else:
            TypeAdapter(hint).validate_python(value)
    except (CycadaError, ValidationError):
        return False
    return True


def accepted(numbers: Mapping[str, Any], nonsense: object) -> set[str]:
    return {
        path for path, hint in numbers.items() for value in shapes(hint, nonsense) if taken(path, hint, value)
    }


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_no_number_is_nonsense(nonsense: float) -> None:
    assert len(OPTIONS) > 60, "the walk misses most of them"
    found = accepted(OPTIONS | KEYS, nonsense)
    assert found == (set(WITHOUT_LIMIT) if nonsense == 10**19 else set())


@pytest.mark.parametrize("nonsense", [1.5, True, "1,000"])
def test_what_is_counted_is_whole(nonsense: object) -> None:
    """true is no 1, and a comma no part of a number, wherever a count is asked for."""
    assert (
        accepted({path: hint for path, hint in (OPTIONS | KEYS).items() if leaves(hint) == {int}}, nonsense)
        == set()
    )


def test_images_that_are_left_out_are_a_range() -> None:
    for drop in ((15, 5), (50_000, 60_001), (70_000, 80_000), (0, 60_000)):
        with pytest.raises(
            CycadaError, match=rf"drop: found \[{drop[0]}, {drop[1]}\], expected \[a, b\] with"
        ):
            domains["mnist"](drop=drop)


@pytest.mark.parametrize("kind", [Home, PathText])
def test_an_address_is_no_path(kind):
    """`s3://bucket` would be a folder `s3:` here."""
    with pytest.raises(ValidationError, match="found an address, expected a path of this machine"):
        TypeAdapter(kind).validate_python("s3://bucket/runs")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1,000", "1000"), ("12,000,000.5", "12000000.5"), ("0,001", "0.001"), ("-0,5", "-0.5")],
)
def test_a_comma_is_answered_with_the_number_that_is_meant(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"without commas, such as {re.escape(meant)}[.]$"):
        checked_number(text)
