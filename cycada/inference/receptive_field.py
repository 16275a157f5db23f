"""Generators as local functions: fixed normalisation statistics, and the size of the receptive field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FARTHEST = 256
"""The largest receptive field that is looked for, in pixels from the centre.

More context than that would cost more than the picture itself.
"""


class PooledNorm(nn.Module):
    """Instance or group normalisation with the statistics of its first batch.

    Maps (N, C, H, W) keep their shape. The statistics are those of all images of the first batch together;
    everything that comes later is normalised by the same means and variances, so that no pixel depends on the
    rest of its image. For a first batch of one image, the output is that of the module that it replaces.

    Args:
        norm: The module that it replaces.
    """

    mean: Tensor | None
    variance: Tensor | None

    def __init__(self, norm: nn.GroupNorm | nn.InstanceNorm2d) -> None:
        super().__init__()
        self.groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else norm.num_features
        self.eps, self.weight, self.bias = norm.eps, norm.weight, norm.bias
        self.register_buffer("mean", None)
        self.register_buffer("variance", None)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W); the first call sets the statistics."""
        if self.mean is None:
            variance, mean = torch.var_mean(x.reshape(len(x), self.groups, -1), (0, 2), correction=0)
            within = x.shape[1] // self.groups
            self.mean, self.variance = mean.repeat_interleave(within), variance.repeat_interleave(within)
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, training=False, eps=self.eps)


def normalises_by_image(net: nn.Module) -> bool:
    """Return whether a generator normalises by mean and variance of each image."""
    return any(_by_image(module) is not None for module in net.modules())


def with_statistics_of(net: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of a generator that normalises everything by the statistics of some images.

    The copy is in eval mode. Batch normalisation stays as it is: in eval mode it depends on no image.

    Args:
        net: The generator.
        images: (N, C, H, W) in [-1, 1]; the statistics are pooled over all of them, layer after layer.
    """
    fixed = _replaced(net, PooledNorm).eval()
    with torch.no_grad():
        fixed(images)
    return fixed


@lru_cache(maxsize=1)
def measure_receptive_field(net: nn.Module, channels: int) -> int | None:
    """Return the receptive field of a generator: how far away a pixel still has an influence.

    Statistics of normalisation are left out of account. The field is found by trial, so that it holds for any
    network: half of an image is NaN, and every layer passes NaN on to all outputs that depend on it.

    Args:
        net: The generator.
        channels: The number of image channels.

    Returns:
        Pixels from the centre, a multiple of `multiple_of`, for images whose borders lie at multiples of it;
        None beyond `FARTHEST`, as in deep U-Nets.
    """
    probe = _replaced(net, lambda norm: nn.Identity()).eval().double().cpu()
    multiple, low = int(getattr(net, "multiple_of", 1)), find_smallest_size(net)
    far = 32 * multiple // min(32, multiple)  # a multiple of both, as `multiple_of` is a power of 2
    while far <= FARTHEST:
        pixels = max(_reach_of_nan(probe, channels, low, far, upright) for upright in (False, True))
        if pixels < far:
            return -(-pixels // multiple) * multiple
        far *= 2
    return None


def find_smallest_size(net: nn.Module) -> int:
    """Return the smallest height and width that a generator takes, a multiple of its `multiple_of`."""
    return int(getattr(net, "smallest", getattr(net, "multiple_of", 1)))


def _reach_of_nan(probe: nn.Module, channels: int, low: int, far: int, upright: bool) -> int:
    """Return how many pixels beyond the NaN half become NaN on either side; `far` for all of them."""
    image = torch.zeros(2, channels, low, 2 * far, dtype=torch.double)
    image[0, ..., :far] = image[1, ..., far:] = torch.nan
    with torch.no_grad():
        is_nan = probe(image.mT if upright else image).isnan()
    columns = (is_nan.mT if upright else is_nan).any(1).any(1)  # (2, 2 * far)
    return max(int(columns[0, far:].sum()), int(columns[1, :far].sum()))


def _by_image(module: nn.Module) -> nn.GroupNorm | nn.InstanceNorm2d | None:
    """Return a module that normalises by image, or None for any other module."""
    if isinstance(module, nn.GroupNorm) or (
        isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats
    ):
        return module
    return None


def _replaced(net: nn.Module, by: Callable[[nn.GroupNorm | nn.InstanceNorm2d], nn.Module]) -> nn.Module:
    """Return a copy of `net` in which other modules replace those that normalise by image."""
    result = copy.deepcopy(net)
    for module in list(result.modules()):
        for name, child in module.named_children():
            if (norm := _by_image(child)) is not None:
                setattr(module, name, by(norm))
    return result
