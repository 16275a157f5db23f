"""Types of settings with bounds, which pydantic checks.

The options of a plug-in may use them too: `def loss(..., *, margin: Positive = 1.0)`. No type accepts
infinity, NaN, or true and false as a number. Counts and sizes also have an upper bound, far above any
useful value, so that a typing error does not fill the memory.
"""

from __future__ import annotations

import os
import re
import typing
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def checked_number(value: Any) -> Any:
    """Return `value`, but refuse true and false as numbers, and commas, of thousands or decimals."""
    if isinstance(value, bool):
        raise ValueError("found true or false, expected a number.")
    if isinstance(value, str) and re.fullmatch(r"[-+]?(0,\d+|[1-9]\d{0,2}(,\d{3})+(\.\d*)?)", value.strip()):
        meant = value.replace(",", "." if value.strip().lstrip("-+")[0] == "0" else "")
        raise ValueError(f"found '{value}', expected a number without commas, such as {meant}.")
    return value


def _home(value: Any) -> Any:
    """Return a path with `~` replaced by the home folder; YAML's number 2017 is the folder of that name."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, (str, Path)):
        return at_home(value)
    return value


def _home_text(value: Any) -> Any:
    special = isinstance(value, str) and ("://" in value or "$" in value or value[:1] == "~")
    return str(at_home(value)) if special else value


def at_home(path: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by the home folders, and variables by their values.

    Raises:
        ValueError: There is no such home folder or variable, the path is empty, contains a NUL character, or
            is an address such as s3://....
    """
    if path == "":  # as of a variable of the shell that is not set
        raise ValueError("found an empty text, expected a path.")
    if "\0" in str(path):
        raise ValueError("a path has no NUL in it.")
    if "://" in str(path):
        raise ValueError("found an address, expected a path of this machine.")
    try:
        return Path(_with_variables(str(path))).expanduser()
    except RuntimeError:
        raise ValueError(f"found '{path}', but there is no such home folder.") from None


def _with_variables(path: str) -> str:
    """Return a path with $NAME and ${NAME} replaced by variables, as a shell does; one that exists stays."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise ValueError(f"found '{path}', but the variable {name} is not set.")
        return os.environ[name]

    return path if os.path.lexists(path) else re.sub(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})", value_of, path)


def takes_none(hint: Any) -> bool:
    """Return whether None is a valid value of the type `hint`."""
    return hint in (None, NoneType, Any) or (
        typing.get_origin(hint) is not dict and any(takes_none(h) for h in typing.get_args(hint))
    )


DEVICES = "auto, cpu, cuda, cuda:0 (or another number), mps"
"""Names of devices, as error messages list them."""


def known_device(name: str) -> str:
    """Return the name of a device unchanged.

    Raises:
        ValueError: It is not one of `DEVICES`.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise ValueError(f"found {name!r}, expected one of {DEVICES}.")
    return name


Number = Annotated[float, BeforeValidator(checked_number), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
"""Fraction in [0, 1]."""
Part = Annotated[Positive, Field(le=1)]
"""Fraction in (0, 1], which is never nothing."""
Below1 = Annotated[Number, Field(ge=0, lt=1)]
"""Number in [0, 1), such as a momentum, a decay rate or a dropout rate."""
Ratio = Annotated[Number, Field(ge=1, le=10**6)]
"""A ratio of the larger of two numbers to the smaller."""
Angle = Annotated[Number, Field(ge=0, le=180)]
"""Angle in degrees, in [0, 180]."""
Shear = Annotated[Number, Field(ge=0, lt=90)]
"""Shear angle in degrees, in [0, 90)."""
Temperature = Annotated[Positive, Field(le=1000)]
"""Temperature of a softmax, in (0, 1000]: similarities are divided by it."""
Whole = Annotated[int, BeforeValidator(checked_number)]
"""Whole number."""
Count = Annotated[Whole, Field(ge=1, le=10**9)]
"""Number of steps or images, 1 to 10^9."""
Index = Annotated[Whole, Field(ge=0, le=10**9)]
"""Number of steps or images that may be 0, up to 10^9."""
Drawn = Annotated[Count, Field(le=10**6)]
"""Number of images that are drawn or kept in memory, 1 to 10^6."""
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
"""Seed of random numbers, 0 to below 2^63."""
Side = Annotated[Whole, Field(ge=1, le=2**16 - 1)]
"""Side of an image in pixels, 1 to 65535."""
Pool = Annotated[Index, Field(le=10**6)]
"""Number of earlier generated images that are kept for a discriminator, 0 to 10^6."""
Neighbours = Annotated[Count, Field(le=1000)]
"""Number of nearest neighbours of an image, 1 to 1000."""
QueueSize = Annotated[Index, Field(le=2**14)]
"""Number of earlier images all pairs of which are compared in every step, 0 to 16384."""
Views = Annotated[Whole, Field(ge=1, le=100)]
"""Number of views of an image whose predictions are averaged, 1 to 100."""
Width = Annotated[Whole, Field(ge=1, le=2**16)]
"""Number of channels or units of a layer, 1 to 65536."""
Depth = Annotated[Whole, Field(ge=1, le=100)]
"""Number of layers or blocks, 1 to 100."""
Home = Annotated[Path, BeforeValidator(_home)]
"""Path in which `~` is replaced by the home folder."""
PathText = Annotated[str, BeforeValidator(_home_text)]
"""Path as text in which `~` is replaced by the home folder.

It may be relative to the data root, or be the name of something built in."""
