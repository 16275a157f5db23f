"""Draw docs/teaser.png from pictures in a committed report, of drawn streets alone.

python docs/draw_teaser.py
"""

import base64
import io
import json
import re
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

DOCS = Path(__file__).resolve().parent
REPORTS = DOCS.parent / "results" / "reports"
INK, SOFT = "#263238", "#78909c"


def gain(report: str, before: str, after: str) -> str:
    """Say what two rows of a report's table score, as means over their seeds."""
    table = json.loads((REPORTS / report / "table.json").read_text(encoding="utf-8"))
    scores = {row["name"]: row["target_miou"] for row in table["rows"]}
    low, high, seeds = scores[before]["mean"], scores[after]["mean"], len(scores[after]["values"])
    return (
        f"drawn streets, game to photo: {low:.0f} % mIoU before, {high:.0f} % after (mean of {seeds} seeds)"
    )


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
    """Translations at the left, predictions for the target's test images at the right."""
    grid = cells(picture("streets_methods", "Grid of real"), 128, 64, 4, 18)
    truth = cells(picture("streets_methods", "Target test images"), 128, 64, 4, 18)
    before = cells(picture("streets_methods", "Predicted masks of source only"), 128, 64, 4, 18)
    after = cells(picture("streets_methods", "Predicted masks of CyCADA, seed"), 128, 64, 4, 18)
    figure = plt.figure(figsize=(14.4, 4.0), facecolor="white")
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
            place = (0.004 + i * 0.1665 + (0.005 if i > 1 else 0), 0.652 - row * 0.277, 0.158, 0.261)
            shown(figure.add_axes(place), image, title if row == 0 else "")
    figure.add_artist(plt.Line2D([0.3345, 0.3345], [0.1, 0.98], color="#cfd8dc", linewidth=1))
    note = {"fontsize": 11, "color": SOFT, "va": "center"}
    figure.text(0.004, 0.04, "the segmenter learns from translations", **note)
    figure.text(0.342, 0.04, gain("streets_methods", "source only", "CyCADA"), **note)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    Image.open(path).convert("RGB").quantize(240, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)


if __name__ == "__main__":
    draw(DOCS / "teaser.png")
