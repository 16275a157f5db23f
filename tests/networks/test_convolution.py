"""The convolutions by patches and by columns against the library's: values, gradients, rule and export."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from cycada.networks import convolution
from cycada.networks.blocks import ReflectConv2d
from cycada.networks.convolution import Conv2d, convolve_columns, convolve_patches
from cycada.networks.patchgan import PatchGan
from cycada.networks.resnet import ResnetGenerator


@pytest.fixture
def bf16_products(monkeypatch):
    monkeypatch.setattr(convolution, "multiplies_bf16", lambda: True)


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


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolve_columns_is_conv2d_in_float32(stride, padding, layout):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(3, 16, 9, 8), torch.randn(3, 16, 5, 4), torch.randn(3)
    inputs = [t.requires_grad_() for t in (x.to(memory_format=layout), weight, bias)]
    expected = F.conv2d(*inputs, (stride, 1), padding)
    found = convolve_columns(*inputs, stride, padding)
    assert found.is_contiguous()
    gradient = torch.randn_like(expected)
    pairs = zip(*(torch.autograd.grad(y, inputs, gradient) for y in (found, expected)), strict=True)
    for ours, library in ((found, expected), *pairs):
        assert relative(ours, library) < 1e-5


def test_convolve_columns_has_gradients_of_both_orders():
    torch.manual_seed(0)
    shapes = ((2, 3, 5, 4), (2, 3, 3, 3), (2,))
    inputs = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in shapes]

    def convolve(x, weight, bias):
        return convolve_columns(x, weight, bias, 2, (0, 1))

    assert gradcheck(convolve, inputs)
    assert gradgradcheck(convolve, inputs)


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_layer_of_a_generator_adds_columns_and_rounds_as_the_library_does(bias):
    torch.manual_seed(0)
    layer, x = ReflectConv2d(64, 3, 7, bias=bias), torch.randn(4, 64, 12, 10)
    assert layer.way(x) == "columns"
    padded = F.pad(x, (3, 3, 3, 3), mode="reflect")
    exact = F.conv2d(padded.double(), layer.weight.double(), layer.bias.double() if bias else None)
    assert relative(layer(x), exact) < 1e-6
    with bf16():
        found, library = layer(x), nn.Conv2d.forward(layer, padded.bfloat16())
    assert found.dtype == library.dtype == torch.bfloat16
    assert relative(found, exact) < 1.5 * relative(library, exact) + 1e-3


def test_generators_and_discriminators_end_in_columns_on_a_cpu_alone():
    x = torch.zeros(2, 64, 38, 38)
    ends = ResnetGenerator(3, channels=64, blocks=1).body[-1], PatchGan(3, 64).body[-1]
    for layer in ends:
        maps = x.expand(2, -1, -1, -1).repeat(1, layer.in_channels // 64, 1, 1)
        assert layer.way(maps) == "columns"
        assert layer.way(maps.to("meta")) == "library"


def test_a_generator_is_exported_with_the_librarys_convolutions():
    net = ResnetGenerator(3, channels=16, blocks=1).eval()
    x = torch.randn(2, 3, 16, 16)
    program = torch.export.export(net, (x,))
    assert sum("conv2d" in str(node.target) for node in program.graph.nodes) == 6
    assert relative(program.module()(x), net(x)) < 1e-5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conv2d_takes_patches_in_bf16_and_rounds_as_the_library_does(bf16_products, layout):
    torch.manual_seed(0)
    layer = Conv2d(128, 128, 4, 1, 1)
    x = torch.randn(64, 128, 4, 4).to(memory_format=layout)
    with bf16():
        assert layer.way(x) == "patches"
    exact = nn.Conv2d.forward(layer, x)
    gradient = torch.randn(exact.shape).bfloat16().float()
    maps = x.clone().requires_grad_()
    y = nn.Conv2d.forward(layer, maps)
    exact_parts = (y, *torch.autograd.grad(y, (maps, *layer.parameters()), gradient))
    for (ours, library), reference in zip(both(layer, x, gradient), exact_parts, strict=True):
        assert ours.dtype == library.dtype
        assert relative(ours, reference) < 1.5 * relative(library, reference) + 1e-3


def test_conv2d_penalty_of_gradients_can_be_differentiated(bf16_products):
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
        (Conv2d(128, 5, 4, 1, 1), (64, 128, 4, 4)),
        (Conv2d(128, 1, 4, 2, 1), (64, 128, 4, 4)),
        (Conv2d(128, 1, 1), (64, 128, 4, 4)),
        (Conv2d(15, 3, 7), (64, 15, 32, 32)),
        (Conv2d(128, 1, 4, 1, 1), (64, 128, 4, 4)),
        (Conv2d(64, 3, 9), (64, 64, 32, 32)),
        (Conv2d(64, 3, 3, dilation=2), (64, 64, 32, 32)),
        (Conv2d(128, 128, 4, 1, 1), (64, 128, 9, 9)),
        (Conv2d(128, 128, 4, 1, 1), (2, 128, 4, 4)),
        (Conv2d(128, 128, 4, 1, 1, dilation=2), (64, 128, 8, 8)),
        (Conv2d(128, 128, 4, 1, 1, groups=2), (64, 128, 4, 4)),
        (Conv2d(128, 128, 4, padding="same"), (64, 128, 4, 4)),
        (Conv2d(128, 128, 4, 1, 1, padding_mode="reflect"), (64, 128, 4, 4)),
    ],
)
def test_conv2d_leaves_everything_else_to_the_library(bf16_products, layer, shape):
    with bf16():
        assert layer.way(torch.zeros(shape)) == "library"


def test_conv2d_takes_patches_in_float32_with_matrix_units_and_gives_what_the_library_gives(monkeypatch):
    monkeypatch.setattr(convolution, "has_matrix_units", lambda: True)
    torch.manual_seed(0)
    layer, x = Conv2d(128, 160, 4, 2, 1), torch.randn(32, 128, 8, 8, requires_grad=True)
    assert layer.way(x) == "patches"
    found = layer(x)
    monkeypatch.setattr(convolution, "has_matrix_units", lambda: False)
    expected = layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad((found * weights).sum(), [x, *layer.parameters()]),
        torch.autograd.grad((expected * weights).sum(), [x, *layer.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_conv2d_takes_patches_by_the_processor_and_its_precision(monkeypatch):
    layer, x = Conv2d(128, 128, 4, 1, 1), torch.zeros(64, 128, 4, 4)
    monkeypatch.setattr(convolution, "multiplies_bf16", lambda: True)
    for has_matrix_units, way in ((True, "patches"), (False, "library")):
        monkeypatch.setattr(convolution, "has_matrix_units", lambda has=has_matrix_units: has)
        assert layer.way(x) == way
        assert layer.way(x.double()) == "library"
    with torch.autocast("cpu", torch.float16):
        assert layer.way(x) == "library"
    with bf16():
        assert layer.way(x) == "patches"
        assert layer.way(x.to("meta")) == "library"
        larger = torch.zeros(64, 128, 8, 8)
        for has_matrix_units, way in ((True, "patches"), (False, "library")):
            monkeypatch.setattr(convolution, "has_matrix_units", lambda has=has_matrix_units: has)
            assert layer.way(larger) == way
        monkeypatch.setattr(convolution, "multiplies_bf16", lambda: False)
        assert layer.way(x) == "library"


def test_patchgan_has_the_keys_of_plain_convolutions_and_is_exported_with_them(bf16_products):
    net = PatchGan(3, 32, channels=64, layers=4, strided=3)
    taken = [m for m in net.modules() if isinstance(m, Conv2d)]
    assert len(taken) == 5
    assert {key.rpartition(".")[2] for key in net.state_dict()} == {"weight", "bias"}
    with bf16():
        program = torch.export.export(net, (torch.zeros(64, 3, 32, 32),))
    names = [str(node.target) for node in program.graph.nodes]
    assert sum("conv2d" in name for name in names) == 6
    assert not any("unfold" in name for name in names)
