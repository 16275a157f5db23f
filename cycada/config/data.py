"""The part `data` of an experiment: its two domains and how their images are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cycada.config.fields import Spec, Strict
from cycada.core.bounds import Home, NonNegative, Whole, at_home, checked_number
from cycada.core.errors import CycadaError
from cycada.core.sizes import Size


class Data(Strict):
    """The two domains, and the size and number of channels to which their images are converted on loading."""

    root: Home | None = Field(
        None,
        description="Folder that relative paths of data start from; null takes the environment variable "
        "CYCADA_DATA, or else `data`.",
    )
    source: Spec = Field(description="Labelled source domain: its name, or its name with options.")
    target: Spec = Field(
        description="Target domain, whose training labels no method but an oracle sees: its name, or its "
        "name with options."
    )
    size: Size = Field(
        description="Size of the images in pixels, 4 to 65535: one side, [height, width] for segmentation, "
        "or {source: [height, width], target: [height, width]} where the two domains differ in shape.",
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(checked_number)] = Field(
        description="Number of image channels that all networks see: 1 for grey, 3 for RGB; segmentation "
        "needs 3."
    )
    resize: Literal["bilinear", "bicubic", "nearest", "pad"] = Field(
        "bilinear",
        description="How images with image-level labels are brought to `size`: interpolated (`bilinear` and "
        "`bicubic` with antialiasing), or padded with black, which refuses larger images.",
    )
    download: bool = Field(
        False, description="Whether files that are missing are downloaded, for domains that offer a download."
    )
    workers: Annotated[Whole, Field(ge=0, le=1024)] = Field(
        0,
        description="Number of processes that read segmentation images and class folders, 0 to 1024; 0 reads "
        "them in the training process.",
    )
    hold: NonNegative = Field(
        2000.0,
        description="Largest size in megabytes up to which a segmentation dataset or a class folder is kept "
        "in memory, at least 0; larger ones, and all of them where `workers` is above 0, are read from disk "
        "at every step.",
    )

    def resolved_root(self) -> Path:
        """Return the data root: `root`, or else `data_root()`.

        Raises:
            CycadaError: CYCADA_DATA is no usable path.
        """
        return self.root or data_root()


def data_root() -> Path:
    """Return the default data folder: the environment variable CYCADA_DATA, or else `data`.

    Raises:
        CycadaError: CYCADA_DATA is no usable path.
    """
    try:
        return at_home(os.environ.get("CYCADA_DATA") or "data")
    except ValueError as error:
        raise CycadaError(f"CYCADA_DATA: {error}") from None
