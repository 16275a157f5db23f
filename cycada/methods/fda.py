"""FDA (Fourier domain adaptation): source images get the low frequencies of target images.

See Yang & Soatto 2020. No network is needed for the translation: the amplitudes of low frequencies are
exchanged, the phases stay (eq. 3 and 4).
"""

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
    """Options of FDA.

    Attributes:
        beta: Frequencies up to this many cycles per pixel, along both axes, get the target's amplitude;
            0.01, 0.05 and 0.09 in the paper. At 0.5 these are all frequencies, below 1 / side only the mean.
            With a larger beta, more of the target's layout appears as clouds of colour.
    """

    beta: Annotated[Positive, Field(le=0.5)] = 0.01


def low_frequencies(side: int, beta: float) -> Tensor:
    """Return which rows of an unshifted spectrum lie in [-beta side, beta side].

    Args:
        side: Number of rows (or columns).
        beta: See `FdaOptions`.

    Returns:
        (side,) bool.
    """
    row = torch.arange(side)
    return torch.minimum(row, side - row) <= round(
        beta * side, 6
    )  # as floats, 0.29 * 100 is a little less than 29


def spectral_transfer(source: Tensor, target: Tensor, beta: float) -> Tensor:
    """Return source images with the low-frequency amplitudes of target images (FDA, eq. 4).

    Phases, and amplitudes outside of eq. 3's window, stay the source's. Source image i takes the amplitudes
    of target image i. The window is the paper's; in the authors' code it is as wide as it is high. Amplitudes
    are those of colours in which black is 0, as in the paper, where the mean is subtracted afterwards; with
    another zero the mean would have another amplitude and perhaps the opposite phase.

    Args:
        source: Source images, (N, C, H, W) in [-1, 1].
        target: Target images of the same shape.
        beta: See `FdaOptions`.

    Returns:
        (N, C, H, W), computed in float32. Some pixels lie outside of [-1, 1]; as in the paper they are not
        clipped.
    """
    height, width = source.shape[-2:]
    spectrum, target_spectrum = (torch.fft.rfft2((images.float() + 1) / 2) for images in (source, target))
    low = low_frequencies(height, beta)[:, None] & low_frequencies(width, beta)[: spectrum.shape[-1]]
    mixed = torch.where(
        low.to(spectrum.device), torch.polar(target_spectrum.abs(), spectrum.angle()), spectrum
    )
    images: Tensor = torch.fft.irfft2(mixed, s=(height, width))
    return 2 * images - 1


class FdaTensors(SourceTensors[FdaOptions]):
    """Tensors of FDA."""

    @kept_detached
    def fake_t(self) -> Tensor:
        """Source images with the colours and light of target images, (N, C, H, W)."""
        return spectral_transfer(self.real_s, self.real_t, self.options.beta)

    @cached_property
    def f_t_logits_fake_t(self) -> Tensor:
        """f_t's logits of fake_t, (N, K, ...)."""
        return self.nets.f_t(self.fake_t).logits

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        """f_t's logits of target images, (N, K, ...)."""
        return self.nets.f_t(self.real_t).logits


methods.add(
    "fda",
    Method(
        FdaTensors,
        (PhaseSpec("task", ("f_t",), {"task_translated": 1.0, "robust_entropy": 0.005, "task_source": 0.0}),),
        "FDA",
        "train f_t on source images with target low frequencies",
        details="f_t also learns to be confident on target images (Yang & Soatto 2020, eq. 4 to 7).",
        options=FdaOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
