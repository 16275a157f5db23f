"""Messages for the mistakes that pydantic finds in a config."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from cycada.core.errors import nearest, shown

PARTS = {
    key: f" A file without {key} is a part of other configs, which name it under `uses`."
    for key in ("data", "stages", "name")
}
"""What else a missing key of an experiment or a sweep may mean."""

SHAPES = dict.fromkeys(("dict_type", "model_type"), "Expected keys with values below it.") | dict.fromkeys(
    ("list_type", "tuple_type"), "Expected a list, such as [a, b]."
)
"""What is expected in place of another kind of value, by pydantic's type of error, without Python's words."""


def mistakes(error: ValidationError, stages: Sequence[str] = ()) -> list[str]:
    """Return one line for each mistake in a config: its path, what is wrong, and what was found.

    Args:
        error: The error that pydantic raised.
        stages: Names of complete stages, one of which a stage without a method may have been meant to be.
    """
    lines = []
    for problem in error.errors():
        match problem["loc"]:
            case ("stages", name, "method") if problem["type"] == "missing" and stages:
                lines.append(
                    f"stages.{name}: found a stage without a method, which a new one "
                    f"needs.{nearest(name, stages)}"
                )
                continue
        path = ".".join(str(p) for p in problem["loc"])
        if problem["type"] == "missing":
            lines.append(f"{path}: found nothing, expected a value. Add it.{PARTS.get(path, '')}")
            continue
        message = SHAPES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        found = (
            ""
            if problem["type"] == "value_error"
            else f". Found {shown(problem['input'])}.{advice(problem['type'], path)}"
        )
        message = message.removesuffix(".") if found else message
        lines.append(f"{path}: {message}{found}" if path else f"{message}{found}")
    return lines


def advice(problem: str, path: str) -> str:
    """Return what to do about an error of pydantic's type `problem` at `path`, or ''."""
    if (problem, path) == ("int_type", "seed"):
        return " Several seeds are those of a sweep: `cycada sweep`."
    return " Put it in quotes to have it as text." if problem == "string_type" else ""
