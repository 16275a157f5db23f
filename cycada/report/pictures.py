"""Pictures from run folders for the page: translations, and predicted segmentation masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cycada.evaluation.image_grids import ANSWERS, GAP, HEAD
from cycada.render.pixels import columns_of, rows_of, uri
from cycada.report.record import Record
from cycada.report.rows import Variant
from cycada.report.semantics import shared


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        uri: The image as a data URI.
        title: The caption.
        alt: The text for readers who cannot see the image.
    """

    uri: str
    title: str
    alt: str


GRID_ROWS = 16
"""Rows of all segmentation grids of a page, at most, because photos are heavy; a grid keeps at least two."""


def grids(rows: Sequence[Variant]) -> list[Picture]:
    """Return the last image grid of every translating stage, of one seed.

    Rows that share a stage share its picture. For segmentation only the first rows of a grid are kept.
    """
    pictures = []
    groups = [g for g in shared(rows, lambda outcome: outcome.translation) if g.records[0].grid]
    for group in groups:
        record = group.records[0]
        assert record.grid  # the others were left out
        # scenes are large, and a few of them show what there is to see
        picture = rows_of(
            record.grid, max(2, GRID_ROWS // len(groups)) if rows[0].metric.of_pixels else None, HEAD
        )
        title = f"{group.title}: stage {record.stage}, {_when(record, record.grid)}"
        pictures.append(
            Picture(uri(picture), title, f"Grid of real, translated and reconstructed images. {title}")
        )
    return pictures


def predicted_masks(rows: Sequence[Variant]) -> list[Picture]:
    """Return each row's predicted masks of a few test images, at its first seed, and where they are wrong.

    The images and their true masks come first, once; again only before a row that was tested on others.
    """
    pictures: list[Picture] = []
    known: Image.Image | None = None
    for row in rows:
        record = row.outcomes[0].last
        if (path := record.predictions_picture) is None:
            continue
        images = _columns(path, "image", "truth")
        if known is None or images.size != known.size or images.tobytes() != known.tobytes():
            title = "Target test images and their true masks" + (f", for {row.name}" if known else "")
            pictures.append(Picture(uri(images), title, title))
            known = images
        title = f"{row.name}, {_when(record, path)}"
        pictures.append(
            Picture(
                uri(_columns(path, "said", "wrong")),
                title,
                f"Predicted masks of {title}, and where they are wrong, in white",
            )
        )
    return pictures


def _columns(path: Path, *names: str) -> Image.Image:
    return columns_of(path, [ANSWERS.index(name) for name in names], len(ANSWERS), GAP)


def _when(record: Record, path: Path) -> str:
    return f"seed {record.seed}, step {int(path.stem.split('_')[1])}"
