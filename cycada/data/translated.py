"""Datasets that pair each image with another one: its translation from disk, or its true counterpart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as Pil
from torch import Tensor
from typing_extensions import override

from cycada.core.files import whole
from cycada.core.types import IGNORE
from cycada.data.fitted import ResizedDataset
from cycada.data.masks import MaskTable
from cycada.data.pairs import FilePairs
from cycada.data.scenes import Image, Mask, SegmentationDataset

ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}
"""Last bytes of a complete file, by its suffix."""


class PairedDataset(SegmentationDataset):
    """Dataset whose images are joined with a partner image along the channels.

    `read` returns both in one tensor, (2C, H, W) uint8, the partner second, so that crops and mirroring apply
    to both and to the mask alike.

    Args:
        real: Images and masks.
        partner: For each image the translated or the paired image, at the same size.
    """

    def __init__(self, real: ResizedDataset, partner: ResizedDataset) -> None:
        super().__init__(real.names, real.labelled, real.skipped)
        self.real, self.partner = real, partner
        self.left_out = real.left_out

    @override
    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        image, mask = self.real.read(i)
        return torch.cat([image, self.partner.read(i)[0]]), mask

    @override
    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, mask = self.read(i)
        return image.permute(1, 2, 0).numpy(), None if mask is None else mask.numpy()


class Translated(PairedDataset):
    """Dataset that pairs each image with its translation in a picture file.

    Args:
        real: Images and masks.
        files: The translation of each image. It is resized to the size of `real`, and stays in memory if
            `real` does.
    """

    def __init__(self, real: ResizedDataset, files: Sequence[Path]) -> None:
        pairs = FilePairs(
            real.names, [(file, None) for file in files], MaskTable({IGNORE: IGNORE}), labelled=False
        )
        super().__init__(real, ResizedDataset(pairs, real.size, cache=real.cached))


def write_png(file: Path, pixels: Tensor) -> None:
    """Write an image as a PNG file, complete or not at all, at the fastest compression.

    Args:
        file: The file.
        pixels: (C, H, W) uint8, C = 1 or 3.
    """
    array = pixels.permute(1, 2, 0).cpu().numpy()
    with whole(file) as part:
        Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(
            part, format="PNG", compress_level=1
        )


def is_whole(file: Path) -> bool:
    """Return whether a .png or .jpg file exists and is complete.

    After a power failure, a file that was renamed into place may be cut off or empty.
    """
    end = ENDS[file.suffix]
    try:
        with file.open("rb") as opened:
            opened.seek(-len(end), os.SEEK_END)
            return opened.read() == end
    except OSError:
        return False
