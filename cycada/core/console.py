"""The console on which commands print their tables and sentences."""

from __future__ import annotations

from rich.console import Console


def make_plain_console(stderr: bool = False) -> Console:
    """Return a console that prints every text as it is.

    Names of classes, rows and files are the user's: `[road]` is no markup, and `:car:` no picture.

    Args:
        stderr: Whether it prints on stderr instead of stdout.
    """
    return Console(highlight=False, markup=False, emoji=False, stderr=stderr)
