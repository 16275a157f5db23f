"""Types for the size of images in a config."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from cycada.core.bounds import Side
from cycada.core.errors import shown

Pixels = Annotated[Side, Field(ge=4)]
"""Side of an image in pixels, 4 to 65535."""
Shape = tuple[Pixels, Pixels]
"""(height, width) in pixels."""


class Sizes(BaseModel):
    """Sizes of the two domains' segmentation images, where they differ in shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: Shape = Field(description="[height, width] of source images in pixels, 4 to 65535 each.")
    target: Shape = Field(description="[height, width] of target images in pixels, 4 to 65535 each.")


def _in_one_sentence(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Return a checked size; a mistake gives one message instead of one for each way to write a size."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError(
            f"found {shown(value)}, expected 4 to 65535 pixels: one side such as 32, [height, width], or "
            f"{{source: [height, width], target: [height, width]}}."
        ) from None


Size = Annotated[Pixels | Shape | Sizes, WrapValidator(_in_one_sentence)]
"""Size of images: the side of a square, (height, width), or one shape for each domain."""


def shapes_of(size: Pixels | Shape | Sizes) -> dict[str, tuple[int, int]]:
    """Return the (height, width) in pixels of `source` and `target` images."""
    if isinstance(size, Sizes):
        return {"source": size.source, "target": size.target}
    return dict.fromkeys(("source", "target"), (size, size) if isinstance(size, int) else size)
