"""Segmenters and spatial critics: published sizes, any image, weights of others, checkpointing, gates on
maps."""

import copy
from itertools import pairwise
from types import SimpleNamespace

import pytest
import timm
import torch
import torch.nn.functional as F
from helpers.experiments import SEGMENTERS, SPATIAL_CRITICS
from safetensors.torch import save_file
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE, Output
from cycada.methods.adda import AddaOptions, DomainDiscriminatorTensors
from cycada.methods.cycada import PixelOptions, PixelTensors
from cycada.networks import Frozen, classifiers, feature_discriminators
from cycada.networks.fcn8s import Enlarge
from cycada.networks.segmentation import Normalise

META = torch.device("meta")
K = 5
TINY = {
    "fcn8s": {"width": 8},
    "drn26": {},
    "segmenter": {"model": "test_resnet", "width": 8},
    "small_segmenter": {"channels": 4, "width": 8},
}


def build(name, image_channels=3, classes=K, **options):
    torch.manual_seed(0)
    return classifiers[name](image_channels, classes, **TINY[name] | options)


def images(n=2, channels=3, height=33, width=47):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def count(net):
    return sum(p.numel() for p in net.parameters())


def conv(into, out, kernel, bias=True):
    return out * (into * kernel**2 + bias)


def normed(into, out, kernel):
    """A convolution without bias and its batch norm."""
    return conv(into, out, kernel, bias=False) + 2 * out


# Published sizes.


def test_fcn8s_has_the_parameters_of_vgg16_and_its_head():
    with META:
        net = classifiers["fcn8s"](3, 19)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    vgg = sum(conv(a, b, 3) for a, b in pairwise(widths))
    assert vgg == 14_714_688
    head = conv(512, 4096, 7) + conv(4096, 4096, 1) + conv(4096, 19, 1)
    assert count(net) == vgg + head + conv(512, 19, 1) + conv(256, 19, 1) == 134_353_017
    assert net.width == 4096


def test_drn26_has_the_published_number_of_parameters():
    with META:
        net = classifiers["drn26"](3, 1000)
        assert net(torch.empty(2, 3, 64, 96)).features.shape == (2, 512, 8, 12)
    c = (16, 32, 64, 128, 256, 512, 512, 512)
    blocks = (1, 1, 2, 2, 2, 2, 1, 1)
    total = normed(3, 16, 7) + conv(512, 1000, 1)
    for into, out, n in zip((16, *c), c, blocks, strict=False):
        total += (
            normed(into, out, 3)
            + (2 * n - 1) * normed(out, out, 3)
            + (normed(into, out, 1) if into != out else 0)
        )
    assert count(net) == total == 21_126_584


def test_drn26_dilates_its_last_levels_and_smooths_them():
    encoder = build("drn26").encoder
    found = [
        [
            m.dilation[0]
            for m in encoder.get_submodule(f"layer{i}").modules()
            if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)
        ]
        for i in range(1, 9)
    ]
    assert found == [[1] * 2, [1] * 2, [1] * 4, [1] * 4, [2] * 4, [4] * 4, [2] * 2, [1] * 2]
    assert not any(block.shortcut for i in (7, 8) for block in encoder.get_submodule(f"layer{i}"))


def test_the_small_segmenter_is_small():
    with META:
        assert 300_000 < count(classifiers["small_segmenter"](3, 11)) < 450_000


