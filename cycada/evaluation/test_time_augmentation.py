"""Test-time augmentation: the mean prediction over windows, scales and mirror images.

Class probabilities (softmax) are averaged and not logits: all predictions count alike, however large a
network's logits are. Every wrapper returns the logarithm of the mean probabilities. Its softmax is the mean
itself, so that all that takes logits works: an argmax, a softmax, a second wrapper, an interpolation to a
mask's size. Only the sum is kept, so that memory does not grow with the number of predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cycada.data import resize_images, resize_logits
from cycada.methods import Classify

OVERLAP = 1 / 3
"""The usual share of a window that the next one overlaps: windows of 512 pixels start 341 apart."""


def tta(
    classify: Classify,
    window: tuple[int, int] | None = None,
    overlap: float = OVERLAP,
    flip: bool = False,
    scales: Sequence[float] = (1.0,),
    multiple_of: int = 1,
) -> Classify:
    """Wrap a classifier in all of the test-time augmentation that is asked for.

    Every scale, of the image and of its mirror image, is seen by windows; all count alike. Windows are cut
    from the resized image, so that the network sees as many pixels at every scale. With the defaults,
    `classify` itself is returned.

    Args:
        classify: Images (N, C, H, W) -> logits.
        window: Height and width of the windows in pixels, or None for whole images.
        overlap: The share of a window that the next one overlaps, in [0, 1).
        flip: Average with the prediction on the mirror image.
        scales: Factors > 0 of height and width.
        multiple_of: Resized images have sides that are multiples of this number.
    """
    if window is not None:
        classify = sliding_window(classify, window, overlap)
    if tuple(scales) != (1.0,):
        classify = multi_scale(classify, scales, multiple_of)
    return flip_average(classify) if flip else classify


def sliding_window(classify: Classify, window: tuple[int, int], overlap: float = OVERLAP) -> Classify:
    """Average over the windows that see a pixel.

    Windows are placed as in mmsegmentation's slide_inference, the last one moved inwards to end at the
    border; that averages logits, this averages probabilities.

    Args:
        classify: Images (N, C, h, w) -> logits (N, K, h, w).
        window: Height and width in pixels; a smaller image is seen whole.
        overlap: The share of a window that the next one overlaps, in [0, 1).

    Returns:
        A function of images (N, C, H, W) to log-probabilities (N, K, H, W), float32.
    """

    def classify_windows(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        h, w = min(window[0], height), min(window[1], width)
        total: Tensor | None = None
        seen = torch.zeros(height, width, device=images.device)
        for top in window_starts(height, h, overlap):
            for left in window_starts(width, w, overlap):
                probability = _probabilities(classify(images[:, :, top : top + h, left : left + w]))
                if total is None:
                    total = probability.new_zeros(*probability.shape[:2], height, width)
                total[:, :, top : top + h, left : left + w] += probability
                seen[top : top + h, left : left + w] += 1
        assert total is not None  # there is always a window
        return _logarithms(total.div_(seen))

    return classify_windows


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along one side: ascending, from 0 to `length` - `window`, without gaps.

    Args:
        length: Length of the side in pixels, at least `window`.
        window: Length of a window in pixels.
        overlap: The share of a window that the next one overlaps, in [0, 1).
    """
    stride = max(1, round(window * (1 - overlap)))
    return [min(at, length - window) for at in range(0, length - window + stride, stride)]


def multi_scale(classify: Classify, scales: Sequence[float], multiple_of: int = 1) -> Classify:
    """Average over the image resized by several factors.

    Images are resized with antialiasing, as on loading. Logits are resized to (H, W) bilinearly, as to a
    mask's size, before the softmax.

    Args:
        classify: Images (N, C, h, w) -> logits (N, K, h, w).
        scales: Factors > 0 of height and width.
        multiple_of: Both sides of a resized image are rounded to the nearest multiple, for networks that need
            one.

    Returns:
        A function of images (N, C, H, W) to log-probabilities (N, K, H, W), float32.
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
    """Average the predictions on the image and on its mirror image.

    A map of predictions is mirrored back.

    Args:
        classify: Images (N, C, H, W) -> logits (N, K) or (N, K, H, W).

    Returns:
        A function of images to log-probabilities of the shape of the logits, float32.
    """

    def classify_both(images: Tensor) -> Tensor:
        def predict() -> Iterator[Tensor]:
            yield classify(images)
            logits = classify(images.flip(3))
            yield logits.flip(3) if logits.ndim == 4 else logits

        return _mean(predict())

    return classify_both


def _mean(predictions: Iterable[Tensor]) -> Tensor:
    """Return the logarithm of the mean probabilities; only their sum is kept in memory."""
    total: Tensor | float = 0.0
    count = 0
    for logits in predictions:
        total, count = _probabilities(logits).add_(total), count + 1
    assert isinstance(total, Tensor)  # there is always a prediction
    return _logarithms(total.div_(count))


def _probabilities(logits: Tensor) -> Tensor:
    return logits.float().softmax(1)


def _logarithms(mean: Tensor) -> Tensor:
    """Return finite logarithms: what rounds to 0 would become NaN where it is interpolated."""
    return mean.clamp_min_(torch.finfo(mean.dtype).tiny).log_()
