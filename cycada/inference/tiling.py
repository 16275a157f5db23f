"""Translation of pictures of any size in bounded memory, by tiles without seams.

Generators normalise by the statistics of their image, so that each tile by itself would get colours of its
own. Here the statistics are measured once, on a sample of the whole picture, and kept for all tiles
(`inference/receptive_field.py`). What is left is a local function: a tile that is cut with as much context as
the generator's receptive field gives exactly the pixels that the whole picture would give with these
statistics. At the picture's border, a tile ends where the picture ends, and is padded as the picture is.

Where the receptive field is larger than that (deep U-Nets), overlapping tiles are blended instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cycada.core.errors import CycadaError
from cycada.data import to_bytes, to_float
from cycada.evaluation.predict import eval_mode
from cycada.evaluation.test_time_augmentation import window_starts
from cycada.inference.receptive_field import (
    find_smallest_size,
    measure_receptive_field,
    normalises_by_image,
    with_statistics_of,
)

TILE = 512
"""Height and width of a tile, in pixels.

With CycleGAN's generator, a photo of 4000 x 3000 then takes less than 2 GB in all.
"""
SAMPLES = 4
"""Squares along each side of the statistics' sample, SAMPLES ** 2 in all, TILE / SAMPLES pixels wide."""
FADE = 1 / 4
"""The share of a tile that fades into the next one, where tiles are blended."""

ProgressCallback = Callable[[float], None]
"""Function that is told which share of a picture is done; an exception in it ends the translation."""


def no_progress(share: float) -> None:
    """Do nothing: the default progress callback."""


