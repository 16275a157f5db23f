"""One text or several, where a caller may give either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cycada.core.errors import CycadaError


def listed(texts: str | Path | Iterable[object]) -> list[str]:
    """Return texts as a list: a single one, which Python would take apart into letters, as a list of one.

    Raises:
        CycadaError: They are something else, such as None, a number or a mapping.
    """
    if isinstance(texts, (str, Path)):
        return [str(texts)]
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise CycadaError(f"Found a {type(texts).__name__}, expected a text or a list of texts.")
    return [str(text) for text in texts]
