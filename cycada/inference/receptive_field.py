"""A generator as a local function: its statistics measured once and then kept, and how far around a pixel it looks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FARTHEST = 256
"""Pixels in each direction beyond which nobody asks: that much context would cost more than the picture itself."""


class PooledNorm(nn.Module):
    """Instance (or group) normalisation whose statistics are those of all images of its first batch together.

    It keeps them: whatever comes later is normalised by the very same means and variances, so that no pixel depends on what else
    is in its image. Of a single image the first answer is that of the module it stands for. (N, C, H, W) -> the same.
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
        if self.mean is None:
            variance, mean = torch.var_mean(x.reshape(len(x), self.groups, -1), (0, 2), correction=0)
            within = x.shape[1] // self.groups
            self.mean, self.variance = mean.repeat_interleave(within), variance.repeat_interleave(within)
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, training=False, eps=self.eps)


def normalises_by_image(net: nn.Module) -> bool:
    """Whether what becomes of a pixel depends on mean and variance of the image that it is in."""
    return any(_by_image(module) is not None for module in net.modules())


def with_statistics_of(net: nn.Module, images: Tensor) -> nn.Module:
    """A copy of a generator, in eval mode, that normalises everything by the statistics of `images` (N, C, H, W), pooled over all

    of them, layer after layer. Batch norm stays as it is: in eval mode it depends on no image.
    """
    fixed = _replaced(net, PooledNorm).eval()
    with torch.no_grad():
        fixed(images)
    return fixed


@lru_cache(maxsize=1)
def reach(net: nn.Module, channels: int) -> int | None:
    """How many pixels away a pixel may be and still matter, statistics apart; None beyond `FARTHEST`, as in deep U-Nets.

    For images whose borders stand at multiples of `multiple_of`, and such a multiple itself. Found by trial, so that it holds for
    any network: half of an image is NaN, and every layer hands that on to all that looks at it. channels: of its images.
    """
    probe = _replaced(net, lambda norm: nn.Identity()).eval().double().cpu()
    multiple, low = int(getattr(net, "multiple_of", 1)), smallest(net)
    far = 32 * multiple // min(32, multiple)  # a multiple of both, as `multiple_of` is a power of 2
    while far <= FARTHEST:
        found = max(_handed_on(probe, channels, low, far, upright) for upright in (False, True))
        if found < far:
            return -(-found // multiple) * multiple
        far *= 2
    return None


def smallest(net: nn.Module) -> int:
    """The least height and width that a generator takes, a multiple of its `multiple_of`."""
    return int(getattr(net, "smallest", getattr(net, "multiple_of", 1)))


def _handed_on(probe: nn.Module, channels: int, low: int, far: int, upright: bool) -> int:
    """How many pixels beyond the half that is NaN are NaN too, to the left or to the right; `far` where all of them are."""
    image = torch.zeros(2, channels, low, 2 * far, dtype=torch.double)
    image[0, ..., :far] = image[1, ..., far:] = torch.nan
    with torch.no_grad():
        lost = probe(image.mT if upright else image).isnan()
    columns = (lost.mT if upright else lost).any(1).any(1)  # (2, 2 * far)
    return max(int(columns[0, far:].sum()), int(columns[1, :far].sum()))


def _by_image(module: nn.Module) -> nn.GroupNorm | nn.InstanceNorm2d | None:
    if isinstance(module, nn.GroupNorm) or (
        isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats
    ):
        return module
    return None


def _replaced(net: nn.Module, by: Callable[[nn.GroupNorm | nn.InstanceNorm2d], nn.Module]) -> nn.Module:
    """A copy with another module for each that normalises by image."""
    result = copy.deepcopy(net)
    for module in list(result.modules()):
        for name, child in module.named_children():
            if (norm := _by_image(child)) is not None:
                setattr(module, name, by(norm))
    return result
