"""The convolution by patches against the library's: values, gradients of both orders, rule and export."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from cycada.networks import convolution
from cycada.networks.convolution import Conv2d, convolve_patches
from cycada.networks.patchgan import PatchGan


@pytest.fixture
def matrix_units(monkeypatch):
    monkeypatch.setattr(convolution, "has_matrix_units", lambda: True)


def bf16():
    return torch.autocast("cpu", torch.bfloat16)


def relative(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def both(layer, x, gradient):
    """Output and gradients of maps, weights and biases, of the layer and of the library's convolution."""
    answers = []
    for forward in (layer, lambda maps: nn.Conv2d.forward(layer, maps)):
        maps = x.clone().requires_grad_()
        with bf16():
            y = forward(maps)
        parts = (maps, *layer.parameters())
        answers.append((y, *torch.autograd.grad(y, parts, gradient.to(y.dtype))))
    return zip(*answers, strict=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_convolve_patches_is_conv2d_in_float32(stride, padding):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(3, 6, 7, 5), torch.randn(8, 6, 4, 3), torch.randn(8)
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    expected = F.conv2d(x, weight, bias, stride, padding)
    found = convolve_patches(x, weight, bias, (stride, stride), (padding, padding))
    assert found.is_contiguous()
    gradient = torch.randn_like(expected)
    pairs = zip(*(torch.autograd.grad(y, inputs, gradient) for y in (found, expected)), strict=True)
    for ours, library in ((found, expected), *pairs):
        assert relative(ours, library) < 1e-5


def test_convolve_patches_has_gradients_of_both_orders():
    torch.manual_seed(0)
    shapes = ((2, 2, 5, 4), (3, 2, 4, 3), (3,))
    inputs = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in shapes]

    def convolve(x, weight, bias):
        return convolve_patches(x, weight, bias, (2, 1), (1, 0))

    assert gradcheck(convolve, inputs)
    assert gradgradcheck(convolve, inputs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conv2d_takes_patches_in_bf16_and_rounds_as_the_library_does(matrix_units, layout):
    torch.manual_seed(0)
    layer = Conv2d(128, 128, 4, 1, 1)
    x = torch.randn(64, 128, 4, 4).to(memory_format=layout)
    with bf16():
        assert layer.takes_patches(x)
    exact = nn.Conv2d.forward(layer, x)
    gradient = torch.randn(exact.shape).bfloat16().float()
    maps = x.clone().requires_grad_()
    y = nn.Conv2d.forward(layer, maps)
    exact_parts = (y, *torch.autograd.grad(y, (maps, *layer.parameters()), gradient))
    for (ours, library), reference in zip(both(layer, x, gradient), exact_parts, strict=True):
        assert ours.dtype == library.dtype
        assert relative(ours, reference) < 1.5 * relative(library, reference) + 1e-3


def test_conv2d_penalty_of_gradients_can_be_differentiated(matrix_units):
    torch.manual_seed(0)
    layer = Conv2d(128, 128, 4, 1, 1)
    norms = []
    for forward in (layer, lambda maps: nn.Conv2d.forward(layer, maps)):
        x = torch.randn(64, 128, 3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with bf16():
            y = forward(x).square().sum()
        (slope,) = torch.autograd.grad(y, x, create_graph=True)
        (gradient,) = torch.autograd.grad((slope.flatten(1).norm(dim=1) - 1).square().mean(), layer.weight)
        norms.append(gradient)
    assert relative(*norms) < 0.02


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(128, 128, 3, 1, 1), (64, 128, 4, 4)),
        (Conv2d(64, 128, 4, 1, 1), (64, 64, 4, 4)),
        (Conv2d(128, 1, 4, 1, 1), (64, 128, 4, 4)),
        (Conv2d(128, 128, 4, 1, 1), (64, 128, 9, 9)),
        (Conv2d(128, 128, 4, 1, 1), (2, 128, 4, 4)),
        (Conv2d(128, 128, 4, 1, 1, dilation=2), (64, 128, 8, 8)),
        (Conv2d(128, 128, 4, 1, 1, groups=2), (64, 128, 4, 4)),
        (Conv2d(128, 128, 4, padding="same"), (64, 128, 4, 4)),
        (Conv2d(128, 128, 4, 1, 1, padding_mode="reflect"), (64, 128, 4, 4)),
    ],
)
def test_takes_patches_leaves_everything_else_to_the_library(matrix_units, layer, shape):
    with bf16():
        assert not layer.takes_patches(torch.zeros(shape))


def test_takes_patches_needs_the_processor_and_its_precision(monkeypatch):
    layer, x = Conv2d(128, 128, 4, 1, 1), torch.zeros(64, 128, 4, 4)
    monkeypatch.setattr(convolution, "has_matrix_units", lambda: True)
    assert not layer.takes_patches(x)
    with torch.autocast("cpu", torch.float16):
        assert not layer.takes_patches(x)
    with bf16():
        assert layer.takes_patches(x)
        assert not layer.takes_patches(x.to("meta"))
        monkeypatch.setattr(convolution, "has_matrix_units", lambda: False)
        assert not layer.takes_patches(x)


def test_patchgan_has_the_keys_of_plain_convolutions_and_is_exported_with_them(matrix_units):
    net = PatchGan(3, 32, channels=64, layers=4, strided=3)
    taken = [m for m in net.modules() if isinstance(m, Conv2d)]
    assert len(taken) == 4
    assert {key.rpartition(".")[2] for key in net.state_dict()} == {"weight", "bias"}
    with bf16():
        program = torch.export.export(net, (torch.zeros(64, 3, 32, 32),))
    names = [str(node.target) for node in program.graph.nodes]
    assert sum("conv2d" in name for name in names) == 6
    assert not any("unfold" in name for name in names)
