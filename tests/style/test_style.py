"""Gatys et al.: the losses against naive loops, what their minima are, and the command."""

import itertools
import os

import numpy as np
import pytest
import torch
from helpers.experiments import size_of, tiny_config
from PIL import Image
from torch import nn

from cycada.core.errors import CycadaError
from cycada.networks import classifiers
from cycada.networks import vgg as vgg_file
from cycada.runs.run import run
from cycada.style import Weights, networks, pictures, stylize, usual_layers
from cycada.style.gram import content_loss, gram, style_loss, total_variation
from cycada.style.layers import Activations, find


def small_net():
    """Three named layers at three sizes, seeing a neighbourhood each."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(2),
    )


def picture(seed, height=16, width=24):
    """Smooth enough to be a picture, (1, 3, H, W)."""
    drawn = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return nn.functional.interpolate(drawn, (height, width), mode="bicubic").clamp(-1, 1)


MAPS = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(1, 3, 5, 3, generator=torch.Generator().manual_seed(1))


# The losses.


def naive_gram(maps):
    _, n, h, w = maps.shape
    return [
        [
            sum(maps[0, i, y, x].item() * maps[0, j, y, x].item() for y in range(h) for x in range(w))
            for j in range(n)
        ]
        for i in range(n)
    ]


def test_the_gram_matrix_is_the_naive_sum_over_places():
    assert torch.allclose(gram(MAPS) * 8, torch.tensor(naive_gram(MAPS)), atol=1e-5)
    assert torch.allclose(gram(OTHER) * 15, torch.tensor(naive_gram(OTHER)), atol=1e-5)


def test_the_style_loss_is_the_papers_where_sizes_agree():
    other = OTHER[..., :3, :].reshape(1, 3, 3, 3)
    maps = MAPS.flatten(2).repeat(1, 1, 2)[..., :9].reshape(1, 3, 3, 3)
    one, two = naive_gram(maps), naive_gram(other)
    squares = sum((one[i][j] - two[i][j]) ** 2 for i, j in itertools.product(range(3), repeat=2))
    assert style_loss(maps, gram(other)).item() == pytest.approx(squares / (4 * 3**2 * 9**2), rel=1e-5)


def test_the_style_of_a_picture_is_that_of_two_of_it_in_any_order():
    twice = torch.cat([MAPS, MAPS.flip(-1)], -1)
    assert style_loss(twice, gram(MAPS)).item() == pytest.approx(0, abs=1e-12)
    assert style_loss(MAPS, gram(OTHER)) > 0


def test_the_content_loss_is_half_the_mean_square():
    other = MAPS.flip(-1)
    squares = [(a - b) ** 2 for a, b in zip(MAPS.flatten().tolist(), other.flatten().tolist(), strict=True)]
    assert content_loss(MAPS, other).item() == pytest.approx(sum(squares) / len(squares) / 2)
    assert content_loss(MAPS + 1, MAPS).item() == pytest.approx(0.5)


def test_total_variation_is_the_mean_step_down_plus_across():
    image = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]).expand(1, 3, 2, 3)
    assert total_variation(image).item() == pytest.approx(1.5)
    assert total_variation(torch.ones(1, 3, 1, 1)).item() == 0
    naive = [
        abs((MAPS[0, c, y + 1, x] - MAPS[0, c, y, x]).item())
        for c in range(3)
        for y in range(1)
        for x in range(4)
    ]
    across = [
        abs((MAPS[0, c, y, x + 1] - MAPS[0, c, y, x]).item())
        for c in range(3)
        for y in range(2)
        for x in range(3)
    ]
    assert total_variation(MAPS).item() == pytest.approx(sum(naive) / len(naive) + sum(across) / len(across))


# The optimisation.


def losses_of(**options):
    """-> the image, the losses at every step."""
    rows = []
    image = stylize(
        picture(1),
        picture(2, 20, 20),
        small_net(),
        content_layer="4",
        style_layers=["1", "4", "7"],
        report=lambda step, losses: rows.append((step, dict(losses))),
        **options,
    )
    return image, rows


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_objective_falls_and_pixels_stay_in_their_range(optimizer):
    weights = Weights(content=0.1, total_variation=0.01)
    image, rows = losses_of(optimizer=optimizer, weights=weights, steps=30, start="noise")
    totals = [0.1 * r["content"] + r["style"] + 0.01 * r["total_variation"] for _, r in rows]
    assert [step for step, _ in rows] == list(range(1, 31))
    assert totals[-1] < 0.3 * totals[0]
    assert image.shape == picture(1).shape
    assert image.abs().max() <= 1


def test_content_alone_gives_the_content_back():
    for start in ("noise", "content"):
        image = stylize(
            picture(1),
            picture(2),
            small_net(),
            content_layer="0",
            style_layers=[],
            weights=Weights(1, 0),
            steps=150,
            start=start,
        )
        assert (image - picture(1)).abs().max() < 0.03


def test_style_alone_gives_the_grams_of_the_style():
    net, style = small_net(), picture(2, 20, 20)
    image = stylize(
        picture(1), style, net, style_layers=["1", "4", "7"], weights=Weights(0, 1), steps=200, start="noise"
    )
    with Activations(net, ["1", "4", "7"]) as look, torch.no_grad():
        found, wanted, before = ({n: gram(m) for n, m in look(x).items()} for x in (image, style, picture(1)))
    for name, matrix in wanted.items():
        assert (found[name] - matrix).norm() < 0.05 * (before[name] - matrix).norm()


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_same_call_gives_the_same_image_and_a_seed_another(optimizer):
    one, two, other = (
        losses_of(optimizer=optimizer, steps=5, start="noise", seed=seed)[0] for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_weights_mean_the_same_however_loud_a_layer_is():
    """Ten times as large activations in every layer: the paper scales its network so that their mean is 1."""
    loud = small_net()
    with torch.no_grad():
        for parameter in loud[0].parameters():
            parameter.mul_(10)
    images = [
        stylize(picture(1), picture(2), net, content_layer="1", style_layers=["1"], steps=5, optimizer="adam")
        for net in (small_net(), loud)
    ]
    assert torch.allclose(*images, atol=1e-3)


def test_a_network_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    stylize(picture(1), picture(2), net, content_layer="2", style_layers=["2"], steps=2)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert (net.training, net[0].training, net[1].training) == (True, True, False)
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_it_stops_where_it_is_told(optimizer):
    seen = []
    stylize(
        picture(1),
        picture(2),
        small_net(),
        content_layer="1",
        style_layers=["1"],
        steps=50,
        optimizer=optimizer,
        report=lambda step, losses: seen.append(step) or step == 3,
    )
    assert seen == [1, 2, 3]


# Layers.


def test_layers_are_found_by_path_or_its_end_and_mistakes_are_answered():
    net = nn.ModuleDict(
        {"a": nn.ModuleDict({"x": nn.ReLU(), "y": nn.ReLU()}), "b": nn.ModuleDict({"x": nn.ReLU()})}
    )
    assert find(net, "y") is find(net, "a.y") is net["a"]["y"]
    with pytest.raises(CycadaError, match="2 layers whose paths end with 'x'"):
        find(net, "x")
    with pytest.raises(CycadaError, match=r"no layer 'z'.*a\.x"):
        find(net, "z")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content_layer": "8", "style_layers": ["1"]}, r"'8' gives \(1, 16, 24\)"),
        ({"weights": Weights(0, 0)}, "nothing to optimise"),
        ({"content_layer": "9", "style_layers": ["1"]}, "no layer '9'"),
    ],
)
def test_layers_that_will_not_do_are_refused(options, words):
    with pytest.raises(CycadaError, match=words):
        stylize(picture(1), picture(2), small_net(), steps=1, **options)


def test_a_network_of_one_size_and_a_dead_layer_say_what_to_do():
    lenet = classifiers["lenet"](3, 10, 28)
    with pytest.raises(CycadaError, match=r"does not take pictures of 24 x 16.*Take another size"):
        stylize(picture(1), picture(2), lenet, content_layer="encoder.2", style_layers=["encoder.2"], steps=1)
    dead = small_net()
    nn.init.constant_(dead[0].bias, -100.0)
    with pytest.raises(CycadaError, match="'1' gives nothing but zeros"):
        stylize(picture(1), picture(2), dead, content_layer="1", style_layers=["1"], steps=1)


def test_usual_layers_are_the_first_of_every_size():
    assert usual_layers(small_net(), picture(1)) == ("4", ["1", "4", "7"])
    segmenter = classifiers["small_segmenter"](3, 4, channels=4, width=8).eval()
    content, style = usual_layers(segmenter, picture(1))
    with Activations(segmenter, [content, *style]) as look:
        sizes = [maps.shape[-1] for maps in look(picture(1)).values()]
    assert sorted(set(sizes), reverse=True) == [12, 6, 3]


# The command.


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Two pictures and a narrow VGG-19's file."""
    monkeypatch.setattr(vgg_file, "WIDTHS", (4, 4, 4, 4, 4))
    torch.manual_seed(0)
    net = classifiers["vgg19_features"](3, 32, layer="relu5_1", weights="random")
    back = {name: key for key, name in net.order.items()}
    torch.save(
        {f"{back[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in net.body.state_dict().items()},
        tmp_path / "vgg19.pth",
    )
    for name, seed, size in (("content", 1, (36, 60)), ("style", 2, (50, 50))):
        pictures.write(tmp_path / f"{name}.png", picture(seed, *size))
    return tmp_path


def call(cycada, shop, *words, out="out.png", content="content.png"):
    return cycada("style", shop / content, shop / "style.png", shop / out, "--size", 40, "--steps", 3, *words)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--optimizer", "adam", "--start", "noise", "--total-variation", "0.1"),
        ("--style-layers", "relu1_1, relu2_1,"),
    ],
)
def test_the_command_writes_a_picture_of_the_contents_aspect(cycada, shop, words):
    code, out, err = call(cycada, shop, "--weights", shop / "vgg19.pth", *words, out="new/out.png")
    assert (code, "Traceback" in err) == (0, False)
    assert size_of(shop / "new" / "out.png") == (40, 24)
    assert "40 x 24" in out
    assert "step 3 of 3: content" in err
    assert [p.name for p in (shop / "new").iterdir()] == ["out.png"]


