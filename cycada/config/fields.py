"""Base of the config models, and the types of fields that several of them share."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cycada.core.bounds import takes_none
from cycada.core.errors import nearest, shown


class Strict(BaseModel):
    """Base of the config models, which refuses unknown keys and suggests the nearest known one.

    The value null resets a key to its default, and removes an entry from a mapping.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
    null_removes_entries: ClassVar[bool] = True
    """Whether null removes an entry from a mapping; otherwise the entry stays, with None as its value."""
    other_keys: ClassVar[tuple[str, ...]] = ()
    """Keys of a file that are replaced before the model sees them, for the hint of an unknown key."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        fields = cls.model_fields
        for key in data:
            if key not in fields:
                raise ValueError(f"unknown key {shown(key)}.{nearest(key, [*fields, *cls.other_keys])}")
        kept = {k: v for k, v in data.items() if v is not None or takes_none(fields[k].annotation)}
        if not cls.null_removes_entries:
            return kept
        return {
            k: without_null(v) if typing.get_origin(fields[k].annotation) is dict else v
            for k, v in kept.items()
        }


def without_null(value: Any) -> Any:
    """Return a mapping without the entries whose value is None; return any other value unchanged."""
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value


def is_name(value: str) -> bool:
    """Return whether `value` may be a path of files under `results`, which it cannot leave."""
    return bool(re.fullmatch(r"[\w-][\w.=+-]*(/[\w-][\w.=+-]*)*", value)) and len(value.encode()) <= LONGEST


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError(
            f"found {shown(value)}, expected at most {LONGEST} letters, digits, '_', '-' and '.', with '/' "
            f"between parts: it names files."
        )
    return value


LONGEST = 200
"""Most bytes of a name, so that a file's name has room for what is appended to it."""


Name = Annotated[str, AfterValidator(_name)]


def _module(value: str) -> str:
    """Return `value` if it is the dotted name of a module, not a path; raise ValueError otherwise."""
    if len(value) > LONGEST or not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(
            f"found {shown(value)}, expected the name of a module, such as my_terms or my_package.terms, "
            f"beside the config, in the working directory or on PYTHONPATH."
        )
    return value


Module = Annotated[str, AfterValidator(_module)]


class Spec(BaseModel):
    """Name of a registered entry with its options: `lenet`, or `{name: lenet, dropout: 0.5}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(description="Registered name of the domain or network, as `cycada list` shows it.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        # Entries that are null stay, since they are part of stage ids; check_options drops them.
        return {"name": data} if isinstance(data, str) else data

    @property
    def options(self) -> dict[str, Any]:
        """All keys but `name`, as they were given."""
        return dict(self.model_extra or {})
