"""SegmentationDataset with another picture of each: a translation from disk, or what it truly looks like in the other domain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as Pil
from torch import Tensor

from cycada.core.files import whole
from cycada.core.types import IGNORE
from cycada.data.fitted import ResizedDataset
from cycada.data.masks import MaskTable
from cycada.data.pairs import FilePairs
from cycada.data.scenes import Image, Mask, SegmentationDataset

ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}
"""The last bytes of every file of a kind."""


class PairedDataset(SegmentationDataset):
    """`real`, with another picture of every scene behind it, at the same size.

    `read` gives both images in one tensor, (2C, H, W) uint8, the other behind: whatever window and mirror a stream takes then falls
    on both, and on the mask.
    """

    def __init__(self, real: ResizedDataset, partner: ResizedDataset) -> None:
        super().__init__(real.names, real.labelled, real.skipped)
        self.real, self.partner = real, partner
        self.left_out = real.left_out

    def read(self, i: int) -> tuple[Tensor, Tensor | None]:
        image, mask = self.real.read(i)
        return torch.cat([image, self.partner.read(i)[0]]), mask

    def pair(self, i: int) -> tuple[Image, Mask | None]:
        image, mask = self.read(i)
        return image.permute(1, 2, 0).numpy(), None if mask is None else mask.numpy()


class Translated(PairedDataset):
    """With translations in picture files behind, which are brought to the size of `real` and stay in memory where that does."""

    def __init__(self, real: ResizedDataset, files: Sequence[Path]) -> None:
        pairs = FilePairs(
            real.names, [(file, None) for file in files], MaskTable({IGNORE: IGNORE}), labelled=False
        )
        super().__init__(real, ResizedDataset(pairs, real.size, cache=real.cached))


def write_png(file: Path, pixels: Tensor) -> None:
    """(C, H, W) uint8, C = 1 or 3, as a PNG file, whole or not at all. Little compressed: translations are many."""
    array = pixels.permute(1, 2, 0).cpu().numpy()
    with whole(file) as part:
        Pil.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(
            part, format="PNG", compress_level=1
        )


def is_whole(file: Path) -> bool:
    """Whether a PNG or .jpg file is there to its last byte: after a power failure a renamed file may be cut off or empty."""
    end = ENDS[file.suffix]
    try:
        with file.open("rb") as opened:
            opened.seek(-len(end), os.SEEK_END)
            return opened.read() == end
    except OSError:
        return False
