"""VGG as features: torchvision's own numbers at a layer, weights from a file or refused, and what a
translation may be held to."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from cycada.core.errors import CycadaError
from cycada.networks import classifiers, vgg
from cycada.networks.segmentation import IMAGENET

IMAGES = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1
MODELS = ("vgg16", "vgg19")


def test_the_layers_are_as_wide_as_torchvisions():
    with torch.device("meta"):
        net = torchvision.models.vgg19()
    shapes = [tuple(p.shape) for p in net.features.parameters()]
    with torch.device("meta"):
        ours = classifiers["vgg19_features"](3, 32, layer="relu5_4", weights="random")
    assert [tuple(p.shape) for p in ours.body.parameters()] == shapes


@pytest.fixture(scope="module")
def narrow():
    """torchvision's layers at a sixteenth of their width, so that nothing is heavy: -> name -> its
    `features`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "WIDTHS", tuple(w // 16 for w in vgg.WIDTHS))
        torch.manual_seed(0)
        found = {}
        for name, letter in zip(MODELS, "DE", strict=True):
            layers = [w if w == "M" else w // 16 for w in torchvision.models.vgg.cfgs[letter]]
            found[name] = torchvision.models.vgg.make_layers(layers)
            for layer in found[name]:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)
        yield found


def build(name, **options):
    return classifiers[f"{name}_features"](3, 32, **options).eval()


def whole(features):
    """The state dict of a whole model."""
    return {f"features.{k}": v for k, v in features.state_dict().items()} | {
        "classifier.0.weight": torch.zeros(2, 2)
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("layer", "behind"), [("relu1_1", 2), ("relu2_2", 9), ("relu4_2", {"vgg16": 21, "vgg19": 23})]
)
def test_the_features_are_torchvisions_of_normalised_images(narrow, name, layer, behind, tmp_path):
    torch.save(whole(narrow[name]), tmp_path / "whole.pth")
    net = build(name, layer=layer, weights=str(tmp_path / "whole.pth"))
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in IMAGENET)
    end = behind if isinstance(behind, int) else behind[name]
    expected = narrow[name][:end](((IMAGES + 1) / 2 - mean) / std)
    output = net(IMAGES)
    assert torch.allclose(output.features, expected, atol=1e-5)
    assert output.features.shape[1] == net.width
    assert output.logits.shape == (2, 0)


def test_a_file_of_the_features_alone_will_do_and_grey_is_three_equal_colours(narrow, tmp_path):
    save_file(
        {k: v for k, v in whole(narrow["vgg16"]).items() if k.startswith("features")},
        tmp_path / "features.safetensors",
    )
    net = build("vgg16", weights=str(tmp_path / "features.safetensors"))
    grey = IMAGES[:, :1]
    assert torch.equal(net(grey).features, net(grey.expand(-1, 3, -1, -1)).features)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "features.2.bias"}, r"lacks conv1_2\.bias"),
        (
            lambda w: w | {"layer1.0.weight": torch.zeros(1)},
            r"not a state dict of torchvision's vgg16; it has 'layer1",
        ),
        (lambda w: w | {"features.0.weight": torch.zeros(1)}, "does not fit"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(narrow, change, words, tmp_path):
    torch.save(change(whole(narrow["vgg16"])), tmp_path / "w.pth")
    with pytest.raises(CycadaError, match=words):
        build("vgg16", weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "weights: FILE"),
        ({"weights": "absent.pth"}, r"no file absent\.pth"),
        ({"weights": "random", "layer": "relu4_4"}, r"'relu4_4'.*Did you mean"),
    ],
)
def test_what_is_missing_is_said(narrow, options, words):
    with pytest.raises(CycadaError, match=words):
        build("vgg16", **options)


def test_images_that_would_vanish_are_refused(narrow):
    with pytest.raises(CycadaError, match="at least 16"):
        classifiers["vgg19_features"](3, 15, layer="relu5_1", weights="random")


def test_a_download_that_fails_says_where_to_get_the_file(narrow, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models.VGG19_Weights, "get_state_dict", refuse)
    with pytest.raises(CycadaError, match=r"no route to host.*https://download\.pytorch\.org.*weights: FILE"):
        build("vgg19", pretrained=True)


def test_the_gradient_reaches_the_images_and_averages_may_replace_maxima(narrow):
    net = build("vgg19", weights="random", pooling="average")
    assert not [m for m in net.modules() if isinstance(m, nn.MaxPool2d)]
    images = IMAGES.clone().requires_grad_(True)
    net(images).features.square().mean().backward()
    assert images.grad.abs().sum() > 0