def test_group_norm_makes_the_small_segmenter_independent_of_the_batch():
    net = build("small_segmenter", channels=8, width=16, dropout=0.0, norm="group").train()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    images = torch.rand(3, 3, 24, 32) * 2 - 1
    together, alone = net(images).logits, torch.cat([net(image[None]).logits for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_deeplabv3plus_has_the_parameters_of_its_paper():
    with META:
        body = timm.create_model("resnet18", features_only=True)
        net = classifiers["segmenter"](3, 19, model="resnet18")
    pyramid = normed(512, 256, 1) + 3 * normed(512, 256, 3) + conv(512, 256, 1) + normed(5 * 256, 256, 1)
    decoder = normed(64, 48, 1) + normed(256 + 48, 256, 3) + normed(256, 256, 3) + conv(256, 19, 1)
    assert count(net) == count(body) + pyramid + decoder


@pytest.mark.parametrize(("stride", "dilations"), [(16, {1, 6, 12, 18}), (8, {1, 12, 24, 36})])
def test_the_pyramid_dilates_with_the_stride(stride, dilations):
    pyramid = build("segmenter", output_stride=stride).encoder.pyramid
    assert {m.dilation[0] for m in pyramid.branches.modules() if isinstance(m, nn.Conv2d)} == dilations


def test_deeplabv2_has_the_parameters_of_resnet101_and_its_four_branches():
    with META:
        net = classifiers["segmenter"](3, 19, model="resnet101", head="deeplabv2", output_stride=8)
        features, logits = net(torch.empty(2, 3, 65, 129))
    assert count(net) == 42_500_160 + 4 * conv(2048, 19, 3)  # ResNet-101 without its last layer
    assert (features.shape, logits.shape) == ((2, 2048, 9, 17), (2, 19, 65, 129))
    assert [b.dilation[0] for b in net.head.branches] == [6, 12, 18, 24]
    net = build("segmenter", head="deeplabv2", output_stride=8).eval()
    with torch.no_grad():
        features = net.encoder(images())
        assert torch.allclose(net.head(features), sum(b(features) for b in net.head.branches), atol=1e-6)
    assert [b.dilation[0] for b in build("segmenter", head="deeplabv2").head.branches] == [3, 6, 9, 12]


# What every segmenter promises.


def test_every_segmenter_is_tested_here():
    assert set(TINY) == SEGMENTERS <= set(classifiers)
    assert set(feature_discriminators) >= SPATIAL_CRITICS


@pytest.mark.parametrize("size", [(33, 47), (47, 33), (64, 32)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_every_segmenter_names_every_pixel(name, channels, size):
    with META:
        net = build(name, channels)
        features, logits = net(torch.empty(2, channels, *size))
    assert logits.shape == (2, K, *size)
    assert features.dim() == 4
    assert features.shape[:2] == (2, net.width)


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_every_segmenter_learns_from_one_image(name):
    net, x = build(name), images(1)
    logits = net(x).logits
    F.cross_entropy(logits, torch.randint(K, (1, 33, 47))).backward()
    assert logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_a_frozen_segmenter_lets_gradient_through_to_its_image(name):
    x = images(1, 1).requires_grad_(True)
    Frozen(build(name, 1)).train()(x).logits.square().mean().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("name", sorted(SEGMENTERS - {"small_segmenter"}))
def test_grey_is_seen_as_three_equal_colours(name):
    grey, colour = build(name, 1).eval(), build(name, 3).eval()
    x = images(1, 1)
    with torch.no_grad():
        assert torch.equal(grey(x).logits, colour(x.expand(-1, 3, -1, -1)).logits)


def test_normalisation_is_that_of_the_colours():
    x = images()
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    out, turned = Normalise(mean, std)(x), Normalise(mean, std, bgr=True)(x)
    for c in range(3):
        assert torch.allclose(out[:, c], ((x[:, c] + 1) / 2 - mean[c]) / std[c])
        assert torch.equal(turned[:, 2 - c], out[:, c])


def test_caffe_means_are_subtracted_from_bytes():
    net = build("fcn8s", normalisation="caffe")
    red = torch.tensor([[1.0, -1.0, -1.0]]).reshape(1, 3, 1, 1)
    assert net.normalise(red).flatten().tolist() == pytest.approx(
        [-103.939, -116.779, 255 - 123.68], abs=2e-2
    )


def test_the_small_segmenter_learns_to_tell_colours():
    torch.manual_seed(0)
    net = build("small_segmenter", channels=8, width=16, dropout=0.0)
    palette = torch.rand(K, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        label = torch.randint(K, (4, 4, 5)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        x = palette[label].movedim(-1, 1) + 0.1 * torch.randn(4, 3, 32, 40)
        logits = net(x).logits
        optimizer.zero_grad()
        F.cross_entropy(logits, label).backward()
        optimizer.step()
    assert (logits.argmax(1) == label).float().mean() > 0.8  # contours are at a quarter of the size


# FCN8s.


def test_enlargement_is_bilinear():
    # h -> (h + 1) factor; in the middle a linear ramp goes on being one
    x = torch.arange(6.0).expand(1, 1, 6, 6)
    for factor in (2, 8):
        out = Enlarge(factor)(x)
        assert out.shape[-2:] == (7 * factor, 7 * factor)
        inner = out[0, 0, 3 * factor, factor : -2 * factor]
        assert torch.allclose(inner.diff(), torch.full_like(inner[1:], 1 / factor), atol=1e-5)


def test_fcn8s_commutes_with_flips():
    # 26 + 198 = 7 x 32: nothing is rounded, so that a network with mirrored kernels mirrors its answer, if
    # and only if all
    # three crops are centred
    net = build("fcn8s").eval()
    x = images(1, height=26, width=26)
    with torch.no_grad():
        assert not net.score_pool3.weight.any()  # the skips start at nothing
        assert not net.score_pool4.weight.any()
        deep = net(x).logits
        net.score_pool3.weight.normal_(0, 1e3)
        net.score_pool4.weight.normal_(0, 10)
        whole = net(x).logits
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(module.weight.flip(2, 3))
        turned = net(x.flip(2, 3)).logits.flip(2, 3)
    assert (whole - deep).std() > 0.1 * deep.std()
    assert torch.allclose(turned, whole, rtol=1e-3, atol=1e-3 * whole.abs().max().item())


def test_fcn8s_of_full_width_answers():
    net = classifiers["fcn8s"](3, K).eval()
    with torch.no_grad():
        features, logits = net(images(1, height=9, width=11))
    assert features.shape == (1, 4096, 1, 1)
    assert logits.shape == (1, K, 9, 11)
    assert logits.isfinite().all()


def random_like(net):
    torch.manual_seed(2)
    return {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in net.state_dict().items()}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A file as the release saves an FCN8s: (path, its tensors)."""
    with torch.random.fork_rng():
        found = {k: v for k, v in random_like(build("fcn8s")).items() if not k.startswith("normalise")}
    constants = {f"{name}.w": torch.zeros(K, K, 4, 4) for name in ("upscore2", "upscore_pool4", "upscore8")}
    path = tmp_path_factory.mktemp("weights") / "fcn8s.pth"
    torch.save(found | constants, path)
    return path, found


def test_all_of_a_released_fcn8s_is_loaded_its_skips_too(released):
    path, found = released
    own = build("fcn8s", weights=str(path)).state_dict()
    assert {"score_pool3.weight", "score_pool4.bias", "vgg_head.6.weight"} <= set(found)
    assert all(torch.equal(own[k], v) for k, v in found.items())


def test_a_released_fcn8s_of_other_classes_or_without_its_skips_is_refused(released, tmp_path):
    path, found = released
    with pytest.raises(CycadaError, match=r"fcn8s\.pth does not fit"):
        build("fcn8s", classes=K + 1, weights=str(path))
    torch.save({k: v for k, v in found.items() if not k.startswith("score_pool3")}, tmp_path / "part.pth")
    with pytest.raises(CycadaError, match=r"part\.pth lacks weight, bias"):
        build("fcn8s", weights=str(tmp_path / "part.pth"))


def test_vgg16_of_torchvision_becomes_convolutions(released, tmp_path):
    _, found = released
    torchvision = {k.replace("vgg.", "features."): v for k, v in found.items() if k.startswith("vgg.")}
    flat = torch.randn(8, 512 * 7 * 7)
    torchvision |= {
        "classifier.0.weight": flat,
        "classifier.0.bias": torch.randn(8),
        "classifier.3.weight": torch.randn(8, 8),
        "classifier.3.bias": torch.randn(8),
        "classifier.6.weight": torch.randn(1000, 8),
    }
    save_file(torchvision, tmp_path / "vgg16.safetensors")
    net = build("fcn8s", weights=str(tmp_path / "vgg16.safetensors"))
    assert torch.equal(net.vgg[28].weight, found["vgg.28.weight"])
    x = torch.randn(1, 512, 7, 7)
    assert torch.allclose(
        net.vgg_head[0](x).flatten(), F.linear(x.flatten(), flat, torchvision["classifier.0.bias"]), atol=1e-3
    )
    assert not net.score_pool4.weight.any()
    with pytest.raises(CycadaError, match=r"classifier\.0 .* width 16"):
        build("fcn8s", width=16, weights=str(tmp_path / "vgg16.safetensors"))


@pytest.mark.parametrize("name", ["fcn8s", "drn26"])
def test_weights_that_are_none_are_named(name, tmp_path):
    with pytest.raises(CycadaError, match=r"no file .*absent\.pth"):
        build(name, weights=str(tmp_path / "absent.pth"))
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(CycadaError, match=r"cannot read .*broken\.pth"):
        build(name, weights=str(tmp_path / "broken.pth"))
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CycadaError, match=r"other\.pth"):
        build(name, weights=str(tmp_path / "other.pth"))


# DRN-26.


def released_drn(classes):
    """As the release's files: without the count of batches, which is younger than they are."""
    net = build("drn26", classes=classes)
    names = {f"encoder.{k}": k for k in net.encoder.state_dict()} | {
        "head.weight": "fc.weight",
        "head.bias": "fc.bias",
    }
    return {
        new: v
        for old, v in random_like(net).items()
        if not (new := names[old]).startswith("normalise") and v.is_floating_point()
    }


def test_drn26_loads_all_of_a_released_file(tmp_path):
    found = released_drn(K)
    torch.save(found, tmp_path / "drn.pth")
    net = build("drn26", weights=str(tmp_path / "drn.pth"))
    own = net.encoder.state_dict() | {f"fc.{k}": v for k, v in net.head.state_dict().items()}
    assert all(torch.equal(own[k], v) for k, v in found.items())
    with pytest.raises(CycadaError, match=r"drn\.pth does not fit"):
        build("drn26", classes=K + 1, weights=str(tmp_path / "drn.pth"))


def test_drn26_of_imagenet_brings_all_but_its_head(tmp_path):
    found = released_drn(1000)
    torch.save(found, tmp_path / "imagenet.pth")
    net = build("drn26", weights=str(tmp_path / "imagenet.pth"))
    assert torch.equal(net.encoder.layer8[0].conv2.weight, found["layer8.0.conv2.weight"])
    assert net.head.weight.shape == (K, 512, 1, 1)


# Any timm backbone.


@pytest.mark.parametrize("head", ["fcn", "deeplabv3plus"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "convnext_atto"])
def test_backbones_of_either_stride(model, stride, head):
    with META:
        net = build("segmenter", model=model, head=head, output_stride=stride)
        features, logits = net(torch.empty(2, 3, 64, 96))
    at = stride if head == "fcn" else 4
    assert features.shape == (2, 8, 64 // at, 96 // at)
    assert logits.shape == (2, K, 64, 96)


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "vgg11", "swin_tiny_patch4_window7_224"])
def test_a_backbone_that_cannot_be_dilated_is_refused(model):
    with META, pytest.raises(CycadaError, match=f"'{model}'.*output_stride 16"):
        build("segmenter", model=model)


def test_an_unknown_backbone_is_answered_with_its_neighbour():
    with pytest.raises(CycadaError, match=r"'resnet81'.*Did you mean 'resnet18'"):
        build("segmenter", model="resnet81")


def test_backbone_weights_come_from_a_local_file_of_a_classifier(tmp_path):
    trained = timm.create_model("test_resnet", num_classes=10)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    body = build("segmenter", weights=str(tmp_path / "weights.pth")).encoder.backbone.body
    assert all(torch.equal(trained.state_dict()[k], v) for k, v in body.state_dict().items())
    with pytest.raises(CycadaError, match=r"absent\.pth"):
        build("segmenter", weights=str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("name", ["drn26", "segmenter"])
def test_frozen_statistics_stay_while_weights_learn(name):
    net = build(name, frozen_norm=True).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net(images()).logits.square().mean().backward()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is not None for p in net.parameters())


# Gradient checkpointing.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcn8s", {}),
        ("drn26", {}),
        ("segmenter", {}),
        ("segmenter", {"head": "fcn"}),
        ("segmenter", {"model": "test_efficientnet"}),
    ],
)
def test_checkpointing_changes_memory_and_no_number(name, options):
    plain, saving = build(name, **options), build(name, **options, checkpointing=True)
    sizes = [(1, 9, 11)] if name == "fcn8s" else [(2, 33, 47), (2, 20, 30)]
    results = []
    for net in (plain, copy.deepcopy(saving)):  # as a moving average copies it
        torch.manual_seed(3)  # dropout
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t
        ):
            loss = sum(net(images(n, 3, *size)).logits.square().mean() for n, *size in sizes)
        loss.backward()
        results.append((loss, {k: p.grad for k, p in net.named_parameters()}, net.state_dict(), sum(kept)))
    (one, gradients, state, memory), (other, other_gradients, other_state, less) = results
    assert torch.equal(one, other)
    assert all(torch.allclose(g, other_gradients[k], rtol=1e-4, atol=1e-6) for k, g in gradients.items())
    assert all(
        torch.equal(v, other_state[k]) for k, v in state.items()
    )  # batch norm has counted every batch once
    assert less < memory


# Spatial critics.


def test_the_pixel_critic_of_the_release():
    with META:
        scores, features = feature_discriminators["pixel_mlp"](19), feature_discriminators["pixel_mlp"](4096)
        assert scores(torch.empty(2, 19, 7, 9)).shape == (2, 2, 7, 9)
    assert count(scores) == conv(19, 512, 1) + conv(512, 256, 1) + conv(256, 2, 1)
    assert count(features) == conv(4096, 1024, 1) + conv(1024, 512, 1) + conv(512, 2, 1)


def test_the_pixel_critic_judges_every_place_alone():
    net = feature_discriminators["pixel_mlp"](3).eval()
    x = torch.randn(2, 3, 4, 5)
    with torch.no_grad():
        assert torch.allclose(net(x)[:, :, 1:2, 2:3], net(x[:, :, 1:2, 2:3]), atol=1e-6)


def test_the_patch_critic_of_advent():
    with META:
        net = feature_discriminators["patch"](19)
        assert net(torch.empty(2, 19, 64, 129)).shape == (2, 2, 2, 4)
    widths = [19, 64, 128, 256, 512, 2]
    assert count(net) == sum(conv(a, b, 4) for a, b in pairwise(widths))


def test_a_map_too_small_for_patches_is_refused_with_advice():
    net = feature_discriminators["patch"](3, layers=2, channels=4)
    assert net(torch.zeros(1, 3, 8, 9)).shape == (1, 2, 1, 1)
    with pytest.raises(CycadaError, match=r"at least 8 x 8.*\[7, 9\].*layers"):
        net(torch.zeros(1, 3, 7, 9))


# Gates.


class Answers(DomainDiscriminatorTensors):
    """StepTensors whose networks have already answered."""

    def __init__(self, options, source, target):
        super().__init__(None, SimpleNamespace(real_s=source), options)
        self.domain_logits_source, self.domain_logits_target = source, target


@pytest.mark.parametrize(("gate", "open_"), [(0.6, 1.0), (0.7, 0.0)])
def test_the_feature_gate_reads_maps(gate, open_):
    # right on 3 of 4 places of the source, on 4 of 8 of the target: 0.625
    source = torch.stack([torch.zeros(1, 2, 2), torch.tensor([[[1.0, 1.0], [1.0, -1.0]]])], 1)
    target = torch.stack([torch.zeros(1, 2, 4), torch.tensor([[[1.0] * 4, [-1.0] * 4]])], 1)
    assert Answers(AddaOptions(gate=gate), source, target).feature_gate.item() == open_


@pytest.mark.parametrize(
    ("labels", "open_"), [([1, IGNORE, IGNORE], 1.0), ([0, 1, IGNORE], 0.0), ([IGNORE] * 3, 1.0)]
)
def test_the_semantic_gate_looks_at_labelled_pixels(labels, open_):
    logits = torch.tensor([[0.0, 9.0, 0.0]]).reshape(1, 3, 1, 1).expand(1, 3, 1, 3)
    batch = SimpleNamespace(real_s=torch.zeros(1, 1, 1, 3), label_s=torch.tensor([[labels]]).reshape(1, 1, 3))
    nets = SimpleNamespace(f_s=lambda _: Output(logits, logits))
    assert PixelTensors(nets, batch, PixelOptions(semantic_gate=1.0)).semantic_gate.item() == open_
