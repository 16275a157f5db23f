"""The message about pictures that a command could not process."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 20
"""Number of failures whose reasons are given."""


def describe_failures(reasons: Sequence[str], total: int, verb: str) -> str:
    """Return how many pictures failed, and why the first `SHOWN` did; empty where none failed.

    Args:
        reasons: The reason of each failure.
        total: Number of all pictures.
        verb: What could not be done with them, such as 'translated'.
    """
    if not reasons:
        return ""
    first = f"{len(reasons)} of {total} images could not be {verb}; all others are done."
    lines = [f"  {reason}" for reason in reasons[:SHOWN]]
    return "\n".join([first, *lines, *(["  ..."] if len(reasons) > SHOWN else [])])
