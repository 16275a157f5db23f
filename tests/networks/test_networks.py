"""Networks against the papers' sizes and initialisations; the frozen wrapper, gradient reversal and the image
pool."""

import inspect
import math

import pytest
import timm
import torch
from helpers.experiments import FEATURES, SEGMENTERS, SPATIAL_CRITICS
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.registry import needs, option_defaults
from cycada.networks import (
    NETWORKS,
    NOISE,
    Frozen,
    ImagePool,
    classifiers,
    discriminators,
    feature_discriminators,
    generators,
    kind_of,
    pair_discriminators,
    pair_generators,
    reverse_gradient,
)
from cycada.networks.blocks import ReflectConv2d, norm_layer, to_channels_last
from cycada.networks.resnet import ResnetGenerator

META = torch.device("meta")  # counts and shapes without memory or arithmetic


def count(net):
    return sum(p.numel() for p in net.parameters())


def conv(into, out, kernel, bias=True):
    return out * (into * kernel**2 + bias)


def linear(into, out):
    return out * (into + 1)


def kinds(net, kind):
    return [m for m in net.modules() if isinstance(m, kind)]


def build(kind, name, size=32, image_channels=3, **options):
    context = {
        "image_channels": image_channels,
        "size": size,
        "shape": (size, size),
        "classes": 10,
        "inputs": 10,
    }
    return NETWORKS[kind][name](*(context[n] for n in needs(NETWORKS[kind][name])), **options)


# Sizes.


@pytest.mark.parametrize(("size", "flat"), [(28, 800), (32, 1250)])
def test_lenet_has_the_parameters_of_the_release(size, flat):
    with META:
        net = classifiers["lenet"](1, 10, size)
    assert [m.in_features for m in kinds(net, nn.Linear)] == [flat, 500]
    assert count(net) == conv(1, 20, 5) + conv(20, 50, 5) + linear(flat, 500) + linear(500, 10)


def test_dtn_has_the_parameters_of_the_release():
    with META:
        net = classifiers["dtn"](3, 10, 32)
    norms = 2 * (64 + 128 + 256 + 512)
    assert (
        count(net)
        == conv(3, 64, 5) + conv(64, 128, 5) + conv(128, 256, 5) + linear(4096, 512) + linear(512, 10) + norms
    )
    assert [m.p for m in kinds(net, (nn.Dropout2d, nn.Dropout))] == [0.1, 0.3, 0.5, 0.5]


def test_release_classifier_has_the_layers_of_the_fork():
    with META:
        net = classifiers["release_classifier"](3, 10, 32)
    assert [(m.in_channels, m.out_channels, m.stride) for m in kinds(net, nn.Conv2d)] == [
        (3, 64, (2, 2)), (64, 64, (2, 2)), (64, 128, (2, 2)), (128, 256, (2, 2)),
    ]  # fmt: skip
    assert [(m.in_features, m.out_features) for m in kinds(net, nn.Linear)] == [(256, 1024), (1024, 10)]
    assert len(kinds(net, nn.BatchNorm2d)) == 3


def test_resnet_9blocks_has_the_published_number_of_parameters():
    net = generators["resnet"](3)
    assert net(torch.zeros(1, 3, 64, 48)).shape == (1, 3, 64, 48)
    assert count(net) == 11_378_179


@pytest.mark.parametrize("downs", [0, 1, 2, 3])
def test_a_resnet_generator_halves_as_often_as_it_says(downs):
    g = ResnetGenerator(3, channels=4, blocks=1, downs=downs)
    assert g.multiple_of == 2**downs
    assert g(torch.rand(1, 3, 16, 24)).shape == (1, 3, 16, 24)
    widths = [layer.out_channels for layer in g.body if isinstance(layer, torch.nn.Conv2d)]
    assert widths == [4 * 2**i for i in range(downs + 1)] + [3]


def test_the_70_x_70_patchgan_has_the_published_number_of_parameters():
    with META:
        net = discriminators["patchgan"](3, 256)
        assert net(torch.empty(2, 3, 256, 256)).shape == (2, 1, 30, 30)
    assert count(net) == 2_764_737


def test_the_70_x_70_patchgan_sees_70_pixels():
    net = discriminators["patchgan"](1, 128, channels=1, norm="none")
    image = torch.randn(1, 1, 128, 128, requires_grad=True)
    net(image)[0, 0, 7, 7].backward()
    seen = image.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [70, 70]


