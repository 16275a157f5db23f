"""One text or several, where a caller may give either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cycada.core.errors import CycadaError


def listed_seeds(seeds: Iterable[int]) -> list[int]:
    """Return seeds as a list.

    Raises:
        CycadaError: They are a single number, which may be a seed or the number of seeds, or a text.
    """
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise CycadaError(f"seeds: found {seeds!r}, expected a list of seeds, such as [0, 1, 2].")
    return list(seeds)


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
