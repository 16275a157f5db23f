"""Pictures of a stage: image grids, predicted masks and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from cycada.core.files import prepare_folder, write_atomically
from cycada.core.profile import span
from cycada.core.types import IGNORE, Batch
from cycada.data import ImageSet, resize_images, resize_logits, resize_mask, to_bytes, to_float
from cycada.data.image_set import evenly_spaced
from cycada.data.inspect import colour_mask
from cycada.data.segmentation import Palette
from cycada.evaluation.predict import eval_mode, max_batch, probabilities
from cycada.methods import Classify, Networks
from cycada.metrics.many_classes import coarse, cut, most_confused, shares, ticks
from cycada.planning.plan import StagePlan
from cycada.train.device import Device, Precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP, HEAD = 4, 18
"""Pixels between images of a grid, and pixels of its head line."""
MASK_COLUMNS = ("image", "predicted", "truth", "wrong")
"""The columns of a picture of predicted masks."""
WIDEST = 512
"""The largest width of an image in an image grid, in pixels."""
NAMED, TICKS = 40, 20
"""The largest number of classes that are all named at a confusion matrix; of more, `TICKS` are."""
CELLS = 400
"""The largest number of rows of a drawn confusion matrix."""
LISTED = 30
"""The number of errors that are listed beside the confusion matrix of many classes."""


@span("pictures")
def image_grid(
    plan: StagePlan,
    nets: Networks,
    source: torch.Tensor,
    target: torch.Tensor,
    device: Device,
    path: Path,
    pairs: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Draw an image grid: a row for each pair of images, a column for each tensor of the method's preview.

    Tensors whose networks are not there are left out. Nothing is drawn where no network is there.

    Args:
        plan: The plan of the stage.
        nets: The networks.
        source: Source images (N, C, H, W) uint8.
        target: Target images (N, C, H, W) uint8; where one domain has more images than the other, the rest is
            left out.
        device: Where to compute.
        path: The file to write, as PNG.
        pairs: The true translations of the source images (N, C, H, W) uint8. Without them, tensors that need
            pair_t are left out.

    Returns:
        What is drawn, by tensor: (N, C, H, W) float in [-1, 1] on the CPU, at most `WIDEST` wide.
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
    columns: list[list[torch.Tensor]] = [[] for _ in shown]
    batch_size = max_batch(source.shape[-2:], most=rows)
    with eval_mode(nets), device.autocast(plan.stage.precision):
        for batch_s, batch_t, batch_pair in zip(
            real_s.split(batch_size), real_t.split(batch_size), pair_t.split(batch_size), strict=True
        ):
            labels = torch.zeros(len(batch_s), dtype=torch.long)
            batch = Batch(batch_s, labels, batch_t, pair_t=None if pairs is None else batch_pair)
            tensors = method.tensors(nets, batch, plan.options)
            for column, name in zip(columns, shown, strict=True):
                column.append(shrunk(getattr(tensors, name).float().cpu()))
    drawn = {name: torch.cat(column) for name, column in zip(shown, columns, strict=True)}
    draw_grid(list(drawn.values()), shown, path)
    return drawn


def shrunk(images: torch.Tensor, widest: int = WIDEST) -> torch.Tensor:
    """Resize images (N, C, H, W) to at most `widest` pixels wide."""
    height, width = images.shape[-2:]
    if width <= widest:
        return images
    return resize_images(images, (max(1, round(height * widest / width)), widest))


def draw_grid(columns: list[torch.Tensor], titles: list[str] | tuple[str, ...], path: Path) -> None:
    """Draw columns of images with titles; small images are enlarged without smoothing.

    Args:
        columns: One (N, C, H, W) float in [-1, 1] for each column.
        titles: One title for each column.
        path: The file to write, as PNG.
    """
    height, width = columns[0].shape[-2:]
    scale = max(1, round(72 / min(height, width)))
    down, across = height * scale + GAP, width * scale + GAP
    rows = len(columns[0])
    page = Image.new("RGB", (len(columns) * across - GAP, HEAD + rows * down - GAP), "white")
    pen = ImageDraw.Draw(page)
    import matplotlib

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
    prepare_folder(path.parent)
    with write_atomically(path) as temporary:
        page.save(temporary, format="PNG")


@span("pictures")
def draw_predicted_masks(
    classify: Classify,
    dataset: ImageSet,
    palette: Palette,
    device: Device,
    precision: Precision,
    path: Path,
    count: int = 4,
) -> None:
    """Draw images with their predicted masks, their true masks, and their wrong pixels in white.

    To be called inside `eval_mode`.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K, H, W).
        dataset: Images with masks.
        palette: A colour for each class.
        device: Where to compute.
        precision: Precision of the forward passes.
        path: The file to write, as PNG.
        count: How many images to draw, spread evenly over the dataset.
    """
    rows = evenly_spaced(len(dataset), count)
    draw_grid(mask_pictures(classify, dataset, rows, palette, device, precision), MASK_COLUMNS, path)


def mask_pictures(
    classify: Classify,
    dataset: ImageSet,
    rows: Sequence[int],
    palette: Palette,
    device: Device,
    precision: Precision,
    widest: int = WIDEST,
) -> list[torch.Tensor]:
    """Return images with their predicted masks, their true masks, and their wrong pixels in white.

    To be called inside `eval_mode`.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K, H, W).
        dataset: Images with masks.
        rows: The indices of n images.
        palette: A colour for each class.
        device: Where to compute.
        precision: Precision of the forward passes.
        widest: The largest width of the result in pixels.

    Returns:
        (n, 3, H, W) float in [-1, 1] for each of `MASK_COLUMNS`.
    """
    columns: list[list[torch.Tensor]] = [[], [], [], []]
    for i in rows:
        image, mask, _ = dataset.read(i)
        assert mask is not None  # only labelled datasets are drawn
        probability = probabilities(classify, image[None], device, precision)
        predicted = resize_logits(probability, image.shape[1:]).argmax(1)[0].numpy().astype(np.uint8)
        truth = resize_mask(mask, image.shape[1:]).numpy()
        is_wrong = (predicted != truth) & (truth != IGNORE)
        pictures = (
            image,
            _as_image(colour_mask(predicted, palette)),
            _as_image(colour_mask(truth, palette)),
            _as_image(np.repeat((is_wrong * 255).astype(np.uint8)[..., None], 3, 2)),
        )
        for column, picture in zip(columns, pictures, strict=True):
            column.append(shrunk(to_float(picture)[None], widest)[0])
    return [torch.stack(column) for column in columns]


def _as_image(pixels: np.ndarray) -> torch.Tensor:
    """Turn pixels (H, W, 3) into an image (3, H, W)."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


