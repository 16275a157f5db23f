"""How a single picture becomes the input of a trained network, exactly as the images of the training did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pil
from PIL import ImageOps
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.data.convert import Resize, convert, to_float
from cycada.data.picture import UNREADABLE, open_picture, pixels_of
from cycada.data.resize import resize_images

Fit = Literal["crop", "whole", "scene"]
"""How a picture is brought to the size of the training.

`crop`: the largest centred part of the wanted shape is resized, as the domain `folder` does. `whole`: the
whole picture is resized, as images in arrays are. `scene`: the whole picture is resized, as images with
masks are.
"""
RESAMPLING = {
    "bilinear": Pil.Resampling.BILINEAR,
    "bicubic": Pil.Resampling.BICUBIC,
    "nearest": Pil.Resampling.NEAREST,
}
"""Pillow's filter for each value of data.resize, antialiased except for 'nearest'."""


def fit_picture(picture: np.ndarray, size: tuple[int, int], resize: Resize) -> np.ndarray:
    """Return a picture cropped to a centred part and resized; with `pad`, centred on black and not cropped.

    Args:
        picture: (H, W, 3) uint8.
        size: (height, width) in pixels.
        resize: The filter, or `pad`.

    Returns:
        (height, width, 3) uint8.

    Raises:
        CycadaError: `pad` was asked to make the picture smaller.
    """
    image, (height, width) = Pil.fromarray(picture), size
    if resize != "pad":
        return np.asarray(ImageOps.fit(image, (width, height), RESAMPLING[resize]))
    if image.width > width or image.height > height:
        raise CycadaError(
            f"data.resize: pad cannot shrink {image.width} x {image.height} to {width} x {height}. Make it "
            "smaller, or train with bilinear."
        )
    padded = Pil.new("RGB", (width, height))
    padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return np.asarray(padded)


@dataclass(frozen=True)
class Preprocess:
    """A function from a picture to the input of a network: (C, h, w) float in [-1, 1].

    Attributes:
        size: (height, width) of the input in pixels.
        channels: 1 or 3.
        resize: The interpolation, one of the values of data.resize.
        fit: How the picture is brought to `size`.
        upright: Whether the EXIF orientation of a file is followed. It is not where the domain's images have
            masks, which would not be turned with them.
    """

    size: tuple[int, int]
    channels: int
    resize: Resize = "bilinear"
    fit: Fit = "whole"
    upright: bool = True

    def __call__(self, picture: Path | str | Pil.Image | np.ndarray) -> Tensor:
        """Return a picture as (C, h, w) float in [-1, 1]; `read` says what is taken and what is raised."""
        return to_float(self.resized(self.read(picture))[None])[0]

    def read(self, picture: Path | str | Pil.Image | np.ndarray) -> Tensor:
        """Return the pixels of a picture at its own size.

        Args:
            picture: A file, a PIL image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3).

        Returns:
            (3, H, W) uint8.

        Raises:
            CycadaError: The picture cannot be read, or it is something else.
        """
        if isinstance(picture, np.ndarray):
            check_array(picture)
            rows = picture.reshape(*picture.shape[:2], -1)
            array = np.broadcast_to(rows, (*picture.shape[:2], 3))
        elif isinstance(picture, Pil.Image):
            try:
                array = pixels_of(picture, 3, self.upright)
            except UNREADABLE as error:
                raise CycadaError(f"The picture cannot be read: {error}.") from error
        elif isinstance(picture, (str, Path)):
            try:
                with open_picture(Path(picture)) as opened:
                    array = pixels_of(opened, 3, self.upright)
            except UNREADABLE as error:
                raise CycadaError(f"{picture}: not a readable image ({error}). Mend or remove it.") from error
        else:
            raise CycadaError(
                f"Found a {type(picture).__name__}, expected a path, a PIL image or a uint8 array of a "
                "picture."
            )
        return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))

    def resized(self, pixels: Tensor) -> Tensor:
        """Return a picture (3, H, W) uint8 as the network's (channels, h, w) uint8.

        Raises:
            CycadaError: `pad` was asked to make the picture smaller.
        """
        if self.fit == "scene":
            return resize_images(pixels[None], self.size)[0]
        if self.fit == "crop":
            array = fit_picture(pixels.permute(1, 2, 0).contiguous().numpy(), self.size, self.resize)
            pixels = torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))
        elif bool((pixels == pixels[:1]).all()):  # a grey image was converted as one channel in training
            pixels = pixels[:1]
        return convert(pixels[None], self.size, self.channels, self.resize)[0]


def check_array(picture: np.ndarray) -> None:
    """Check that an array is a picture: uint8, (H, W), (H, W, 1) or (H, W, 3), with at least one pixel.

    Raises:
        CycadaError: It is none.
    """
    if (
        picture.dtype != np.uint8
        or not picture.size
        or picture.ndim not in (2, 3)
        or picture.shape[2:] not in ((), (1,), (3,))
    ):
        raise CycadaError(
            f"Found an array {picture.dtype}{picture.shape}, expected uint8 of (H, W), (H, W, 1) or (H, W, "
            "3)."
        )