def test_a_runs_task_network_serves_where_there_is_no_vgg(cycada, shop):
    for channels, name in ((3, "colour"), (1, "grey")):
        stages = {"source": {"method": "source_only", "steps": 1}}
        run(
            tiny_config(
                stages, data={"channels": channels}, results=str(shop / name), logging={"evaluate_every": 1}
            )
        )
    (colour, grey) = (next((shop / name / "runs").glob("*/")) for name in ("colour", "grey"))
    code, out, _ = call(cycada, shop, "--run", colour)
    assert code == 0
    assert "Style: encoder." in out
    assert size_of(shop / "out.png") == (40, 24)
    for words, said in (
        ((grey,), "see grey images"),
        ((colour, "--role", "g_st"), "no task network 'g_st'"),
        ((colour, "--weights", "vgg19.pth"), "found --weights beside it"),
    ):
        code, _, err = call(cycada, shop, "--run", *words)
        assert (code, "Traceback" in err) == (2, False)
        assert said in " ".join(err.split())


@pytest.mark.parametrize(
    ("words", "change", "said"),
    [
        ((), {}, "download.pytorch.org"),
        (("--weights", "absent.pth"), {}, "no file absent.pth"),
        (("--weights", "W", "--style-layers", "relu9_1"), {}, "'relu9_1'"),
        (("--weights", "W"), {"out": "out.txt"}, "'.txt'"),
        (("--weights", "W"), {"out": "out.psd"}, "'.psd'"),
        (("--weights", "W"), {"content": "absent.png"}, "no such picture"),
        (("--weights", "W"), {"content": "vgg19.pth"}, "not a readable image"),
    ],
)
def test_mistakes_end_with_a_sentence(cycada, shop, words, change, said):
    code, _, err = call(cycada, shop, *(shop / "vgg19.pth" if w == "W" else w for w in words), **change)
    assert (code, "Traceback" in err) == (2, False)
    assert said in " ".join(err.split())