@span("pictures")
def draw_confusion(counts: torch.Tensor, classes: tuple[str, ...], title: str, path: Path) -> None:
    """Draw a confusion matrix as shares of the true class, with counts where there is room.

    The size of the picture is bounded: of many classes only some are named, cells stand for blocks of
    classes, and the most common errors are listed.

    Args:
        counts: (K, K), true classes in rows, predicted ones in columns.
        classes: The names of the classes.
        title: The title of the picture.
        path: The file to write, as PNG.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    from cycada.render.figure import plain

    array, k = counts.numpy(), len(classes)
    share, side = coarse(shares(array), CELLS)
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
    subtitle = (
        f"\nsquare root of the share{f', the largest of {side} x {side} classes' if side > 1 else ''}"
        if many
        else ""
    )
    axes.set_title(f"{plain(title)}{subtitle}", fontsize=10)
    for list_axes in beside:
        _list_errors(list_axes, array, classes)
    if k <= 20:
        for i, j in zip(*array.nonzero(), strict=True):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, str(int(array[i, j])), ha="center", va="center", fontsize=7, color=color)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")


def _list_errors(axes: Axes, counts: np.ndarray, classes: tuple[str, ...]) -> None:
    """List the most common errors: true class, predicted class, how often."""
    from cycada.render.figure import plain

    errors = most_confused(counts, LISTED)
    axes.axis("off")
    axes.set_title("the most common errors" if errors else "no errors", fontsize=10, loc="left")
    for row, error in enumerate(errors):
        true, predicted = cut(classes[error.true], 18), cut(classes[error.predicted], 18)
        line = plain(f"{true} → {predicted}: {error.count} ({100 * error.share:.0f} %)")
        axes.text(0, 1 - (row + 0.5) / LISTED, line, transform=axes.transAxes, va="center", fontsize=8)
