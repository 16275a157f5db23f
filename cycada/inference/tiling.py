"""Pictures of any size through a generator in bounded memory, by tiles that leave no seams.

Generators normalise by the statistics of their image, so that each tile for itself would get colours of its own. Here the
statistics are measured once, on a sample of the whole picture, and kept for all tiles (`networks/local.py`). What is left is a local
function: a tile that is cut with as much context as the generator looks at gives exactly the pixels that the whole picture would
give with these statistics. At the picture's border a tile ends where the picture ends, and is padded as the picture is.

Where a generator looks farther than that (deep U-Nets), overlapping tiles fade into each other instead.
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
from cycada.inference.receptive_field import normalises_by_image, reach, smallest, with_statistics_of

TILE = 512
"""Pixels on each side of what goes through a generator at once. With CycleGAN's a 4000 x 3000 photo then takes less than 2 GB in all."""
SAMPLES = 4
"""Squares along each side of the sample that statistics come from: SAMPLES ** 2 in all, of TILE / SAMPLES pixels on each side."""
FADE = 1 / 4
"""The share of a tile that fades into the next one, where tiles are blended."""

ProgressCallback = Callable[[float], None]
"""Told which share of a picture is done; what it raises ends the translation."""


def no_progress(share: float) -> None:
    """Nobody wants to know."""


def translate_picture(
    net: nn.Module, picture: Tensor, tile: int = TILE, report: ProgressCallback = no_progress
) -> Tensor:
    """(C, H, W) uint8 of any size on the CPU -> the same, translated on the generator's device.

    One forward pass where the picture has no more than tile ** 2 pixels, which is then what the generator itself gives; else by
    tiles of at most `tile` x `tile` pixels, context included. Raises CycadaError for a tile too small for the generator.
    """
    height, width = picture.shape[1:]
    multiple, least = int(getattr(net, "multiple_of", 1)), smallest(net)
    padded = _mirrored_to(picture, *(max(least, -(-side // multiple) * multiple) for side in (height, width)))
    with eval_mode(net):
        if padded.shape[1] * padded.shape[2] <= max(tile, least) ** 2:
            result = to_bytes(net(_input(net, padded)))[0].cpu()
            report(1.0)
        else:
            result = by_tiles(
                with_kept_statistics(net, padded, tile), padded, tile, reach(net, len(padded)), report
            )
    return result[:, :height, :width]


def with_kept_statistics(net: nn.Module, picture: Tensor, tile: int = TILE) -> nn.Module:
    """The generator with the statistics of squares that lie evenly over the picture (C, H, W) uint8, tile ** 2 pixels in all; of

    the whole picture where it has no more. All squares go through together, so that every layer's statistics are those of what
    the layers before it make of them.
    """
    if not normalises_by_image(net):
        return net
    return with_statistics_of(net, _input(net, *sample(picture, tile, smallest(net))))


def sample(picture: Tensor, tile: int, least: int) -> list[Tensor]:
    """Squares of a picture, evenly over it, of equal size: a multiple of `least`, and not much more than tile ** 2 pixels in all."""
    height, width = picture.shape[1:]
    if height * width <= tile**2:
        return [picture]
    side = max(least, tile // SAMPLES // least * least)
    h, w = min(side, height), min(side, width)
    count = max(1, tile**2 // (h * w))
    rows = max(1, min(height // h, round(math.sqrt(count * height * w / (width * h)))))
    columns = max(1, min(width // w, count // rows))
    tops, lefts = (
        [round((i + 0.5) * whole / n - part / 2) for i in range(n)]
        for whole, part, n in ((height, h, rows), (width, w, columns))
    )
    return [picture[:, top : top + h, left : left + w] for top in tops for left in lefts]


def by_tiles(
    net: nn.Module, picture: Tensor, tile: int, margin: int | None, report: ProgressCallback = no_progress
) -> Tensor:
    """(C, H, W) uint8 through a generator whose statistics are kept -> the same, translated. Both sides are such that it takes them.

    margin: its `reach`; where there is None, tiles are blended.
    """
    return (
        _blended(net, picture, tile, report) if margin is None else _exact(net, picture, tile, margin, report)
    )


class Span(NamedTuple):
    """Along one side: the pixels start .. stop are this tile's, of which it reads first .. last to know their surroundings."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, tile: int, margin: int, multiple: int) -> list[Span]:
    """Tiles of nearly equal size that cover 0 .. length without gap or overlap, each with `margin` pixels of context, but none

    beyond the ends. All borders are multiples, as `length` and `margin` are. Raises CycadaError where `tile` is all context.
    """
    if tile >= length:
        return [Span(0, length, 0, length)]
    core = (tile - 2 * margin) // multiple * multiple
    if core < max(multiple, margin // 4):
        least = 2 * margin + max(multiple, margin // 4)
        raise CycadaError(
            f"tile: found {tile}, but this generator looks {margin} pixels around each. Take at least {least}."
        )
    step = -(-length // (-(-length // core) * multiple)) * multiple
    return [
        Span(start, min(start + step, length), max(0, start - margin), min(start + step + margin, length))
        for start in range(0, length, step)
    ]  # fmt: skip


def _exact(net: nn.Module, picture: Tensor, tile: int, margin: int, report: ProgressCallback) -> Tensor:
    multiple = int(getattr(net, "multiple_of", 1))
    rows, columns = (spans(side, tile, margin, multiple) for side in picture.shape[1:])
    result = torch.empty_like(picture)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            part = net(_input(net, picture[:, row.first : row.last, column.first : column.last]))
            top, left = row.start - row.first, column.start - column.first
            part = part[0, :, top : top + row.stop - row.start, left : left + column.stop - column.start]
            result[:, row.start : row.stop, column.start : column.stop] = to_bytes(part).cpu()
            report((i * len(columns) + j + 1) / (len(rows) * len(columns)))
    return result


def _blended(net: nn.Module, picture: Tensor, tile: int, report: ProgressCallback) -> Tensor:
    """Weights fall linearly over the overlap, and are divided by their sum."""
    least = smallest(net)
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
        part = net(_input(net, picture[:, top : top + h, left : left + w]))[0].float().cpu()
        total[:, top : top + h, left : left + w] += part * weight
        weights[top : top + h, left : left + w] += weight
        report(k / len(corners))
    return to_bytes(total.div_(weights))


def _fading(length: int) -> Tensor:
    """(length,): rises from nearly 0 to 1 over the overlap, and falls again."""
    ramp = torch.arange(1, length + 1) / (FADE * length)
    return torch.minimum(ramp, ramp.flip(0)).clamp_max(1)


def _input(net: nn.Module, *pictures: Tensor) -> Tensor:
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    return to_float(torch.stack(pictures).to(device))


def _mirrored_to(picture: Tensor, height: int, width: int) -> Tensor:
    """Larger at the right and lower border, by its mirror image, again and again where the picture is smaller than what is missing."""
    for dim, size in ((1, height), (2, width)):
        there = picture.shape[dim]
        if size > there:
            at = torch.arange(size) % (2 * there)
            picture = picture.index_select(dim, torch.where(at < there, at, 2 * there - 1 - at))
    return picture
