"""Alarms for translations that go wrong in the three ways that users report: colours inverted, nothing translated, one picture for all.

What is measured needs no label and no other network. Images are (N, C, H, W) float in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from cycada.metrics.diversity import relative_diversity, thumbnails

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""
INVERTED = -0.3
"""Correlation of luminance below which light has become dark. What has nothing to do with the input stays within about 0.1 of 0."""
UNCHANGED = 0.25
"""Share of the least change between the domains below which a translation is nearly its input. A translation that changes a
quarter of what it has to is still a copy to the eye; one that is finished changes more than all of it."""
DIFFER = 0.02
"""Least change, of a range of 2, from which on two domains differ: 2.5 grey levels of 255, about what chance leaves of one domain."""
COLLAPSED = 0.25
"""Diversity, relative to the less diverse domain, below which pictures are nearly one. Healthy translations have 0.6 to 1.5."""
VALUES = 2**16
"""Values of a picture set, evenly evenly_spaced, that its distribution is taken from."""

MESSAGES = {
    "inversion": "light and dark have changed places (correlation of luminance {luminance_correlation:.2f}, expected above "
    f"{INVERTED}). Unless the domains differ just so, start again with another seed, or with an identity term.",
    "identity": "the translation is nearly its input (mean change {change:.3f} of a range of 2; to look like the other domain it takes "
    "at least {least_change:.3f}). Check the adversarial term's weight, and lower those of identity and cycle.",
    "collapse": "the translations are nearly one picture (diversity {diversity:.2f} of the real ones', expected above "
    f"{COLLAPSED}). Lower the discriminator's learning rate, or raise the weight of a term that looks at the input.",
}


def luminance(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W); grey is its own."""
    if images.shape[1] == 1:
        return images[:, 0].double()
    return (
        images.double() * torch.tensor(LUMA, dtype=torch.float64, device=images.device).reshape(1, 3, 1, 1)
    ).sum(1)


def luminance_correlation(before: Tensor, after: Tensor) -> Tensor:
    """Pearson's correlation over the pixels of each picture and its translation. (N,) in [-1, 1]; 0 where either is of one tone."""
    x, y = (luminance(images).flatten(1) for images in (before, after))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    norm = (x.square().sum(1) * y.square().sum(1)).sqrt()
    return torch.where(norm > 1e-9, (x * y).sum(1) / norm.clamp_min(1e-9), 0.0)


def change(before: Tensor, after: Tensor) -> Tensor:
    """Mean absolute difference, in [0, 2]. -> scalar."""
    return (after.double() - before.double()).abs().mean()


def least_change(source: Tensor, target: Tensor) -> Tensor:
    """The least `change` by which pictures like `source` can get the colours and the local contrast of `target`. -> scalar >= 0.

    A map g with the target's distribution of a statistic moves it by at least the Wasserstein-1 distance of the two distributions.
    For the values of a channel this is a bound of the change itself; a difference of neighbours changes at most twice as much as
    pixels do, so there it is half the distance. The largest of the bounds counts, each less the most that two halves of one domain
    are apart, halved in three ways: pictures of one domain, being few, differ by chance.
    """
    bounds = [torch.zeros((), dtype=torch.float64)]
    for (a, share), (b, _) in zip(_statistics(source), _statistics(target), strict=True):
        chance = max(_wasserstein(x[half], x[~half]) for x in (a, b) for half in _halves(len(x)))
        bounds.append(share * (_wasserstein(a, b) - chance))
    return torch.stack(bounds).max()


def _halves(n: int) -> tuple[Tensor, ...]:
    """(n,) bool each: every second one, the first half, two of every four."""
    i = torch.arange(n)
    return i % 2 == 0, i < n // 2, i % 4 // 2 == 0


def _statistics(images: Tensor) -> Iterator[tuple[Tensor, float]]:
    """((N, values), how much a pixel has to change at least for a change of 1): every channel, and its differences across and down."""
    x = images.double().cpu()
    for channel in x.unbind(1):
        yield channel.flatten(1), 1.0
        yield (channel[:, :, 1:] - channel[:, :, :-1]).flatten(1), 0.5
        yield (channel[:, 1:] - channel[:, :-1]).flatten(1), 0.5


def _wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Wasserstein-1 of two sets of numbers, by their quantiles. Any shapes -> scalar."""

    if not (a.numel() and b.numel()):  # the half of one picture
        return torch.zeros((), dtype=torch.float64)

    def quantiles(values: Tensor) -> Tensor:
        flat = values.flatten()
        flat = flat[torch.linspace(0, len(flat) - 1, min(len(flat), VALUES)).long()].sort().values
        return flat[((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000 * len(flat)).long()]

    return (quantiles(a) - quantiles(b)).abs().mean()


def measures(source: Tensor | None, made: Tensor, target: Tensor) -> dict[str, float]:
    """What the alarms look at, by name. source: the inputs; None where pictures are made from noise, which leaves diversity alone.

    target: real pictures of the domain that `made` should look like. Fewer than 2 pictures: no diversity.
    """
    diverse = relative_diversity(thumbnails(made), thumbnails(target))
    found = {} if diverse.isnan() else {"diversity": float(diverse)}
    if source is None:
        return found
    from_source = relative_diversity(thumbnails(made), thumbnails(source))
    if found and not from_source.isnan():
        found["diversity"] = max(found["diversity"], float(from_source))
    return found | {
        "luminance_correlation": float(luminance_correlation(source, made).median()),
        "change": float(change(source, made)),
        "least_change": float(least_change(source, target)),
    }


def alarms(measured: Mapping[str, float], true_correlation: float | None = None) -> dict[str, bool]:
    """kind -> whether it rings, for the kinds whose measures are there. true_correlation: the correlation of luminance that the true

    translation has, where it is known: where that is negative itself, as from label maps to photos, light and dark may change places.
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