def test_the_six_convolution_patchgan_fits_32_pixels():
    with META:
        net = discriminators["patchgan"](3, 32, layers=4, strided=3)
        assert net(torch.empty(2, 3, 32, 32)).shape == (2, 1, 1, 1)
    assert [m.out_channels for m in kinds(net, nn.Conv2d)] == [64, 128, 256, 512, 512, 1]
    assert [m.stride[0] for m in kinds(net, nn.Conv2d)] == [2, 2, 2, 1, 1, 1]
    assert {m.kernel_size for m in kinds(net, nn.Conv2d)} == {(4, 4)}


def test_unet_256():
    with META:
        net = generators["unet"](3)
        assert net(torch.empty(2, 3, 256, 256)).shape == (2, 3, 256, 256)
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(conv(i, o, 4) for i, o in zip([3, *widths], widths, strict=False))
    # every level but the innermost takes what comes from below next to its skip connection
    up = conv(512, 512, 4) + sum(
        conv(2 * i, o, 4) for i, o in zip(widths[6::-1], [*widths[5::-1], 3], strict=True)
    )
    assert count(net) == down + up


def test_the_feature_discriminator_of_adda():
    with META:
        net = feature_discriminators["mlp"](10)
        assert net(torch.empty(7, 10)).shape == (7, 2)
    assert count(net) == linear(10, 500) + linear(500, 500) + linear(500, 2)


# What every entry of a registry promises.


OPTIONS = {"timm": {"model": "test_resnet"}, "unet": {"downs": 4}}


def small(kind, name):
    narrow = {"channels": 8} if "channels" in option_defaults(NETWORKS[kind][name]) else {}
    return narrow | OPTIONS.get(name, {})


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, registry in NETWORKS.items() for n in registry])
def test_every_network_has_a_docstring(kind, name):
    assert inspect.getdoc(NETWORKS[kind][name])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(set(classifiers) - SEGMENTERS - FEATURES))
def test_every_classifier_returns_features_of_its_width_and_logits(name, channels):
    net = build("f", name, image_channels=channels, **OPTIONS.get(name, {})).eval()
    features, logits = net(torch.rand(2, channels, 32, 32) * 2 - 1)
    assert features.shape == (2, net.width)
    assert logits.shape == (2, 10)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(generators))
def test_every_generator_keeps_shape_and_range(name, channels):
    net = build("g", name, image_channels=channels, **small("g", name))
    images = net(torch.rand(2, channels, 32, 32) * 2 - 1)
    assert images.shape == (2, channels, 32, 32)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(discriminators))
def test_every_discriminator_scores_patches(name, channels):
    scores = build("d", name, image_channels=channels, **small("d", name))(
        torch.rand(2, channels, 32, 32) * 2 - 1
    )
    assert scores.dim() == 4
    assert scores.shape[:2] == (2, 1)


@pytest.mark.parametrize("size", [16, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(pair_generators))
def test_every_generator_of_pairs_draws_two_images_of_one_noise(name, channels, size):
    net = build("pair_g", name, size, channels, **small("pair_g", name))
    one, other = net(torch.rand(2, NOISE) * 2 - 1)
    assert one.shape == other.shape == (2, channels, size, size)
    assert max(one.abs().max(), other.abs().max()) <= 1
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [16, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(pair_discriminators))
def test_every_discriminator_of_pairs_judges_each_side_by_its_own_layer(name, channels, size):
    net = build("pair_d", name, size, channels, **small("pair_d", name)).eval()
    images = torch.rand(2, channels, size, size) * 2 - 1
    one, other = net(images, "s"), net(images, "t")
    assert (one.score.shape, len(one.features), one.features.dim(), one.logits.shape) == (
        (2, 1),
        2,
        2,
        (2, 10),
    )
    assert not torch.equal(one.logits, other.logits)


def test_coupled_networks_share_all_but_one_layer_of_each_domain():
    for name in pair_generators:
        for kind in ("pair_g", "pair_d"):
            own = {n.split(".")[0] for n, _ in build(kind, name).named_parameters()} - {
                "shared",
                "score",
                "classes",
            }
            assert own == {"s", "t"}


@pytest.mark.parametrize("name", sorted(set(feature_discriminators) - SPATIAL_CRITICS))
def test_every_feature_discriminator_gives_two_scores(name):
    assert build("d_feat", name)(torch.randn(3, 10)).shape == (3, 2)


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("g_st", "g"),
        ("f_t", "f"),
        ("d_s", "d"),
        ("d_feat", "d_feat"),
        ("pool_t", "pool"),
        ("head_t", "head"),
        ("pair_g", "pair_g"),
        ("pair_d", "pair_d"),
        ("h_st", "h"),
    ],
)
def test_the_kind_of_a_role(role, kind):
    assert kind_of(role) == kind


