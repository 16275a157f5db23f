"""Pairs of domains on which the shipped recipes are settled; all other pairs are there to measure them."""

from __future__ import annotations

from typing import Literal

DEVELOPMENT_PAIRS = {("rendered_digits", "optdigits"), ("streets", "streets")}
"""(source, target) of the development pairs: those of configs/demo*.yaml and configs/segmentation/streets."""

PairKind = Literal["development", "evaluation"]
"""Whether recipes are settled on a pair's test scores (`development`), or a pair only measures them."""


def pair_kind(source: str, target: str) -> PairKind:
    """Return which kind of pair two domains are.

    Args:
        source: The name of the source domain.
        target: The name of the target domain.
    """
    return "development" if (source, target) in DEVELOPMENT_PAIRS else "evaluation"


def selection(source: str, target: str) -> str:
    """Return how the scores of a pair were selected, as manifests and tables say it."""
    return f"last step; {pair_kind(source, target)} pair"
