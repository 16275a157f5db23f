"""The one exception a user sees: a sentence, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CycadaError(Exception):
    """Says what was found, what was expected and what to do. The command line ends with `exit_code`."""

    exit_code = 2


def nearest(name: object, names: Iterable[str]) -> str:
    """The hint after an unknown name: the nearest known one, then all of them."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return f"{guess} Known: {', '.join(known) if known else 'none'}."
