"""Types for the size of images in a config."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cycada.core.bounds import Side

Pixels = Annotated[Side, Field(ge=4)]
"""Side of an image in pixels, 4 to 65535."""
Shape = tuple[Pixels, Pixels]
"""(height, width) in pixels."""


class Sizes(BaseModel):
    """Sizes of the two domains' segmentation images, where they differ in shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Shape = Field(description="[height, width] of source images in pixels, 4 to 65535 each.")
    target: Shape = Field(description="[height, width] of target images in pixels, 4 to 65535 each.")


Size = Pixels | Shape | Sizes
"""Size of images: the side of a square, (height, width), or one shape for each domain."""


def shapes_of(size: Size) -> dict[str, tuple[int, int]]:
    """Return the (height, width) in pixels of `source` and `target` images."""
    if isinstance(size, Sizes):
        return {"source": size.source, "target": size.target}
    return dict.fromkeys(("source", "target"), (size, size) if isinstance(size, int) else size)
