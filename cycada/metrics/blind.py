"""Classes that a source classifier hardly finds in the target: its semantic loss keeps translations of them from looking right."""

from __future__ import annotations

from collections.abc import Sequence

from cycada.core.errors import list_some

FEW = 0.2
"""A class is found rarely where its share among the answers on target images is below this part of its share in the source. Of
1,000 images and ten classes, chance leaves a class that is equally frequent above 0.7."""
ENOUGH = 15
"""Answers that a class has to have by its share in the source before a lack of them says anything: of many classes
chance leaves some out."""
NAMED = 10
"""Classes that are named."""


def rarely_predicted(answers: Sequence[float], expected: Sequence[float]) -> dict[int, tuple[float, float]]:
    """Class -> (its share among a frozen source classifier's answers on target images, its share in the source).

    answers, expected: counts by class, (K,) each. No target label is looked at. Either the target has few of the class, or the classifier
    does not know it there; then a semantic loss (Hoffman et al. 2018, eq. 4) forbids translations of the class that look true.
    """
    said, there = float(sum(answers)), float(sum(expected))
    if not said or not there:
        return {}
    shares = [(float(a) / said, float(e) / there) for a, e in zip(answers, expected, strict=True)]
    return {k: (a, e) for k, (a, e) in enumerate(shares) if a < FEW * e and e * said >= ENOUGH}


def in_words(found: dict[int, tuple[float, float]], names: Sequence[str]) -> str:
    """`9 (0.3 % of the target, 9.9 % of the source), ...`."""
    return list_some(
        [
            f"{names[k]} ({100 * a:.1f} % of the target, {100 * e:.1f} % of the source)"
            for k, (a, e) in found.items()
        ],
        NAMED,
    )