# Initialisation. An estimated standard deviation of n numbers is off by about 1 / sqrt(2 n) of itself.


def close_to_normal(values, mean, std):
    n = values.numel()
    return abs(values.mean() - mean) < 5 * std / math.sqrt(n) and abs(values.std() / std - 1) < 5 / math.sqrt(
        2 * n
    )


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("g", "resnet", {"channels": 16, "blocks": 2}),
        ("g", "resnet", {"channels": 16, "blocks": 2, "up": "resize", "norm": "batch"}),
        ("g", "unet", {"channels": 16, "downs": 4, "norm": "batch"}),
        ("d", "patchgan", {"channels": 16}),
        ("d", "pixel", {}),
    ],
)
def test_image_networks_start_as_cyclegan(kind, name, options):
    torch.manual_seed(0)
    net = build(kind, name, **options)
    layers = kinds(net, (nn.Conv2d, nn.ConvTranspose2d))
    assert all(close_to_normal(m.weight, 0, 0.02) for m in layers)
    assert all(close_to_normal(m.weight, 1, 0.02) for m in kinds(net, nn.BatchNorm2d))
    assert all((m.bias == 0).all() for m in layers + kinds(net, nn.BatchNorm2d) if m.bias is not None)


@pytest.mark.parametrize(("kind", "name"), [("f", "lenet"), ("f", "dtn"), ("d_feat", "mlp")])
def test_task_networks_start_as_xavier(kind, name):
    torch.manual_seed(0)
    for module in kinds(build(kind, name), (nn.Conv2d, nn.Linear)):
        field = module.weight[0, 0].numel() if module.weight.dim() == 4 else 1
        fans = sum(module.weight.shape[:2]) * field
        assert close_to_normal(module.weight, 0, math.sqrt(2 / fans))
        assert (module.bias == 0).all()


@pytest.mark.parametrize(
    ("kind", "name"), [("g", "resnet"), ("g", "unet"), ("d", "patchgan"), ("d", "pixel")]
)
def test_instance_norm_has_neither_weights_nor_statistics(kind, name):
    with META:
        net = build(kind, name, **OPTIONS.get(name, {}))
    norms = kinds(net, nn.GroupNorm)
    assert norms
    assert not any(m.affine for m in norms)
    assert not kinds(net, nn.BatchNorm2d)


def test_a_group_for_every_channel_is_instance_norm():
    x = torch.randn(3, 5, 7, 6) * 4 + 2
    assert torch.allclose(norm_layer("instance", 5)(x), nn.InstanceNorm2d(5)(x), atol=1e-5)


def test_reflect_convolution_is_the_padded_one_of_torch():
    ours, theirs = ReflectConv2d(2, 3, 7), nn.Conv2d(2, 3, 7, padding=3, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 2, 9, 11)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_discriminators_leak_a_fifth():
    with META:
        slopes = [m.negative_slope for name in discriminators for m in kinds(build("d", name), nn.LeakyReLU)]
    assert set(slopes) == {0.2}


def test_a_resize_convolution_generator_has_no_transposed_convolution():
    with META:
        stock, resized = generators["resnet"](3), generators["resnet"](3, up="resize")
    assert len(kinds(stock, nn.ConvTranspose2d)) == 2
    assert not kinds(resized, nn.ConvTranspose2d)
    assert len(kinds(resized, nn.Upsample)) == 2


def test_dropout_in_a_generator_is_off_unless_asked_for():
    with META:
        assert not kinds(generators["resnet"](3), nn.Dropout)
        assert len(kinds(generators["resnet"](3, dropout=0.5), nn.Dropout)) == 9


# Images that do not fit.


@pytest.mark.parametrize(
    ("kind", "name", "size", "options"),
    [
        ("d", "patchgan", 32, {"layers": 4}),  # the stock n_layers 4 that fails on digits
        ("d", "patchgan", 16, {}),
        ("f", "lenet", 15, {}),
        ("f", "dtn", 7, {}),
        ("f", "release_classifier", 30, {}),
    ],
)
def test_a_size_that_does_not_fit_is_refused_by_name(kind, name, size, options):
    with META, pytest.raises(CycadaError, match=f"{name}.*{size}"):
        build(kind, name, size=size, **options)


@pytest.mark.parametrize(
    ("kind", "name", "size", "options"),
    [
        ("d", "patchgan", 32, {"layers": 4, "strided": 3}),
        ("d", "patchgan", 24, {}),
        ("f", "lenet", 16, {}),
        ("f", "dtn", 8, {}),
        ("f", "convnet", 8, {}),
        ("f", "release_classifier", 31, {}),
    ],
)
def test_the_smallest_size_that_fits_works(kind, name, size, options):
    with META:
        build(kind, name, size=size, **options).eval()(torch.empty(2, 3, size, size))


