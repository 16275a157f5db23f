"""Pictures of a stage: a grid of images by view, and the confusion matrix."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from cycada.core.files import ready, whole
from cycada.core.types import IGNORE, Batch
from cycada.data import ResizedDataset, resize_images, resize_logits, resize_mask, to_bytes, to_float
from cycada.data.inspect import coloured
from cycada.data.scenes import Palette, evenly_spaced
from cycada.evaluation.predict import eval_mode, max_batch, probabilities
from cycada.methods import Classify, Networks
from cycada.metrics.many_classes import coarse, cut, most_confused, shares, ticks
from cycada.planning.plan import StagePlan
from cycada.train.device import Device, Precision

GAP, HEAD = 4, 18
ANSWERS = ("image", "said", "truth", "wrong")
"""The columns of a picture of answers."""
WIDEST = 512
"""Pixels across that a scene has in a picture, at most."""
NAMED, TICKS = 40, 20
"""Classes of a confusion that are all named; of more, so many are."""
CELLS = 400
"""Rows of a confusion's picture, at most."""
LISTED = 30
"""Errors that are listed beside the confusion of many classes."""


def image_grid(
    plan: StagePlan, nets: Networks, source: torch.Tensor, target: torch.Tensor, device: Device, path: Path,
    pairs: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """One row per pair of examples, one column per view of the method's grid whose networks are there. -> what is drawn, by view:

    (N, C, H, W) float on the CPU, at most `WIDEST` wide; empty, and no picture, where no network is there.
    source, target: (N, C, H, W) uint8, the examples to show; what one of them has more is left out.
    pairs: of the source's, what they truly look like in the target domain; without, views of pair_t are not shown.
    """
    method = plan.method
    shown = [name for name in method.preview if all(role in nets for role in method.tensors.roles_of([name]))]
    shown = [
        name for name in shown if pairs is not None or "pair_t" not in method.tensors.dependencies([name])
    ]
    if not shown or all(name.startswith(("real", "pair")) for name in shown):
        return {}
    rows = min(len(source), len(target))
    real_s, real_t, pair_t = (
        to_float(images[:rows].to(device.torch_device))
        for images in (source, target, source if pairs is None else pairs)
    )
    parts: list[list[torch.Tensor]] = [[] for _ in shown]
    count = max_batch(source.shape[-2:], most=rows)
    with eval_mode(nets), device.autocast(plan.stage.precision):
        for some_s, some_t, some_pair in zip(
            real_s.split(count), real_t.split(count), pair_t.split(count), strict=True
        ):
            labels = torch.zeros(len(some_s), dtype=torch.long)
            batch = Batch(some_s, labels, some_t, pair_t=None if pairs is None else some_pair)
            tensors = method.tensors(nets, batch, plan.options)
            for column, name in zip(parts, shown, strict=True):
                column.append(_shrunk(getattr(tensors, name).float().cpu()))
    drawn = {name: torch.cat(column) for name, column in zip(shown, parts, strict=True)}
    draw_grid(list(drawn.values()), shown, path)
    return drawn


def _shrunk(images: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) float, at most `WIDEST` wide."""
    height, width = images.shape[-2:]
    if width <= WIDEST:
        return images
    return resize_images(images, (round(height * WIDEST / width), WIDEST))


def draw_grid(columns: list[torch.Tensor], titles: list[str] | tuple[str, ...], path: Path) -> None:
    """columns: (N, C, H, W) float in [-1, 1] each. Small images are enlarged without smoothing."""
    height, width = columns[0].shape[-2:]
    scale = max(1, round(72 / min(height, width)))
    down, across = height * scale + GAP, width * scale + GAP
    rows = len(columns[0])
    page = Image.new("RGB", (len(columns) * across - GAP, HEAD + rows * down - GAP), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 12)
    for c, (images, title) in enumerate(zip(columns, titles, strict=True)):
        pen.text((c * across + width * scale / 2, HEAD / 2), title, fill="black", font=font, anchor="mm")
        pixels = to_bytes(images).permute(0, 2, 3, 1).numpy()
        for r, image in enumerate(pixels):
            large = (width * scale, height * scale)
            picture = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy()).resize(
                large, Image.Resampling.NEAREST
            )
            page.paste(picture, (c * across, HEAD + r * down))
    ready(path.parent)
    with whole(path) as part:
        page.save(part, format="PNG")


def draw_answers(
    classify: Classify,
    scenes: ResizedDataset,
    palette: Palette,
    device: Device,
    precision: Precision,
    path: Path,
    count: int = 4,
) -> None:
    """image | what the network says | the truth | where it is wrong (white), for scenes evenly over all. Inside `eval_mode`."""
    columns: list[list[torch.Tensor]] = [[], [], [], []]
    for i in evenly_spaced(len(scenes), count):
        image, mask = scenes.read(i)
        assert mask is not None  # only labelled scenes are drawn
        answer = probabilities(classify, image[None], device, precision)
        said = resize_logits(answer, image.shape[1:]).argmax(1)[0].numpy().astype(np.uint8)
        small = resize_mask(mask, image.shape[1:]).numpy()
        wrong = np.repeat((((said != small) & (small != IGNORE)) * 255).astype(np.uint8)[..., None], 3, 2)
        for column, pixels in zip(
            columns, (None, coloured(said, palette), coloured(small, palette), wrong), strict=True
        ):
            column.append(
                _shrunk(
                    to_float(image if pixels is None else torch.from_numpy(pixels).permute(2, 0, 1))[None]
                )[0]
            )
    draw_grid([torch.stack(c) for c in columns], ANSWERS, path)


def draw_confusion(count: torch.Tensor, classes: tuple[str, ...], title: str, path: Path) -> None:
    """(K, K) counts as shares of the true class (rows), with the counts written in where there is room.

    The picture is bounded: of many classes some are named, cells stand for blocks of classes, and the commonest errors are listed.
    """
    counts, k = count.numpy(), len(classes)
    share, side = coarse(shares(counts), CELLS)
    many = k > NAMED
    figure = Figure(
        figsize=(12.5, 8.5) if many else (1.8 + 0.45 * k, 1.5 + 0.45 * k), dpi=110, layout="constrained"
    )
    axes, *beside = figure.subplots(1, 2, width_ratios=(2, 1)) if many else (figure.subplots(),)
    end = side * len(share) - 0.5
    norm = PowerNorm(0.5 if many else 1, vmin=0, vmax=1)
    axes.imshow(
        share,
        cmap="Blues",
        norm=norm,
        interpolation="nearest",
        aspect="auto" if many else "equal",
        extent=(-0.5, end, end, -0.5),
    )
    named = ticks(k, TICKS if many else NAMED)
    names = [plain(cut(classes[i])) for i in named]
    axes.set_xticks(named, names, rotation=90 if max(map(len, classes)) > 2 else 0)
    axes.set_yticks(named, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    said = (
        f"\nsquare root of the share{f', the largest of {side} x {side} classes' if side > 1 else ''}"
        if many
        else ""
    )
    axes.set_title(f"{plain(title)}{said}", fontsize=10)
    for place in beside:
        _list_errors(place, counts, classes)
    if k <= 20:
        for i, j in zip(*counts.nonzero(), strict=True):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, str(int(counts[i, j])), ha="center", va="center", fontsize=7, color=color)
    with whole(path) as part:
        figure.savefig(part, format="png")


def _list_errors(axes: Axes, count: np.ndarray, classes: tuple[str, ...]) -> None:
    """Write down the commonest errors, true class and what it was called."""
    found = most_confused(count, LISTED)
    axes.axis("off")
    axes.set_title("the commonest errors" if found else "no errors", fontsize=10, loc="left")
    for row, error in enumerate(found):
        said = f"{cut(classes[error.true], 18)} → {cut(classes[error.said], 18)}: {error.count} ({100 * error.share:.0f} %)"
        axes.text(0, 1 - (row + 0.5) / LISTED, plain(said), transform=axes.transAxes, va="center", fontsize=8)


def plain(text: str) -> str:
    """A name as text, never as mathematics."""
    return text.replace("$", r"\$")
