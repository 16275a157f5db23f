"""Read and write the picture files of a style transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor

from cycada.core.errors import CycadaError, foreign_file
from cycada.core.files import prepare_folder, write_atomically
from cycada.data.picture import read_picture
from cycada.data.software import is_written_by, software

COMMAND = "cycada style"
LEAST = 16
"""Smallest longer side of a picture, in pixels."""


def read(path: Path, size: int | None) -> Tensor:
    """Read a picture, turn it upright, and scale it.

    Args:
        path: The file.
        size: The longer side in pixels, with the aspect ratio kept; None keeps the file's own size.

    Returns:
        (1, 3, H, W) float in [-1, 1].

    Raises:
        CycadaError: The file is no readable picture, or smaller than 16 pixels.
    """
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
            f"{path}: found {image.width} x {image.height} pixels, expected at least {LEAST} on the longer "
            "side."
        )
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def check_out(path: Path, command: str = COMMAND) -> None:
    """Check that a picture can be written to `path`, before minutes are spent on it, and make its folder.

    Args:
        path: The file.
        command: The command that will write it, whose own file it may replace.

    Raises:
        CycadaError: No picture can be written there, or another file is there.
    """
    if Pil.registered_extensions().get(path.suffix.lower()) not in Pil.SAVE:
        raise CycadaError(
            f"{path}: found the suffix '{path.suffix}', expected that of a picture, such as .png or .jpg."
        )
    if path.is_dir():
        raise CycadaError(f"{path}: this is a folder; give the name of a picture.")
    if path.exists() and not is_written_by(path, command):
        raise foreign_file(path, command)
    try:
        prepare_folder(path.parent)
    except OSError as error:
        raise CycadaError(f"{path.parent}: cannot make this folder ({error.strerror}).") from None


def write(path: Path, image: Tensor) -> None:
    """Write an image (1, 3, H, W) in [-1, 1] to a file, completely or not at all."""
    pixels = ((image[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    with write_atomically(path) as part:
        Pil.fromarray(pixels).save(
            part,
            format=Pil.registered_extensions()[path.suffix.lower()],
            quality=95,
            exif=software(COMMAND),
        )