# timm.


def test_a_timm_resnet_takes_its_own_normalisation_along():
    torch.manual_seed(0)
    net = classifiers["timm"](3, 10, model="resnet18").eval()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    mean, std = (torch.tensor(net.body.pretrained_cfg[k]).reshape(3, 1, 1) for k in ("mean", "std"))
    output = net(images)
    assert output.features.shape == (2, 512)
    assert torch.allclose(output.logits, net.body(((images + 1) / 2 - mean) / std), atol=1e-5)


def test_a_grey_timm_resnet_normalises_by_the_mean_over_colours():
    net = classifiers["timm"](1, 10, model="resnet18")
    assert net.mean.item() == pytest.approx(sum(net.body.pretrained_cfg["mean"]) / 3)
    assert net.body.conv1.in_channels == 1


def test_the_width_of_a_timm_model_is_that_of_its_features():
    # a MobileNet has a layer between its pooling and its scores: num_features is not the feature's width
    with torch.no_grad():
        net = classifiers["timm"](3, 10, model="mobilenetv3_small_050").eval()
        assert net(torch.zeros(1, 3, 32, 32)).features.shape == (1, net.width)


def test_an_unknown_timm_model_is_answered_with_its_neighbour():
    with pytest.raises(CycadaError, match=r"'resnet81'.*Did you mean 'resnet18'"):
        classifiers["timm"](3, 10, model="resnet81")


def test_timm_weights_come_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    trained = timm.create_model("test_resnet", num_classes=10)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    net = classifiers["timm"](3, 10, model="test_resnet", weights=str(tmp_path / "weights.pth"))
    assert all(
        torch.equal(net.body.state_dict()[k], v)
        for k, v in trained.state_dict().items()
        if not k.startswith("fc")
    )


def test_timm_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(CycadaError, match=r"absent\.pth"):
        classifiers["timm"](3, 10, model="test_resnet", weights=str(tmp_path / "absent.pth"))


# Frozen.


@pytest.fixture
def frozen():
    torch.manual_seed(0)
    net = classifiers["convnet"](1, 10, channels=4, width=8)  # batch norm and dropout
    return Frozen(net)


def test_train_does_not_wake_a_frozen_network(frozen):
    parent = nn.ModuleDict({"f_s": frozen})
    parent.train()
    assert frozen.train() is frozen
    assert not any(m.training for m in frozen.modules())


def test_a_frozen_network_refuses_to_learn(frozen):
    assert not any(p.requires_grad for p in frozen.parameters())
    with pytest.raises(RuntimeError, match="frozen"):
        frozen.requires_grad_(True)
    assert frozen.requires_grad_(False) is frozen


def test_nothing_of_a_frozen_network_moves_while_gradient_reaches_its_input(frozen):
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    frozen.train()
    images = torch.randn(4, 1, 16, 16, requires_grad=True)
    frozen(images).logits.square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None for p in frozen.parameters())
    assert all(
        torch.equal(v, before[k]) for k, v in frozen.state_dict().items()
    )  # parameters and batch-norm statistics


def test_a_frozen_network_answers_the_same_twice(frozen):
    images = torch.randn(4, 1, 16, 16)
    assert torch.equal(frozen.train()(images).logits, frozen(images).logits)


def test_the_keys_of_a_frozen_network_are_its_own(frozen):
    fresh = classifiers["convnet"](1, 10, channels=4, width=8)
    assert list(frozen.state_dict()) == list(fresh.state_dict())
    fresh.load_state_dict(frozen.state_dict())
    Frozen(fresh).load_state_dict(frozen.state_dict())
    assert [k.removeprefix("f_s.") for k in nn.ModuleDict({"f_s": frozen}).state_dict()] == list(
        fresh.state_dict()
    )


# Gradient reversal.


def test_gradient_reversal_is_the_identity_whose_gradient_has_the_other_sign():
    x = torch.randn(3, 4, requires_grad=True)
    y = reverse_gradient(x)
    y.square().sum().backward()
    assert torch.equal(y, x)
    assert torch.equal(x.grad, -2 * x)


# The image pool.


class NaivePool:
    """CycleGAN's pool, one image after the other."""

    def __init__(self, size):
        self.size, self.images = size, []

    def query(self, new, swap, place):
        shown = []
        for image, p, at in zip(new, swap, place, strict=True):
            if len(self.images) < self.size:
                self.images.append(image)
                shown.append(image)
            elif p > 0.5:
                shown.append(self.images[at])
                self.images[at] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def numbered(start, n):
    """n images that can be told apart by their value."""
    return torch.arange(start, start + n).float().reshape(n, 1, 1, 1).expand(n, 1, 2, 2).clone()


