"""What a config may say of the size of images."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cycada.core.bounds import Side

Pixels = Annotated[Side, Field(ge=4)]
Shape = tuple[Pixels, Pixels]


class Sizes(BaseModel):
    """[height, width] that the scenes of each domain are brought to, where the two are not of one shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Shape
    target: Shape


Size = Pixels | Shape | Sizes


def shapes_of(size: Size) -> dict[str, tuple[int, int]]:
    """(height, width) of the source and of the target."""
    if isinstance(size, Sizes):
        return {"source": size.source, "target": size.target}
    return dict.fromkeys(("source", "target"), (size, size) if isinstance(size, int) else size)
