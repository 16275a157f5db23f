"""FDA: source images with the low-frequency amplitudes of target images, no network needed (Yang & Soatto 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cycada.core.bounds import Positive
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.source_only import SourceTensors
from cycada.methods.step_tensors import Options, kept_detached


@dataclass(frozen=True)
class FdaOptions(Options):
    """beta: frequencies up to so many cycles a pixel, along both axes, take the target's amplitude. 0.01, 0.05 and 0.09 in the

    paper; at 0.5 it is all of them. Below 1 / side that is the mean alone. The larger, the more of the
    target's layout shines through, as clouds of colour.
    """

    beta: Annotated[Positive, Field(le=0.5)] = 0.01


def low_frequencies(side: int, beta: float) -> Tensor:
    """(side,) bool: which rows of an unshifted spectrum lie in [-beta side, beta side]."""
    row = torch.arange(side)
    return torch.minimum(row, side - row) <= round(beta * side, 6)  # 0.29 * 100 is a little less than 29


def spectral_transfer(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """The source's phases with, in the window of eq. 3, the target's amplitudes (FDA, eq. 4). Both (N, C, H, W) -> the same.

    Image i takes the amplitudes of image i. They are those of colours of which black is 0, as in the paper,
    where the mean is subtracted afterwards: around another 0 the mean's amplitude would be another, and its
    phase might be turned round. In: [-1, 1]. Out: some pixels lie beyond, and as in the paper nothing is cut
    off. In float32. The window is the paper's; the release's is as wide as high.
    """
    height, width = source.shape[-2:]
    own, other = (torch.fft.rfft2((images.float() + 1) / 2) for images in (source, target))
    low = low_frequencies(height, beta)[:, None] & low_frequencies(width, beta)[: own.shape[-1]]
    mixed = torch.where(low.to(own.device), torch.polar(other.abs(), own.angle()), own)
    return 2 * torch.fft.irfft2(mixed, s=(height, width)) - 1


class FdaTensors(SourceTensors):
    """fake_t is a source image in the target's colours and light, as in the methods that learn to translate."""

    @kept_detached
    def fake_t(self) -> Tensor:
        return spectral_transfer(self.real_s, self.real_t, self.options.beta)

    @cached_property
    def f_t_logits_fake_t(self) -> Tensor:
        return self.nets.f_t(self.fake_t).logits

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        return self.nets.f_t(self.real_t).logits


methods.add(
    "fda",
    Method(
        FdaTensors,
        (PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "robust_entropy": 0.005, "task_source": 0.0}),),
        "FDA",
        "f_t on source images with target images' low-frequency amplitudes, sure on target ones (Yang & "
        "Soatto 2020, eq. 4 to 7)",
        options=FdaOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
