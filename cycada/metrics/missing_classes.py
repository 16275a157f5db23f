"""Classes that a source classifier rarely predicts on target images.

A semantic loss with this classifier keeps translations of such classes from looking like the target domain.
"""

from __future__ import annotations

from collections.abc import Sequence

from cycada.core.errors import list_some

FEW = 0.2
"""A class is rarely predicted if its share of predictions is below this fraction of its source share.

With 1,000 images and ten classes, a class that is equally frequent in both domains stays above 0.7 by
chance."""
ENOUGH = 15
"""Least number of predictions that a class should have by its source share for a lack to mean anything.

Among many classes, some have no prediction by chance."""
NAMED = 10
"""Most classes that a message names."""


def find_rarely_predicted(
    predicted: Sequence[float], expected: Sequence[float]
) -> dict[int, tuple[float, float]]:
    """Return the classes that a frozen source classifier rarely predicts on target images.

    No target label is used.

    Either the target has few images of the class, or the classifier does not recognise it there; then a
    semantic loss (Hoffman et al. 2018, eq. 4) prevents realistic translations of the class.

    Args:
        predicted: (K,) numbers of predictions on target images, by class.
        expected: (K,) numbers of source images, by class.

    Returns:
        Class to its shares among the predictions and in the source, both in [0, 1].
    """
    predictions, examples = float(sum(predicted)), float(sum(expected))
    if not predictions or not examples:
        return {}
    shares = [(float(p) / predictions, float(e) / examples) for p, e in zip(predicted, expected, strict=True)]
    return {k: (p, e) for k, (p, e) in enumerate(shares) if p < FEW * e and e * predictions >= ENOUGH}


def describe_classes(classes: dict[int, tuple[float, float]], names: Sequence[str]) -> str:
    """Return classes and their shares in words: `9 (0.3 % of the target, 9.9 % of the source), ...`.

    Args:
        classes: What `find_rarely_predicted` returned.
        names: (K,) names of the classes.
    """
    return list_some(
        [
            f"{names[k]} ({100 * p:.1f} % of the target, {100 * e:.1f} % of the source)"
            for k, (p, e) in classes.items()
        ],
        NAMED,
    )
