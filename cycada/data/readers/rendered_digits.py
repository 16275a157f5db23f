"""The pair of domains that needs no download: digits rendered from fonts, and real handwritten digits."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from typing_extensions import override

from cycada.core.bounds import Drawn
from cycada.data.domain import Domain, Split, domains
from cycada.data.labelled_images import ImageDataset, make_image_dataset

FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
)
"""Fonts that come with matplotlib and have all ten digits."""


def draw_digit(digit: int, rng: np.random.Generator, fonts: list[str], size: int) -> np.ndarray:
    """Return one white digit on black, in a random font, size and pose.

    Font and font size (75 to 100 % of the side), rotation (+-12 degrees), shear (+-0.2), stretch of both axes
    (+-15 %) and shift (+-8 %) are random. The digit is drawn four times too large and averaged down.

    Args:
        digit: 0 to 9.
        rng: Source of all random numbers.
        fonts: Font files to choose from.
        size: Side of the image in pixels.

    Returns:
        (size, size) uint8.
    """
    side = 4 * size
    font = _open_font(fonts[rng.integers(len(fonts))], int(side * rng.uniform(0.75, 1.0)))
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).text((side / 2, side / 2), str(digit), fill=255, font=font, anchor="mm")
    angle, shear = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(-0.2, 0.2)
    stretch = rng.uniform(0.85, 1.15, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) / stretch
    shift = side / 2 - matrix @ (np.full(2, side / 2) + rng.uniform(-0.08, 0.08, 2) * side)
    moved = canvas.transform(
        (side, side),
        Image.Transform.AFFINE,
        (*matrix[0], shift[0], *matrix[1], shift[1]),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(moved.resize((size, size), Image.Resampling.BOX))


_open_font = lru_cache(1_000)(ImageFont.truetype)
"""Open a font file in a size; all fonts in all sizes of one image size stay open, as opening takes long."""


@domains("rendered_digits")
class RenderedDigits(Domain):
    """Digits rendered from matplotlib's fonts, grey, 16 x 16.

    They are the same on every machine with the same fonts.

    Files: none.

    Labels: 0 to 9, drawn uniformly.

    Args:
        train: Number of training images.
        test: Number of test images.
    """

    title = "rendered digits"

    channels, size = 1, 16

    def __init__(self, *, train: Drawn = 10_000, test: Drawn = 2_000) -> None:
        self.counts = {"train": train, "test": test}

    @override
    def stored_files(self, root: Path, split: Split) -> tuple[Path, ...]:
        return ()

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        fonts = [str(folder / f"{name}.ttf") for name in FONTS if (folder / f"{name}.ttf").exists()]
        rng = np.random.default_rng(0 if split == "train" else 1)
        labels = rng.integers(0, 10, self.counts[split])
        return make_image_dataset(
            np.stack([draw_digit(int(y), rng, fonts, self.size) for y in labels]),
            labels,
            10,
            "rendered_digits",
        )


@domains("optdigits")
class OptDigits(Domain):
    """Optdigits, 1,797 handwritten digits, grey, 8 x 8 pixels.

    They come with scikit-learn. Alpaydin and Kaynak, UCI Machine Learning Repository, 1998. The grey values
    0..16 become 0..255. A fixed random split has 1,297 images for training and 500 for testing.

    Files: none.

    Labels: 0 to 9.
    """

    title = "Optdigits"

    channels, size = 1, 8
    counts: Mapping[Split, int] = {"train": 1_297, "test": 500}

    @override
    def stored_files(self, root: Path, split: Split) -> tuple[Path, ...]:
        return ()

    @override
    def load(self, root: Path, split: Split, download: bool) -> ImageDataset:
        table = _read_optdigits()
        order = np.random.default_rng(0).permutation(len(table))
        rows = table[order[500:] if split == "train" else order[:500]]
        images = (rows[:, :-1].reshape(-1, 8, 8) / 16).astype(np.float32)
        return make_image_dataset(images, rows[:, -1].astype(np.int64), 10, "optdigits")


def _read_optdigits() -> NDArray[np.float64]:
    """Return scikit-learn's 1,797 digits as rows of 64 grey levels from 0 to 16 and the label.

    They are read as `sklearn.datasets.load_digits` reads them. scikit-learn itself is not imported, for with
    SciPy and pandas that takes longer than a small stage.
    """
    package = importlib.util.find_spec("sklearn")
    assert package is not None  # this package depends on it
    assert package.origin is not None
    return np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
