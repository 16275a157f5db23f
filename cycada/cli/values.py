"""Values of the command line: the same bounds as a config's, and `~` in every path, which a shell leaves alone behind `--out=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import Field

from cycada.core.bounds import Count, Home, Index, NonNegative, Seed, Share, Side
from cycada.core.errors import CycadaError
from cycada.core.registry import typed


def _parser(hint: Any, word: str) -> Callable[[Any], Any]:
    """What typer reads a value by. word: what the help calls it."""

    def parse(value: Any) -> Any:
        try:
            return typed(value, hint, "")
        except CycadaError as error:
            raise typer.BadParameter(str(error).removeprefix(": ")) from None

    parse.__name__ = word
    return parse


PATH = _parser(Home, "path")
COUNT = _parser(Count, "integer")
INDEX = _parser(Index, "integer")
JOBS = _parser(Annotated[Count, Field(le=1024)], "integer")
SEED = _parser(Seed, "integer")
TILE = _parser(Annotated[Side, Field(ge=16)], "integer")
SHARE = _parser(Share, "float")
NON_NEGATIVE = _parser(NonNegative, "float")