@pytest.mark.parametrize(("size", "batch"), [(5, 3), (5, 5), (3, 8), (1, 4), (50, 7)])
def test_the_pool_does_what_a_sequential_one_does(size, batch):
    pool, naive = ImagePool(size, (1, 2, 2)), NaivePool(size)
    for step in range(12):
        new = numbered(step * batch, batch)
        torch.manual_seed(step)
        swap, place = torch.rand(batch).tolist(), torch.randint(size, (batch,)).tolist()
        torch.manual_seed(step)
        assert torch.equal(pool(new), naive.query(new, swap, place))


def test_the_pool_survives_a_state_dict():
    pool, resumed = ImagePool(6, (1, 2, 2)), ImagePool(6, (1, 2, 2))
    pool(numbered(0, 4))  # not yet full: the count of images has to survive too
    resumed.load_state_dict(pool.state_dict())
    for step in range(5):
        new = numbered(10 * (step + 1), 4)
        torch.manual_seed(step)
        expected = pool(new)
        torch.manual_seed(step)
        assert torch.equal(resumed(new), expected)


def test_the_state_of_a_pool_is_a_copy_of_its_time():
    pool = ImagePool(4, (1, 2, 2))
    pool(numbered(0, 2))
    state = {k: v.clone() for k, v in pool.state_dict().items()}
    assert state["filled"] == 2
    assert state["images"][:2].flatten(1)[:, 0].tolist() == [0, 1]


def test_a_pool_of_size_0_passes_through_and_draws_nothing():
    new = numbered(0, 3).requires_grad_(True)
    torch.manual_seed(0)
    shown, after = ImagePool(0, (1, 2, 2))(new), torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))
    assert torch.equal(shown, new)
    assert not shown.requires_grad


def test_the_pool_cuts_the_graph_and_keeps_the_precision():
    shown = ImagePool(4, (1, 2, 2))(numbered(0, 3).bfloat16().requires_grad_(True))
    assert shown.dtype == torch.bfloat16
    assert not shown.requires_grad


def test_a_stored_image_does_not_follow_the_tensor_it_came_from():
    pool, new = ImagePool(2, (1, 2, 2)), numbered(0, 2)
    pool(new)
    new.fill_(99)
    assert pool.images.max() == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "size"), [("convnet", {}), ("dtn", {"size": 32})])
def test_how_maps_lie_in_memory_changes_no_answer(name, size, channels):
    torch.manual_seed(0)
    net = classifiers[name](image_channels=channels, classes=5, **size).eval()
    x = torch.randn(4, channels, 32, 32)
    assert net.channels_last
    last = net(x)
    maps = net.encoder[0](to_channels_last(x))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    net.channels_last = False
    first = net(x)
    torch.testing.assert_close(last.features, first.features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(last.logits, first.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 6, 4), (5, 1, 6, 4), (1, 3, 6, 4), (5, 3, 6, 4)])
@pytest.mark.parametrize("step", [1, 2])
def test_images_in_channels_last_are_the_same_images(shape, step):
    x = torch.randn(*shape[:3], step * shape[3])[..., ::step].requires_grad_()
    last = to_channels_last(x)
    assert torch.equal(last, x)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert last.stride(1) == 1
    (gradient,) = torch.autograd.grad(last, x, torch.ones_like(last))
    assert torch.equal(gradient, torch.ones_like(x))


def test_group_norm_makes_a_convnets_maps_independent_of_the_batch():
    net = classifiers["convnet"](3, 10, channels=8, width=16, norm="group").train()
    assert sum(isinstance(m, nn.GroupNorm) for m in net.modules()) == 5
    maps = net.encoder[:15]  # without the linear layer's batch norm
    images = torch.rand(6, 3, 16, 16) * 2 - 1
    together, alone = maps(images), torch.cat([maps(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    layer = maps[1]
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    groups = x.view(2, layer.num_groups, -1)
    expected = (groups - groups.mean(2, keepdim=True)) / (
        groups.var(2, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    assert torch.allclose(layer.double()(x), expected.view_as(x))


@pytest.mark.parametrize(("channels", "groups"), [(24, 8), (12, 4), (6, 2), (7, 1)])
def test_group_norm_takes_groups_that_divide_the_channels(channels, groups):
    layer = norm_layer("group", channels)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == groups