def translate_picture(
    net: nn.Module, picture: Tensor, tile: int = TILE, report: ProgressCallback = no_progress
) -> Tensor:
    """Translate a picture of any size, on the generator's device.

    A picture of no more than tile ** 2 pixels takes one forward pass, and is what the generator itself gives.

    Args:
        net: The generator.
        picture: (C, H, W) uint8 on the CPU.
        tile: The largest height and width of a tile in pixels, context included.
        report: Is told the progress.

    Returns:
        (C, H, W) uint8 on the CPU.

    Raises:
        CycadaError: The tile is too small for the generator.
    """
    height, width = picture.shape[1:]
    multiple, least = int(getattr(net, "multiple_of", 1)), find_smallest_size(net)
    padded = _mirrored_to(picture, *(max(least, -(-side // multiple) * multiple) for side in (height, width)))
    with eval_mode(net):
        if padded.shape[1] * padded.shape[2] <= max(tile, least) ** 2:
            result = to_bytes(net(_input(net, padded)))[0].cpu()
            report(1.0)
        else:
            result = by_tiles(
                with_kept_statistics(net, padded, tile),
                padded,
                tile,
                measure_receptive_field(net, len(padded)),
                report,
            )
    return result[:, :height, :width]


def with_kept_statistics(net: nn.Module, picture: Tensor, tile: int = TILE) -> nn.Module:
    """Return the generator with the normalisation statistics of a picture.

    They are measured on squares that are spread evenly over it. All squares go through the generator
    together, so that every layer's statistics are those of what the layers before it make of them.

    Args:
        net: The generator.
        picture: (C, H, W) uint8.
        tile: The squares have tile ** 2 pixels in all; a picture with no more pixels is used as a whole.
    """
    if not normalises_by_image(net):
        return net
    return with_statistics_of(net, _input(net, *sample(picture, tile, find_smallest_size(net))))


def sample(picture: Tensor, tile: int, least: int) -> list[Tensor]:
    """Return squares of a picture of equal size, spread evenly over it.

    Args:
        picture: (C, H, W).
        tile: The squares have not much more than tile ** 2 pixels in all.
        least: The side of the squares is a multiple of it.
    """
    height, width = picture.shape[1:]
    if height * width <= tile**2:
        return [picture]
    side = max(least, tile // SAMPLES // least * least)
    h, w = min(side, height), min(side, width)
    count = max(1, tile**2 // (h * w))
    rows = max(1, min(height // h, round(math.sqrt(count * height * w / (width * h)))))
    columns = max(1, min(width // w, count // rows))
    tops, lefts = (
        [round((i + 0.5) * length / n - square / 2) for i in range(n)]
        for length, square, n in ((height, h, rows), (width, w, columns))
    )
    return [picture[:, top : top + h, left : left + w] for top in tops for left in lefts]


def by_tiles(
    net: nn.Module, picture: Tensor, tile: int, margin: int | None, report: ProgressCallback = no_progress
) -> Tensor:
    """Translate a picture by tiles.

    Args:
        net: A generator with fixed statistics.
        picture: (C, H, W) uint8, of a height and width that the generator takes.
        tile: The largest height and width of a tile in pixels.
        margin: The receptive field of the generator; None to blend overlapping tiles.
        report: Is told the progress.

    Returns:
        (C, H, W) uint8.
    """
    return (
        _blended(net, picture, tile, report) if margin is None else _exact(net, picture, tile, margin, report)
    )


class Span(NamedTuple):
    """A tile along one side: it gives the pixels start .. stop, and reads the pixels first .. last."""

    start: int
    stop: int
    first: int
    last: int


def split_into_tiles(length: int, tile: int, margin: int, multiple: int) -> list[Span]:
    """Return tiles of nearly equal size that cover 0 .. length without gap or overlap.

    Args:
        length: Length of the side in pixels, a multiple of `multiple`.
        tile: The largest length of a tile in pixels, context included.
        margin: Context on each side in pixels, a multiple of `multiple`; there is none beyond the ends.
        multiple: All borders are multiples of it.

    Raises:
        CycadaError: `tile` leaves too few pixels besides the context.
    """
    if tile >= length:
        return [Span(0, length, 0, length)]
    core = (tile - 2 * margin) // multiple * multiple
    if core < max(multiple, margin // 4):
        least = 2 * margin + -(-max(multiple, margin // 4) // multiple) * multiple
        raise CycadaError(
            f"tile: found {tile}, but this generator looks {margin} pixels around each pixel. Take at least "
            f"{least}."
        )
    step = -(-length // (-(-length // core) * multiple)) * multiple
    return [
        Span(start, min(start + step, length), max(0, start - margin), min(start + step + margin, length))
        for start in range(0, length, step)
    ]


def _exact(net: nn.Module, picture: Tensor, tile: int, margin: int, report: ProgressCallback) -> Tensor:
    """Translate by tiles with full context."""
    multiple = int(getattr(net, "multiple_of", 1))
    rows, columns = (split_into_tiles(side, tile, margin, multiple) for side in picture.shape[1:])
    result = torch.empty_like(picture)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            translated = net(_input(net, picture[:, row.first : row.last, column.first : column.last]))[0]
            top, left = row.start - row.first, column.start - column.first
            core = translated[:, top : top + row.stop - row.start, left : left + column.stop - column.start]
            result[:, row.start : row.stop, column.start : column.stop] = to_bytes(core).cpu()
            report((i * len(columns) + j + 1) / (len(rows) * len(columns)))
    return result


def _blended(net: nn.Module, picture: Tensor, tile: int, report: ProgressCallback) -> Tensor:
    """Translate by overlapping tiles, whose weights fall linearly over the overlap and add up to 1."""
    least = find_smallest_size(net)
    tile = max(least, tile // least * least)
    h, w = (min(tile, side) for side in picture.shape[1:])
    total = torch.zeros(picture.shape)
    weights = torch.zeros(picture.shape[1:])
    corners = [
        (top, left)
        for top in window_starts(picture.shape[1], h, FADE)
        for left in window_starts(picture.shape[2], w, FADE)
    ]
    weight = torch.outer(_fading(h), _fading(w))
    for k, (top, left) in enumerate(corners, 1):
        translated = net(_input(net, picture[:, top : top + h, left : left + w]))[0].float().cpu()
        total[:, top : top + h, left : left + w] += translated * weight
        weights[top : top + h, left : left + w] += weight
        report(k / len(corners))
    return to_bytes(total.div_(weights))


def _fading(length: int) -> Tensor:
    """Return weights (length,) that rise from nearly 0 to 1 over the overlap, and fall again."""
    ramp = torch.arange(1, length + 1) / (FADE * length)
    return torch.minimum(ramp, ramp.flip(0)).clamp_max(1)


def _input(net: nn.Module, *pictures: Tensor) -> Tensor:
    """Stack pictures (C, H, W) uint8 to a batch on the generator's device, as floats in [-1, 1]."""
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    return to_float(torch.stack(pictures).to(device))


def _mirrored_to(picture: Tensor, height: int, width: int) -> Tensor:
    """Enlarge a picture to the right and below by its mirror image, repeated as often as needed."""
    for dim, size in ((1, height), (2, width)):
        length = picture.shape[dim]
        if size > length:
            index = torch.arange(size) % (2 * length)
            picture = picture.index_select(dim, torch.where(index < length, index, 2 * length - 1 - index))
    return picture
