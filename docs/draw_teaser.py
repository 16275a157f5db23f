"""Draw docs/teaser.png from pictures in committed reports: drawn digits and streets alone.

python docs/draw_teaser.py
"""

import base64
import io
import re
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

DOCS = Path(__file__).resolve().parent
REPORTS = DOCS.parent / "results" / "reports"
GAIN = "drawn streets, game to photo: 24 % mIoU before, 50 % after (mean of three seeds)"
INK, SOFT = "#263238", "#78909c"


def picture(report: str, begins: str) -> np.ndarray:
    """The picture of a report's page whose description begins so. (H, W, 3) uint8."""
    page = (REPORTS / report / "report.html").read_text(encoding="utf-8")
    found = re.search(rf'<img src="data:image/\w+;base64,([^"]+)" alt="{re.escape(begins)}', page)
    assert found, f"{report} has no picture '{begins}'"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


def cells(image: np.ndarray, width: int, height: int, gap: int, top: int) -> list[list[np.ndarray]]:
    """Rows of the cells of a grid, whose first row begins at `top`."""
    rows = range(top, image.shape[0] - height + 1, height + gap)
    columns = range(0, image.shape[1] - width + 1, width + gap)
    return [[image[y : y + height, x : x + width] for x in columns] for y in rows]


def shown(axes: plt.Axes, image: np.ndarray, title: str = "") -> None:
    """Draw an image without ticks and frame, below its title."""
    axes.imshow(image, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=12, color=INK, pad=5)


def draw(path: Path) -> None:
    """Translations at the left, predictions for the target's test images at the right, digits below."""
    grid = cells(picture("streets_quick", "Grid of real"), 128, 64, 4, 18)
    truth = cells(picture("streets_quick", "Target test images"), 128, 64, 4, 18)
    before = cells(picture("streets_quick", "Answers of source only"), 128, 64, 4, 18)
    after = cells(picture("streets_quick", "Answers of + self"), 128, 64, 4, 18)
    digits = cells(picture("digits_ablation", "Grid of real"), 64, 64, 4, 18)
    figure = plt.figure(figsize=(14.4, 5.4), facecolor="white")
    columns = [
        ("labelled source", [grid[i][0] for i in (0, 3, 4)]),
        ("translated to the target", [grid[i][1] for i in (0, 3, 4)]),
        ("unlabelled target", [truth[i][0] for i in (0, 2, 3)]),
        ("prediction, source only", [before[i][0] for i in (0, 2, 3)]),
        ("prediction, adapted", [after[i][0] for i in (0, 2, 3)]),
        ("truth (never trained on)", [truth[i][1] for i in (0, 2, 3)]),
    ]
    for i, (title, images) in enumerate(columns):
        for row, image in enumerate(images):
            place = (0.004 + i * 0.1665 + (0.005 if i > 1 else 0), 0.742 - row * 0.205, 0.158, 0.193)
            shown(figure.add_axes(place), image, title if row == 0 else "")
    figure.add_artist(plt.Line2D([0.3345, 0.3345], [0.33, 0.98], color="#cfd8dc", linewidth=1))
    note = {"fontsize": 11, "color": SOFT, "va": "center"}
    figure.text(0.004, 0.292, "the segmenter learns from translations", **note)
    figure.text(0.342, 0.292, GAIN, **note)
    for i, row in enumerate(digits[:10]):
        for line in (0, 1):
            shown(figure.add_axes((0.004 + i * 0.0475, 0.135 - line * 0.12, 0.042, 0.112)), row[line])
    figure.text(0.488, 0.19, "rendered digits, with their labels", **note)
    figure.text(0.488, 0.075, "translated to look like handwriting", **note)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    Image.open(path).convert("RGB").quantize(240, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)


if __name__ == "__main__":
    draw(DOCS / "teaser.png")
