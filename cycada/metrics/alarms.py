"""Alarms for three common failures of translations: inverted colours, unchanged images and mode collapse.

The measures need neither labels nor another network. Images are (N, C, H, W) float in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from cycada.metrics.diversity import relative_diversity, thumbnails

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""
INVERTED = -0.3
"""Correlation of luminance below which light and dark are inverted.

Translations that do not depend on their input have about -0.1 to 0.1."""
UNCHANGED = 0.25
"""Fraction of the least change between the domains below which a translation is nearly a copy of its input.

A translation that changes a quarter of what it must still looks like a copy; a good one changes more than all
of it."""
DIFFER = 0.02
"""Least change, on the range of 2 from -1 to 1, from which on two domains count as different.

It is 2.5 grey levels of 255, about as much as two samples of one domain differ by chance."""
COLLAPSED = 0.25
"""Diversity, relative to the less diverse domain, below which the translations are nearly one image.

Healthy translations have 0.6 to 1.5."""
VALUES = 2**16
"""Most values of a set of images, evenly spaced, from which its distribution is estimated."""

MESSAGES = {
    "inversion": "light and dark have changed places (correlation of luminance "
    f"{{luminance_correlation:.2f}}, expected above {INVERTED}). If the domains do not differ in this "
    "way, train again with another seed, or with an identity loss.",
    "identity": "the translation is nearly its input (mean change {change:.3f} of a range of 2; to look like "
    "the other domain it takes at least {least_change:.3f}). Check the adversarial term's weight, and lower "
    "those of identity and cycle.",
    "collapse": "the translations are nearly one picture (diversity {diversity:.2f} of the real ones', "
    f"expected above {COLLAPSED}). Lower the discriminator's learning rate, or raise the weight of a loss "
    "that compares a translation with its input.",
}
"""Kind of an alarm to its message, to be formatted with what `measures` returned."""


def luminance(images: Tensor) -> Tensor:
    """Return the luminance of images, (N, C, H, W) to (N, H, W) float64; grey images are their own."""
    if images.shape[1] == 1:
        return images[:, 0].double()
    return (
        images.double() * torch.tensor(LUMA, dtype=torch.float64, device=images.device).reshape(1, 3, 1, 1)
    ).sum(1)


def luminance_correlation(before: Tensor, after: Tensor) -> Tensor:
    """Return Pearson's correlation between the luminance of each image and of its translation.

    Args:
        before: (N, C, H, W) images.
        after: (N, C, H, W) their translations.

    Returns:
        (N,) in [-1, 1], over the pixels of each image; 0 where either image has only one luminance.
    """
    x, y = (luminance(images).flatten(1) for images in (before, after))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    norm = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return torch.where(norm > 1e-9, (x * y).sum(1) / norm.clamp_min(1e-9), 0.0)


def change(before: Tensor, after: Tensor) -> Tensor:
    """Return the mean absolute difference between images and their translations, a scalar in [0, 2]."""
    return (after.double() - before.double()).abs().mean()


def least_change(source: Tensor, target: Tensor) -> Tensor:
    """Return the least `change` that gives source images the colours and the local contrast of target images.

    A translation whose results have the target's distribution of a statistic changes that statistic by at
    least the Wasserstein-1 distance between the two distributions. For the values of a channel, this is a
    lower bound on the change itself; a difference of neighbours changes at most twice as much as pixels do,
    so there the bound is half the distance. The largest bound counts. From each bound the largest distance
    between two halves of one domain is subtracted, for three ways to halve it, since few images of one domain
    also differ by chance.

    Args:
        source: (N, C, H, W) images of the source domain.
        target: (M, C, H, W) images of the target domain.

    Returns:
        A scalar, at least 0.
    """
    bounds = [torch.zeros((), dtype=torch.float64)]
    for (a, share), (b, _) in zip(_statistics(source), _statistics(target), strict=True):
        chance = max(_wasserstein(x[half], x[~half]) for x in (a, b) for half in _halves(len(x)))
        bounds.append(share * (_wasserstein(a, b) - chance))
    return torch.stack(bounds).max()


def _halves(n: int) -> tuple[Tensor, ...]:
    """Return three halves of n images, (n,) bool each: every second, the first half, two of every four."""
    i = torch.arange(n)
    return i % 2 == 0, i < n // 2, i % 4 // 2 == 0


def _statistics(images: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Yield statistics of images, (N, values), with the least change of a pixel for a change of 1 in them.

    They are the values of each channel, and its differences across and down.
    """
    x = images.double().cpu()
    for channel in x.unbind(1):
        yield channel.flatten(1), 1.0
        yield (channel[:, :, 1:] - channel[:, :, :-1]).flatten(1), 0.5
        yield (channel[:, 1:] - channel[:, :-1]).flatten(1), 0.5


def _wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Return the Wasserstein-1 distance of two sets of numbers, of any shapes, by 1000 quantiles."""
    if not (a.numel() and b.numel()):  # a half of a single image may be empty
        return torch.zeros((), dtype=torch.float64)

    def quantiles(values: Tensor) -> Tensor:
        flat = values.flatten()
        flat = flat[torch.linspace(0, len(flat) - 1, min(len(flat), VALUES)).long()].sort().values
        return flat[((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000 * len(flat)).long()]

    return (quantiles(a) - quantiles(b)).abs().mean()


def measures(source: Tensor | None, made: Tensor, target: Tensor) -> dict[str, float]:
    """Return the measures from which `alarms` decides.

    Args:
        source: (N, C, H, W) inputs of the translation; None for images that are generated from noise.
        made: (N, C, H, W) translations.
        target: (M, C, H, W) real images of the domain that `made` should look like.

    Returns:
        `diversity` (relative to the less diverse domain; missing with fewer than 2 images), and with inputs
        also `luminance_correlation` (the median), `change` and `least_change`.
    """
    diversity = relative_diversity(thumbnails(made), thumbnails(target))
    measured = {} if diversity.isnan() else {"diversity": float(diversity)}
    if source is None:
        return measured
    to_source = relative_diversity(thumbnails(made), thumbnails(source))
    if measured and not to_source.isnan():
        measured["diversity"] = max(measured["diversity"], float(to_source))
    return measured | {
        "luminance_correlation": float(luminance_correlation(source, made).median()),
        "change": float(change(source, made)),
        "least_change": float(least_change(source, target)),
    }


def alarms(measured: Mapping[str, float], true_correlation: float | None = None) -> dict[str, bool]:
    """Return which alarms ring.

    Args:
        measured: What `measures` returned.
        true_correlation: Correlation of luminance of the true translation, where it is known. Where that is
            negative too, as from label maps to photos, inversion is no failure.

    Returns:
        `inversion`, `identity` and `collapse` to whether the alarm rings, as far as its measures are given.
    """
    rings: dict[str, bool] = {}
    if (correlation := measured.get("luminance_correlation")) is not None:
        rings["inversion"] = correlation < INVERTED and (
            true_correlation is None or true_correlation >= INVERTED
        )
        rings["identity"] = (
            measured["least_change"] > DIFFER and measured["change"] < UNCHANGED * measured["least_change"]
        )
    if "diversity" in measured:
        rings["collapse"] = measured["diversity"] < COLLAPSED
    return rings
