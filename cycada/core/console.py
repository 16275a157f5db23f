"""The console on which commands print their tables and sentences."""

from __future__ import annotations

from rich.console import Console


def make_plain_console() -> Console:
    """Return a console on stdout that prints every text as it is.

    Names of classes, rows and files are the user's: `[road]` is no markup, and `:car:` no picture.
    """
    return Console(highlight=False, markup=False, emoji=False)
