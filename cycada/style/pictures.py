"""Picture files in and out of a style transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor

from cycada.core.errors import CycadaError
from cycada.core.files import ready, whole
from cycada.data.picture import read_picture

LEAST = 16
"""Pixels along the longer side below which there is nothing to see."""


def read(path: Path, size: int | None) -> Tensor:
    """(1, 3, H, W) float in [-1, 1]: upright, the longer side scaled to `size` (null: as it is), the aspect kept. Raises CycadaError."""
    if not path.is_file():
        raise CycadaError(f"{path}: no such picture.")
    image = Pil.fromarray(read_picture(path))
    if size:
        share = size / max(image.size)
        image = image.resize(
            (max(1, round(image.width * share)), max(1, round(image.height * share))), Pil.Resampling.LANCZOS
        )
    if max(image.size) < LEAST:
        raise CycadaError(
            f"{path}: found {image.width} x {image.height} pixels, expected at least {LEAST} along one side."
        )
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def check_out(path: Path) -> None:
    """Before minutes are spent. Raises CycadaError where nothing could be written there."""
    if Pil.registered_extensions().get(path.suffix.lower()) not in Pil.SAVE:
        raise CycadaError(
            f"{path}: found the suffix '{path.suffix}', expected that of a picture, such as .png or .jpg."
        )
    if path.is_dir():
        raise CycadaError(f"{path}: this is a folder; give the name of a picture.")
    try:
        ready(path.parent)
    except OSError as error:
        raise CycadaError(f"{path.parent}: cannot make this folder ({error.strerror}).") from None


def write(path: Path, image: Tensor) -> None:
    """(1, 3, H, W) in [-1, 1] -> a file, whole or not at all."""
    pixels = ((image[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    with whole(path) as part:
        Pil.fromarray(pixels).save(part, format=Pil.registered_extensions()[path.suffix.lower()], quality=95)
