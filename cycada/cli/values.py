"""Parsers of command-line values, with the same bounds as in a config, and with `~` expanded in paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import Field

from cycada.core.bounds import Count, Home, Index, NonNegative, Seed, Share, Side
from cycada.core.errors import CycadaError
from cycada.core.registry import typed


def _parser(hint: Any, word: str) -> Callable[[Any], Any]:
    """Return a parser for typer.

    Args:
        hint: The annotated type of the value.
        word: What the help calls the value.
    """

    def parse(value: Any) -> Any:
        try:
            return typed(value, hint, "")
        except CycadaError as error:
            raise typer.BadParameter(str(error).removeprefix(": ")) from None

    parse.__name__ = word
    return parse


# a shell leaves the `~` in `--out=~/x` alone, so paths expand it here
PATH = _parser(Home, "path")
COUNT = _parser(Count, "integer")
INDEX = _parser(Index, "integer")
JOBS = _parser(Annotated[Count, Field(le=1024)], "integer")
SEED = _parser(Seed, "integer")
TILE = _parser(Annotated[Side, Field(ge=16)], "integer")
SHARE = _parser(Share, "float")
NON_NEGATIVE = _parser(NonNegative, "float")