def test_the_deepest_layer_is_as_deep_as_the_network_is_built(shop):
    net = networks.vgg("vgg19", shop / "vgg19.pth", False, ["relu2_1", "body.relu3_2"], 40)
    assert [*dict(net.body.named_children())][-1] == "relu3_2"


def test_files_are_read_upright_and_scaled_by_their_longer_side(tmp_path):
    array = np.zeros((40, 80, 3), np.uint8)
    array[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(array).save(tmp_path / "turned.jpg", exif=exif)
    image = pictures.read(tmp_path / "turned.jpg", 32)
    assert image.shape == (1, 3, 32, 16)
    assert image[0, 0, 2, 8] > 0.9
    assert image[0, 0, -3, 8] < -0.9
    deep = Image.fromarray(np.full((20, 20), 32768, np.uint16))
    deep.save(tmp_path / "deep.png")
    assert pictures.read(tmp_path / "deep.png", None).mean().abs() < 0.01


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_only_a_picture_of_the_same_command_is_replaced(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.new("RGB", (20, 20)).save(file)
    with pytest.raises(CycadaError, match="nothing in it says that cycada style wrote it"):
        pictures.check_out(file)
    pictures.write(file, torch.zeros(1, 3, 20, 20))
    pictures.check_out(file)
    with pytest.raises(CycadaError, match="cycada data check"):
        pictures.check_out(file, "cycada data check")


def test_what_is_written_is_what_is_read(tmp_path):
    image = (torch.randint(0, 256, (1, 3, 20, 30)) / 127.5 - 1).float()
    pictures.write(tmp_path / "a.png", image)
    assert torch.allclose(pictures.read(tmp_path / "a.png", None), image, atol=1e-6)
    assert os.listdir(tmp_path) == ["a.png"]
