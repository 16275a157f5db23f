"""What a machine computes in a second: products of matrices, and convolutions by both implementations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cycada.networks.convolution import OUTPUTS, Conv2d
from cycada.networks.convolution_by_columns import convolve_columns
from cycada.networks.convolution_by_patches import convolve_patches
from cycada.train.device import Device, Precision

SIDE = 2048
"""Height and width of the matrices whose product is timed."""
SMALL_SIDE = 256
"""Height and width of a first product, which says whether one of `SIDE` ends within the time."""


class Layer(NamedTuple):
    """A convolution that is timed: its channels, kernel, stride, padding, and the side of its input."""

    into: int
    out: int
    kernel: int
    stride: int
    padding: int
    side: int


LAYERS = (
    Layer(64, 128, 4, 2, 1, 16),
    Layer(128, 256, 4, 2, 1, 8),
    Layer(256, 512, 4, 1, 1, 4),
    Layer(512, 512, 4, 1, 1, 3),
    Layer(512, 1, 4, 1, 2, 2),
    Layer(256, 256, 3, 1, 0, 10),
    Layer(64, 3, 7, 1, 0, 38),
)
"""Convolutions of a PatchGAN on images of 32 x 32, of a generator's residual blocks, and its last one."""


def matrix_rate(device: Device, precision: Precision, seconds: float = 2.0) -> float:
    """Return the GFLOP/s of the machine's products of square matrices, the fastest within `seconds`.

    The matrices are of 2,048 x 2,048; where one product of these would take longer than `seconds`, of 256.

    Args:
        device: Where to compute.
        precision: Of the matrices.
        seconds: How long to measure.
    """
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16

    def rate(side: int) -> float:
        a, b = (torch.randn(side, side, device=device.torch_device).to(dtype) for _ in range(2))
        return 2 * side**3 / _fastest(lambda: a @ b, device, seconds) / 1e9

    small = rate(SMALL_SIDE)
    return rate(SIDE) if small * seconds > 2 * 2 * SIDE**3 / 1e9 else small


def measure_convolutions(batch: int, seconds: float, precision: Precision) -> Iterator[dict[str, Any]]:
    """Time each layer of `LAYERS` on this CPU, forward and both gradients.

    Args:
        batch: Number of maps.
        seconds: How long each implementation of each layer is measured.
        precision: fp32, or bf16 by autocast.

    Yields:
        Mappings with `layer`; `library`, `patches` and `columns` in GFLOP/s, where patches are None with too
        few channels for them, and columns with too many; and `chosen`, which of them the rule chooses.
    """
    device = Device(torch.device("cpu"))
    for into, out, kernel, stride, padding, side in LAYERS:
        layer = Conv2d(into, out, kernel, stride, padding)
        x = torch.randn(batch, into, side, side)
        x = (x.bfloat16() if precision == "bf16" else x).requires_grad_()
        other = ("columns", _by_columns) if out <= OUTPUTS else ("patches", _by_patches)
        ways = dict([("library", _by_library), other])
        row: dict[str, Any] = dict.fromkeys(("library", "patches", "columns"))
        for name, convolve in ways.items():
            with _autocast(precision):
                places = convolve(layer, x).shape[2:].numel()
            flops = 3 * 2 * batch * places * into * out * kernel**2
            taken = _fastest(partial(_both_ways, layer, x, convolve, precision), device, seconds)
            row[name] = flops / taken / 1e9
        with _autocast(precision):
            chosen = layer.way(x)
        yield {"layer": f"{into} -> {out}, {kernel} x {kernel} on {side} x {side}", **row, "chosen": chosen}


def _autocast(precision: Precision) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def _by_library(layer: Conv2d, x: Tensor) -> Tensor:
    return nn.Conv2d.forward(layer, x)


def _by_columns(layer: Conv2d, x: Tensor) -> Tensor:
    side = int(layer.padding[0])
    return convolve_columns(x, layer.weight, layer.bias, layer.stride[0], (side, side))


def _by_patches(layer: Conv2d, x: Tensor) -> Tensor:
    assert layer.bias is not None
    weight, bias, side = layer.weight.to(x.dtype), layer.bias.to(x.dtype), int(layer.padding[0])
    return convolve_patches(x, weight, bias, (layer.stride[0], layer.stride[1]), (side, side))


def _both_ways(
    layer: Conv2d, x: Tensor, convolve: Callable[[Conv2d, Tensor], Tensor], precision: Precision
) -> None:
    with _autocast(precision):
        y = convolve(layer, x)
    torch.autograd.grad(y, (x, *layer.parameters()), y.detach())


def _fastest(compute: Callable[[], object], device: Device, seconds: float) -> float:
    """Return the seconds of the fastest of all calls within `seconds`, of which there is at least one."""
    compute()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        device.synchronize()
        began = time.perf_counter()
        compute()
        device.synchronize()
        best = min(best, time.perf_counter() - began)
        if time.perf_counter() >= end:
            return best
