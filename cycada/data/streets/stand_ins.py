"""Drawn streets as files in the official layouts of GTA5 and Cityscapes, to try recipes without either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from cycada.data.readers.cityscapes import CLASSES, LABEL_IDS
from cycada.data.streets.domain import Look, draw
from cycada.data.streets.parts import CLASSES as STREET_CLASSES

GTA5_SIZE, CITYSCAPES_SIZE = (1914, 1052), (2048, 1024)
"""Width and height of the official frames in pixels."""
FRAMES = {"train": 3, "train_extra": 3, "val": 2}
"""How many frames each split of Cityscapes has unless a caller says otherwise."""
OFFICIAL_NAMES = {"pavement": "sidewalk", "sign": "traffic sign"}
"""A class of the drawn streets -> its name in Cityscapes, where the two differ."""


def write_stand_ins(root: Path, scale: float = 1.0, frames: Mapping[str, int] = FRAMES) -> None:
    """Write a few frames of each domain in its official layout; frames that exist are kept.

    Args:
        root: The data root; the frames go to `gta5` and `cityscapes` below it.
        scale: The frames' sides as a fraction of the official ones.
        frames: Split of Cityscapes -> number of frames, for `train`, `train_extra` and `val`. GTA5 has as
            many as `train`; the last of them is both its val and its test split.
    """
    from scipy.io import savemat

    gta5, cityscapes = root / "gta5", root / "cityscapes"
    last = frames["train"]
    for k in range(1, last + 1):
        image, mask = gta5 / "images" / f"{k:05d}.png", gta5 / "labels" / f"{k:05d}.png"
        _write_frame(k, "game", _scaled(GTA5_SIZE, scale), image, mask)
    splits = {"trainIds": [[k] for k in range(1, last)], "valIds": [[last]], "testIds": [[last]]}
    savemat(gta5 / "split.mat", splits)
    for first, (split, count) in zip((100, 200, 300), frames.items(), strict=True):
        for k in range(count):
            name = f"ulm_{k:06d}_000019"
            image = cityscapes / "leftImg8bit" / split / "ulm" / f"{name}_leftImg8bit.png"
            mask = cityscapes / "gtFine" / split / "ulm" / f"{name}_gtFine_labelIds.png"
            labelled = split != "train_extra"
            _write_frame(
                first + k, "photo", _scaled(CITYSCAPES_SIZE, scale), image, mask if labelled else None
            )


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return round(size[0] * scale), round(size[1] * scale)


def _write_frame(
    number: int, look: Look, size: tuple[int, int], image_file: Path, mask_file: Path | None
) -> None:
    if image_file.exists():
        return
    image, mask = draw(0, number, look, *size)
    label_ids = dict(zip(CLASSES, LABEL_IDS, strict=True))
    ids = np.array([label_ids[OFFICIAL_NAMES.get(name, name)] for name in STREET_CLASSES], np.uint8)
    if mask_file:
        mask_file.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(ids[mask])
        if look == "game":  # GTA5's masks have a palette
            picture.putpalette([(37 * k) % 256 for k in range(768)])
        picture.save(mask_file)
    image_file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(image_file, compress_level=1)
