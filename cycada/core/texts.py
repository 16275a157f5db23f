"""One text or several, where a caller may give either."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def listed(texts: str | Path | Iterable[str]) -> list[str]:
    """Return texts as a list: a single one, which Python would take apart into letters, as a list of one."""
    return [str(texts)] if isinstance(texts, (str, Path)) else [str(text) for text in texts]
