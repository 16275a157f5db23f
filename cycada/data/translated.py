"""Scenes with a translation of each from disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as Pil
from torch import Tensor

from cycada.data.fitted import Fitted
from cycada.data.pairs import FilePairs, MaskTable
from cycada.data.scenes import Image, Mask, Scenes
from cycada.types import IGNORE

ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}
"""The last bytes of every file of a kind."""


class Translated(Scenes):
    """`real`, with the picture files of their translations, which are brought to the size of `real`.

    `read` gives both images in one tensor, (2C, H, W) uint8, the translation behind: whatever window and mirror a stream takes
    then falls on both, and on the mask. Translations stay in memory where `real` does.
    """

    def __init__(self, real: Fitted, files: Sequence[Path]) -> None:
        super().__init__(real.names, real.labelled, real.skipped)
        self.real = real
        pairs = FilePairs(real.names, [(file, None) for file in files], MaskTable({IGNORE: IGNORE}), labelled=False)
        self.fake = Fitted(pairs, real.size, hold=real.holds)

    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        image, mask = self.real.read(i)
        return torch.cat([image, self.fake.read(i)[0]]), mask

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, mask = self.read(i)
        return image.permute(1, 2, 0).numpy(), None if mask is None else mask.numpy()


def write_png(file: Path, pixels: Tensor) -> None:
    """(C, H, W) uint8, C = 1 or 3, as a PNG file, whole or not at all. Little compressed: translations are many."""
    array = pixels.permute(1, 2, 0).cpu().numpy()
    temporary = file.with_suffix(".tmp")
    Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(temporary, format="PNG", compress_level=1)
    temporary.replace(file)


def is_whole(file: Path) -> bool:
    """Whether a PNG or .jpg file is there to its last byte: after a power failure a renamed file may be cut off or empty."""
    end = ENDS[file.suffix]
    try:
        with file.open("rb") as opened:
            opened.seek(-len(end), os.SEEK_END)
            return opened.read() == end
    except OSError:
        return False
