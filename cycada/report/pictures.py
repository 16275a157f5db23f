"""Pictures from run folders for the page: translations, and predicted segmentation masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cycada.evaluation.image_grids import GAP, HEAD, MASK_COLUMNS
from cycada.metrics.many_classes import cut
from cycada.render.pixels import columns_of, rows_of, split_rows, uri
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


@dataclass(frozen=True)
class Gallery:
    """Images with a heading of their own.

    Attributes:
        title: The heading.
        pictures: The images.
    """

    title: str
    pictures: tuple[Picture, ...]


MISTAKES = 12
"""The largest number of mistakes that are shown of a row; of scenes, which are heavy, of all rows, but two or
more of each."""
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
        picture = rows_of(record.grid, _few_scenes(rows[0], GRID_ROWS, len(groups)), HEAD)
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
                uri(_columns(path, "predicted", "wrong")),
                title,
                f"Predicted masks of {title}, and where they are wrong, in white",
            )
        )
    return pictures


def mistakes(rows: Sequence[Variant]) -> list[Gallery]:
    """Return the worst predictions of each row on target test images, of its first seed that stored them."""
    galleries = []
    for row in rows:
        record = next((o.last for o in row.outcomes if o.last.mistakes_picture), None)
        if record is None or (path := record.mistakes_picture) is None:
            continue
        captions = _captions(record)
        most = _few_scenes(row, MISTAKES, len(rows)) or MISTAKES
        images = split_rows(path, len(captions), HEAD, GAP)[:most]
        pictures = tuple(
            Picture(uri(image), caption, f"{row.name}: {where}, {caption}")
            for image, (caption, where) in zip(images, captions, strict=False)
        )
        galleries.append(Gallery(f"{row.name}, seed {record.seed}", pictures))
    return galleries


def _captions(record: Record) -> list[tuple[str, str]]:
    """Return of each stored mistake what was wrong, and which image of the test set it is."""
    stored = record.analysis
    numbers = [f"test image {i}" for i in stored["mistake_index"]]
    if "mistake_name" in stored:
        numbers = [f"{number} ({name})" for number, name in zip(numbers, stored["mistake_name"], strict=True)]
    if "mistake_iou" in stored:
        return [(f"IoU {100 * v:.1f} %", n) for v, n in zip(stored["mistake_iou"], numbers, strict=True)]
    keys = ("mistake_true", "mistake_predicted", "mistake_probability")
    classes = [cut(name) for name in record.classes or ()]
    return [
        (f"{classes[true]}, predicted {classes[predicted]}, {100 * probability:.1f} %", number)
        for true, predicted, probability, number in zip(*(stored[k] for k in keys), numbers, strict=True)
    ]


def _columns(path: Path, *names: str) -> Image.Image:
    return columns_of(path, [MASK_COLUMNS.index(name) for name in names], len(MASK_COLUMNS), GAP)


def _when(record: Record, path: Path) -> str:
    return f"seed {record.seed}, step {int(path.stem.split('_')[1])}"


def _few_scenes(row: Variant, most: int, pictures: int) -> int | None:
    """Return how many scenes a picture shows: they are large, and a few suffice; None for small images."""
    return max(2, most // pictures) if row.metric.of_pixels else None
