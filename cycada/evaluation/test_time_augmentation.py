"""Several answers made one: of overlapping windows, of scales, of the mirror image. What is averaged is always the probability
of every class (softmax), not the logit: each answer counts alike, however large a network's logits are.

Every wrapper answers with the logarithms of the mean probabilities. Their softmax is the mean itself, so that whatever takes
logits takes them: an argmax, a softmax, a second wrapper, an interpolation to a mask's size. Memory does not grow with the
number of answers, of which only the sum is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cycada.data import resize_images, resize_logits
from cycada.methods import Classify

OVERLAP = 1 / 3
"""The share of a window that the next one sees again, as is common: windows of 512 pixels stand 341 apart."""


def tta(
    classify: Classify,
    window: tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    multiple_of: int = 1,
) -> Classify:
    """All of it: every scale, of the image and of its mirror image, each seen by windows, all with equal weight.

    Windows are cut from the scene at its scale, so that the network sees as many pixels at every scale. With the defaults
    `classify` itself is answered. multiple_of: see `scaled`.
    """
    if window is not None:
        classify = sliding_window(classify, window, overlap)
    if tuple(scales) != (1.0,):
        classify = multi_scale(classify, scales, multiple_of)
    return flip_average(classify) if flip else classify


def sliding_window(classify: Classify, window: tuple[int, int], overlap: float = OVERLAP) -> Classify:
    """Every pixel by the mean of the windows that see it. (N, C, H, W) -> (N, K, H, W) log-probabilities, float32.

    window: (height, width) in pixels; a scene that is smaller is seen whole. overlap: in [0, 1), the share of a window that
    the next one shares with it. Placed as in mmsegmentation's slide_inference, the last window moved inwards to end at the
    border; that averages logits, this probabilities.
    """

    def classify_windows(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        h, w = min(window[0], height), min(window[1], width)
        total: Tensor | None = None
        seen = torch.zeros(height, width, device=images.device)
        for top in window_starts(height, h, overlap):
            for left in window_starts(width, w, overlap):
                part = _probabilities(classify(images[:, :, top : top + h, left : left + w]))
                total = part.new_zeros(*part.shape[:2], height, width) if total is None else total
                total[:, :, top : top + h, left : left + w] += part
                seen[top : top + h, left : left + w] += 1
        assert total is not None  # there is always a window
        return _logarithms(total.div_(seen))

    return classify_windows


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along one side of `length` >= `window` pixels: ascending, from 0 to length - window, no gaps."""
    stride = max(1, round(window * (1 - overlap)))
    return [min(at, length - window) for at in range(0, length - window + stride, stride)]


def multi_scale(classify: Classify, scales: Sequence[float], multiple_of: int = 1) -> Classify:
    """The mean over the scene resized by each of `scales` > 0. (N, C, H, W) -> (N, K, H, W) log-probabilities, float32.

    Images are resized antialiased, as on loading; logits are brought back to (H, W) bilinearly, as to a mask's size, before
    the softmax. multiple_of: both sides of a resized scene are rounded to the nearest multiple, for networks that need one.
    """

    def classify_scales(images: Tensor) -> Tensor:
        sides = [
            tuple(multiple_of * max(1, round(side * s / multiple_of)) for side in images.shape[2:])
            for s in scales
        ]
        return _mean(
            resize_logits(classify(resize_images(images, size)).float(), images.shape[2:]) for size in sides
        )

    return classify_scales


def flip_average(classify: Classify) -> Classify:
    """The mean of the answers on the image and on its mirror image, the latter mirrored back where it is a map.

    (N, C, H, W) -> (N, K), or (N, K, H, W), log-probabilities, float32.
    """

    def classify_both(images: Tensor) -> Tensor:
        def answers() -> Iterator[Tensor]:
            yield classify(images)
            logits = classify(images.flip(3))
            yield logits.flip(3) if logits.ndim == 4 else logits

        return _mean(answers())

    return classify_both


def _mean(answers: Iterable[Tensor]) -> Tensor:
    """Of the probabilities, as logarithms. Answers are made one after the other, and only their sum is kept."""
    total: Tensor | float = 0.0
    count = 0
    for logits in answers:
        total, count = _probabilities(logits).add_(total), count + 1
    assert isinstance(total, Tensor)  # there is always an answer
    return _logarithms(total.div_(count))


def _probabilities(logits: Tensor) -> Tensor:
    return logits.float().softmax(1)


def _logarithms(mean: Tensor) -> Tensor:
    """Finite: what rounds to 0 would become NaN where it is interpolated."""
    return mean.clamp_min_(torch.finfo(mean.dtype).tiny).log_()
