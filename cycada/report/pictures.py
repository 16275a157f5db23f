"""Pictures from run folders inside a page: translations, and what is said of scenes."""

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
    """An image file inside the page, as a data URI."""

    uri: str
    title: str
    alt: str


SCENES = 16
"""Rows of scenes on a page, of all grids together; a grid has two at least. They are photos, and weigh what photos weigh."""


def grids(rows: Sequence[Variant]) -> list[Picture]:
    """The last grid of the stage that translates, once for all rows that share it, of one seed. Of scenes its first rows."""
    found = []
    groups = [g for g in shared(rows, lambda outcome: outcome.translation) if g.records[0].grid]
    for group in groups:
        record = group.records[0]
        assert record.grid  # the others were left out
        picture = rows_of(
            record.grid, max(2, SCENES // len(groups)) if rows[0].metric.of_pixels else None, HEAD
        )
        title = f"{group.title}: stage {record.stage}, {_when(record, record.grid)}"
        found.append(
            Picture(uri(picture), title, f"Grid of real, translated and reconstructed images. {title}")
        )
    return found


def answers(rows: Sequence[Variant]) -> list[Picture]:
    """What each row, at its first seed, says of a few test scenes, and where it is wrong. SegmentationDataset and truth are shown once, unless a
    row was shown others."""
    found: list[Picture] = []
    known: Image.Image | None = None
    for row in rows:
        record = row.outcomes[0].last
        if (path := record.answers_picture) is None:
            continue
        scenes = _columns(path, "image", "truth")
        if known is None or scenes.size != known.size or scenes.tobytes() != known.tobytes():
            title = "Target test images and their truth" + (f", for {row.name}" if known else "")
            found.append(Picture(uri(scenes), title, title))
            known = scenes
        title = f"{row.name}, {_when(record, path)}"
        found.append(
            Picture(
                uri(_columns(path, "said", "wrong")),
                title,
                f"Answers of {title}, and where they are wrong, in white",
            )
        )
    return found


def _columns(path: Path, *names: str) -> Image.Image:
    return columns_of(path, [ANSWERS.index(name) for name in names], len(ANSWERS), GAP)


def _when(record: Record, path: Path) -> str:
    return f"seed {record.seed}, step {int(path.stem.split('_')[1])}"
