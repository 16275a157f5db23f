"""What a machine computes in a second: products of matrices, and convolutions by both implementations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cycada.networks.convolution import Conv2d, convolve_patches
from cycada.train.device import Device, Precision

SIDE = 2048
"""Height and width of the matrices whose product is timed."""
SMALL_SIDE = 256
"""Height and width of a first product, which says whether one of `SIDE` ends within the time."""


class Layer(NamedTuple):
    """A convolution that is timed: its channels, kernel, stride, and the side of its input."""

    into: int
    out: int
    kernel: int
    stride: int
    side: int


LAYERS = (
    Layer(64, 128, 4, 2, 16),
    Layer(128, 256, 4, 2, 8),
    Layer(256, 512, 4, 1, 4),
    Layer(512, 512, 4, 1, 3),
    Layer(256, 256, 3, 1, 8),
)
"""The convolutions of a six-convolution PatchGAN on images of 32 x 32, and one of a residual block."""


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


def measure_convolutions(batch: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Time each layer of `LAYERS` on this CPU, forward and both gradients, under autocast to bf16.

    Args:
        batch: Number of maps.
        seconds: How long each implementation of each layer is measured.

    Yields:
        Mappings with layer, `library` and `patches` in GFLOP/s, and `takes_patches`, what the rule chooses.
    """
    device = Device(torch.device("cpu"))
    for into, out, kernel, stride, side in LAYERS:
        layer = Conv2d(into, out, kernel, stride, 1)
        x = torch.randn(batch, into, side, side).bfloat16().requires_grad_()
        rates = {}
        for name, convolve in (("library", _by_library), ("patches", _by_patches)):
            with torch.autocast("cpu", torch.bfloat16):
                places = convolve(layer, x).shape[2:].numel()
            flops = 3 * 2 * batch * places * into * out * kernel**2
            taken = _fastest(partial(_both_ways, layer, x, convolve), device, seconds)
            rates[name] = flops / taken / 1e9
        with torch.autocast("cpu", torch.bfloat16):
            chosen = layer.takes_patches(x)
        text = f"{into} -> {out}, {kernel} x {kernel} on {side} x {side}"
        yield {"layer": text, **rates, "takes_patches": chosen}


def _by_library(layer: Conv2d, x: Tensor) -> Tensor:
    return nn.Conv2d.forward(layer, x)


def _by_patches(layer: Conv2d, x: Tensor) -> Tensor:
    assert layer.bias is not None
    weight, bias = layer.weight.to(torch.bfloat16), layer.bias.to(torch.bfloat16)
    return convolve_patches(x, weight, bias, (layer.stride[0], layer.stride[1]), (1, 1))


def _both_ways(layer: Conv2d, x: Tensor, convolve: Callable[[Conv2d, Tensor], Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
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
