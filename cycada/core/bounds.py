"""Types for settings that say their bounds: a plug-in's options may use them, `def loss(..., *, margin: Positive = 1.0)`.

None of them takes infinity, NaN, or true and false for a number. What sizes something has an upper bound, too, far
above what anybody trains.
"""

from __future__ import annotations

import re
import typing
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _number(value: Any) -> Any:
    """true is no 1, and 1,000 has no comma."""
    if isinstance(value, bool):
        raise ValueError("found true or false, expected a number.")
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", value.strip()):
        raise ValueError(
            f"found '{value}', expected a number without commas, such as {value.replace(',', '')}."
        )
    return value


def _home(value: Any) -> Any:
    """`~` is the home folder; a folder called 2017 is read as its name."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, (str, Path)):
        return at_home(value)
    return value


def _home_text(value: Any) -> Any:
    return str(at_home(value)) if isinstance(value, str) and value.startswith("~") else value


def at_home(path: str | Path) -> Path:
    """A path with `~` and `~user` as their home folders. Raises ValueError where there is none, or for a NUL in the path."""
    if "\0" in str(path):
        raise ValueError("a path has no NUL in it.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"found '{path}', but there is no such home folder.") from None


def takes_none(hint: Any) -> bool:
    """Whether null is a value of a type."""
    return hint in (None, NoneType, Any) or (
        typing.get_origin(hint) is not dict and any(takes_none(h) for h in typing.get_args(hint))
    )


DEVICES = "auto, cpu, cuda, cuda:0 (or another number), mps"


def known_device(name: str) -> str:
    """Raises ValueError for what is no device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name):
        raise ValueError(f"device: found {name!r}, expected one of {DEVICES}.")
    return name


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
"""From 0 to 1, both included."""
Part = Annotated[Positive, Field(le=1)]
"""Above 0, up to 1: some of a whole, and never nothing of it."""
Below1 = Annotated[Number, Field(ge=0, lt=1)]
"""From 0 to below 1: momentum, what a moving average keeps, dropout."""
Angle = Annotated[Number, Field(ge=0, le=180)]
"""Degrees."""
Shear = Annotated[Number, Field(ge=0, lt=90)]
"""Degrees."""
Temperature = Annotated[Positive, Field(le=1000)]
"""What similarities are divided by before a softmax."""
Whole = Annotated[int, BeforeValidator(_number)]
Count = Annotated[Whole, Field(ge=1, le=10**9)]
"""Steps, images."""
Index = Annotated[Whole, Field(ge=0, le=10**9)]
"""As Count, or none."""
Drawn = Annotated[Count, Field(le=10**6)]
"""Pictures that are drawn or kept in memory."""
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]
Side = Annotated[Whole, Field(ge=1, le=2**16 - 1)]
"""Pixels."""
Pool = Annotated[Index, Field(le=10**6)]
"""Earlier answers that are kept for a discriminator, or none."""
Width = Annotated[Whole, Field(ge=1, le=2**16)]
"""Channels or units of a layer."""
Depth = Annotated[Whole, Field(ge=1, le=100)]
"""Layers or blocks."""
Home = Annotated[Path, BeforeValidator(_home)]
"""A path in which `~` is the home folder."""
PathText = Annotated[str, BeforeValidator(_home_text)]
"""As Home, where text is wanted: relative to the data root, or what may be the name of something built in."""
