"""CycleGAN's rivals and its ablation: who sees what and learns from it, CoGAN's inversion, presets and
published sizes."""

from collections import Counter
from dataclasses import replace

import pytest
import timm
import torch
from helpers.experiments import DRAWN, tiny_config
from helpers.paths import ROOT
from helpers.training import bytes_of, same, training
from PIL import Image
from torch import nn

from cycada.config.schema import parse
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import merge, read
from cycada.evaluation.predict import eval_mode
from cycada.losses import losses
from cycada.methods import methods
from cycada.methods.cogan import CoganOptions, invert
from cycada.networks import NOISE, discriminators, generators, pair_discriminators, pair_generators
from cycada.networks.deep_coupled import widths_of
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.train.device import Device
from cycada.train.loop import train

pytestmark = pytest.mark.trains

PRESETS = ROOT / "configs/translation"
COGAN = {
    "method": "cogan",
    "losses": {"task_source": 0},
    "networks": {"pair_g": {"name": "dcgan", "channels": 4}, "pair_d": {"name": "dcgan", "channels": 4}},
}


def drawn(stage, **over):
    """An experiment of one stage on drawn streets, 16 x 32: (config, plan, training)."""
    config = tiny_config({"it": stage}, **merge(DRAWN, over))
    (it,), device = plan(config), Device.find("cpu")
    return config, it, build_training(config, it, load_datasets(config, [it], device), device, {})


@pytest.mark.parametrize("mode", ["lsgan", "vanilla", "hinge"])
def test_bigans_generators_pull_against_their_discriminator(mode):
    """Each generator moves its score the other way than the discriminator does."""
    t, s = torch.tensor([[0.4]], requires_grad=True), torch.tensor([[0.6]], requires_grad=True)
    wants = torch.autograd.grad(losses["discriminate_joint"](t, s, mode=mode), (t, s))
    theirs = torch.autograd.grad(
        losses["gan_joint_t"](t, mode=mode) + losses["gan_joint_s"](s, mode=mode), (t, s)
    )
    assert all(a.item() * b.item() < 0 for a, b in zip(wants, theirs, strict=True))


# Who sees what.


@pytest.mark.parametrize(("method", "role"), [("pix2pix", "d_pair"), ("bigan", "d_pair"), ("simgan", "d_t")])
def test_a_discriminator_of_pairs_has_twice_the_channels(method, role):
    t = training(method)
    images = t.batch(0).real_s
    into = next(m for m in t.nets.get_submodule(role).modules() if isinstance(m, nn.Conv2d)).in_channels
    assert into == images.shape[1] * (2 if role == "d_pair" else 1)
    assert all(
        pool.images.shape[1] == into for name, pool in t.nets.named_children() if name.startswith("pool")
    )


def test_pix2pix_judges_the_truth_against_its_translation_beside_the_same_image():
    t = training("pix2pix")
    tensors = t.tensors(t.nets, t.batch(0), t.options)
    seen = []
    t.nets.d_pair.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert tensors.d_pair_logits_real.shape == tensors.d_pair_logits_fake.shape
    (real, fake), channels = seen, tensors.real_s.shape[1]
    assert torch.equal(real[:, :channels], tensors.real_s)
    assert torch.equal(fake[:, :channels], tensors.real_s)
    assert torch.equal(real[:, channels:], t.batch(0).pair_t)
    assert torch.equal(fake[:, channels:], t.nets.g_st(tensors.real_s))


def test_pix2pix_learns_a_change_of_light_and_l1_alone_has_no_discriminator():
    config = {"optimizer": {"lr": 0.01}, "steps": 40, "losses": {"gan_pair": 0}}
    t = training("pix2pix", **config)
    assert set(dict(t.nets.named_children())) == {"g_st"}
    t.batch = lambda step, draw=t.batch: replace(b := draw(step), pair_t=0.5 * b.real_s - 0.25)
    reports = list(train(t, report_every=10, gradients=False))
    assert reports[-1].values["loss/pixel_t"] < 0.75 * reports[0].values["loss/pixel_t"]


def test_bigan_judges_source_looking_before_target_looking_images():
    t = training("bigan")
    tensors = t.tensors(t.nets, t.batch(0), t.options)
    c = tensors.real_s.shape[1]
    assert torch.equal(tensors.joint_t[:, :c], tensors.real_s)
    assert torch.equal(tensors.joint_t[:, c:], t.nets.g_st(tensors.real_s))
    assert torch.equal(tensors.joint_s[:, :c], t.nets.g_ts(tensors.real_t))
    assert torch.equal(tensors.joint_s[:, c:], tensors.real_t)


# Repeating a generator's phase (SimGAN, algorithm 1).


def test_a_generator_that_comes_again_translates_again_and_the_discriminator_sees_the_last():
    t = training("simgan", repeat={"generators": 3})
    calls, seen = Counter(), []
    for role in ("g_st", "d_t", "pool_t"):
        t.nets.get_submodule(role).register_forward_hook(lambda *_, role=role: calls.update([role]))
    t.nets.g_st.register_forward_hook(lambda *a: seen.append(a[2].detach().clone()))
    t.nets.pool_t.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    next(train(t, report_every=1))
    assert calls == {"g_st": 3, "d_t": 3 + 2, "pool_t": 1}
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert next(iter(t.phases[0].optimizer.state.values()))["step"].item() == 3


def test_a_discriminator_that_comes_again_takes_the_same_images_from_the_pool():
    t = training("simgan", repeat={"discriminators": 2})
    calls = Counter()
    for role in ("g_st", "d_t", "pool_t"):
        t.nets.get_submodule(role).register_forward_hook(lambda *_, role=role: calls.update([role]))
    next(train(t, report_every=1))
    assert calls == {"g_st": 1, "d_t": 1 + 4, "pool_t": 1}


# Feature loss + GAN: what counts as a trained network.


def test_feature_gan_starts_from_a_stage_or_from_weights_in_a_file(tmp_path):
    with pytest.raises(CycadaError, match=r"'f_s' is frozen.*file of weights"):
        plan(tiny_config({"it": {"method": "feature_gan"}}))
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "w.pth")
    spec = {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / "w.pth")}
    _, it, t = drawn({"method": "feature_gan", "networks": {"f_s": spec}})
    assert it.frozen == ("f_s",)
    before = bytes_of(t.nets.f_s)
    assert list(train(t, report_every=1))[-1].values["loss/feature_distance"] > 0
    assert same(before, t.nets.f_s.state_dict())


def test_pretrained_weights_are_no_start_for_a_network_whose_answers_count(tmp_path):
    spec = {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / "w.pth")}
    with pytest.raises(CycadaError, match=r"'f_s' is frozen"):
        plan(tiny_config({"it": {"method": "cycada_pixel", "networks": {"f_s": spec}}}))


# The paper's ablation is weights alone.

ABLATION = [
    ("gan_alone", {"g_st": 1, "g_ts": 1, "d_s": 3, "d_t": 3}),
    ("cycle_alone", {"g_st": 2, "g_ts": 2}),
    ("gan_forward", {"g_st": 1, "g_ts": 2, "d_s": 3, "d_t": 3}),
    ("gan_backward", {"g_st": 2, "g_ts": 1, "d_s": 3, "d_t": 3}),
]


@pytest.mark.parametrize(("preset", "passes"), ABLATION)
def test_the_ablation_drops_what_nobody_needs(preset, passes):
    t = training("cyclegan", losses=read(PRESETS / f"{preset}.yaml")["stages"]["translation"]["losses"])
    calls, before = Counter(), bytes_of(t.nets)
    for role, net in t.nets.named_children():
        if not role.startswith("pool"):
            net.register_forward_hook(lambda *_, role=role: calls.update([role]))
    next(train(t, report_every=1))
    assert calls == passes
    assert {role for role, _ in t.nets.named_children() if not role.startswith("pool")} == set(passes)
    moved = {
        name.split(".")[0]
        for name, value in t.nets.state_dict().items()
        if not torch.equal(before[name], value)
    }
    assert set(passes) <= moved


# CoGAN on scenes.


def test_cogan_on_scenes_asks_for_its_class_term_to_be_switched_off():
    with pytest.raises(
        CycadaError,
        match=r"task_source: it needs image-level labels, and 'streets' has masks.*weight to 0",
    ):
        drawn({"method": "cogan"})


@pytest.mark.parametrize("name", ["coupled", "dcgan"])
def test_cogan_learns_from_windows_that_are_not_square_and_names_nothing(name):
    networks = {key: {"name": name, "channels": 4} for key in ("pair_g", "pair_d")}
    _, _, t = drawn(COGAN | {"networks": networks, "crop": [12, 24]})
    before = bytes_of(t.nets)
    list(train(t))
    assert t.nets.pair_g(torch.zeros(2, NOISE))[0].shape == (2, 3, 12, 24)
    assert t.nets.pair_d.classes is None
    assert methods["cogan"].classifiers(t.nets) == {}
    moved = {
        name.split(".")[0]
        for name, value in t.nets.state_dict().items()
        if not torch.equal(before[name], value)
    }
    assert moved == {"pair_g", "pair_d"}


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((64, 64), [8, 16, 32, 64]),
        ((256, 256), [8, 16, 32, 64, 64, 64]),
        ((48, 64), [8, 16, 32]),
        ((70, 70), [8]),
        ((16, 32), [8, 16]),
    ],
)
def test_a_deep_pair_halves_while_both_sides_do(shape, widths):
    assert widths_of(shape, 8) == widths
    with torch.device("meta"):
        g, d = (
            pair_generators["dcgan"](3, shape, channels=8),
            pair_discriminators["dcgan"](3, 0, shape, channels=8),
        )
        one, other = g(torch.empty(2, NOISE))
        assert one.shape == other.shape == (2, 3, *shape)
        places = shape[0] * shape[1] // 4 ** len(widths)
        assert d(one, "s").features.shape == (2, widths[-1] * places)


def test_an_odd_size_is_refused_by_cogan():
    with pytest.raises(CycadaError, match=r"'dcgan' needs.*divisible by 2"):
        drawn(COGAN | {"crop": [15, 24]})


@pytest.fixture(scope="module")
def pair():
    """A generator of pairs whose batch norm has seen its own maps, as after training, and images that it
    draws."""
    torch.manual_seed(0)
    pair_g = pair_generators["dcgan"](3, (16, 16), channels=8)
    for layer in (m for m in pair_g.modules() if isinstance(m, (nn.Linear, nn.ConvTranspose2d))):
        nn.init.xavier_normal_(layer.weight)
    for _ in range(100):
        pair_g(2 * torch.rand(64, NOISE) - 1)
    nets = nn.Module()
    nets.pair_g = pair_g.eval()
    with torch.no_grad():
        return nets, *pair_g(2 * torch.rand(3, NOISE) - 1)


def test_inversion_finds_the_noise_behind_an_image_and_so_its_partner(pair):
    nets, one, other = pair
    ways = methods["cogan"].translations(nets)
    with eval_mode(nets):
        st, ts = ways["st"](one), ways["ts"](other)
    worst = (one - other).square().mean()
    assert (st - other).square().mean() < 0.1 * worst
    assert (ts - one).square().mean() < 0.1 * worst
    assert st.shape == one.shape
    assert not st.requires_grad


def test_inversion_leaves_no_trace_and_depends_on_nothing_but_the_image(pair):
    nets, one, _ = pair
    before = bytes_of(nets)
    translate = methods["cogan"].translations(nets, CoganOptions(invert_steps=5))["st"]
    with eval_mode(nets):
        whole = translate(one)
        assert not torch.is_grad_enabled()
        torch.manual_seed(1)
        assert torch.equal(whole, translate(one))
        assert torch.allclose(whole, torch.cat([translate(image[None]) for image in one]), atol=1e-4)
    with torch.inference_mode():
        assert torch.equal(whole, translate(one))
    assert all(p.grad is None for p in nets.parameters())
    assert same(before, nets.state_dict())


def test_inversion_is_gradient_descent_within_the_noise(pair):
    """One step of Adam from 0 is a step of the rate against the sign of the gradient; the noise stays in [-1,
    1]."""
    nets, one, _ = pair
    noise = torch.zeros(3, NOISE, requires_grad=True)
    ((nets.pair_g(noise)[0] - one) ** 2).mean((1, 2, 3)).sum().backward()
    nets.zero_grad()
    for p in nets.parameters():
        p.grad = None
    assert torch.allclose(invert(nets.pair_g, one, "s", 1, 0.01), -0.01 * noise.grad.sign(), atol=1e-4)
    assert torch.equal(invert(nets.pair_g, one, "s", 1, 7.0), -noise.grad.sign())


def test_images_of_another_size_are_brought_to_the_generators_and_back(pair):
    nets, one, _ = pair
    translate = methods["cogan"].translations(nets, CoganOptions(invert_steps=2))["st"]
    large = nn.functional.interpolate(one, (24, 40))
    with eval_mode(nets):
        assert translate(large).shape == large.shape
        assert translate(one.bfloat16()).isfinite().all()


# Whole runs.


def test_every_rival_runs_on_scenes_and_shows_its_translations(tmp_path):
    stages = {
        "source": {"method": "source_only"},
        "simgan": {"method": "simgan", "repeat": {"generators": 2}},
        "feature": {"method": "feature_gan", "init": {"f_s": "source.f_t"}},
        "bigan": {"method": "bigan", "crop": [16, 16]},
        "cogan": COGAN,
        "pix2pix": {"method": "pix2pix"},
    }
    summary = run(tiny_config(stages, **merge(DRAWN, {"results": str(tmp_path), "defaults": {"steps": 2}})))
    for stage in summary.stages[1:]:
        assert stage.scores == {}
        assert len(list((stage.folder / "images").glob("grid_*.png"))) == 1, stage.name


# Defaults and sizes of the papers.


def preset(name, **over):
    """A preset as an experiment on drawn streets."""
    data = {
        "name": name,
        "data": {
            side: {"name": "streets", "look": look}
            for side, look in (("source", "game"), ("target", "photo"))
        },
    }
    return parse(merge(merge(read(PRESETS / f"{name}.yaml"), data), over))


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in PRESETS.glob("*.yaml") if p.stem != "base" and "name" not in read(p))
)
def test_every_preset_plans(name):
    f_s = (
        {"networks": {"f_s": {"name": "timm", "model": "test_resnet", "pretrained": True}}}
        if name == "feature_gan"
        else {}
    )
    (it,) = plan(preset(name, **f_s))
    assert it.name == "translation"
    for phase in it.phases:
        settings = {key: phase.optimizer[key] for key in ("name", "lr", "betas")}
        assert settings == {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999)}


def test_the_cyclegan_preset_is_the_papers():
    (it,) = plan(preset("cyclegan"))
    weights = {t.name: (t.weight, t.options.get("mode")) for p in it.phases for t in p.terms}
    gan = dict.fromkeys(("gan_t", "gan_s", "discriminate_t", "discriminate_s"), (1, "lsgan"))
    assert weights == gan | {"cycle_s": (10, None), "cycle_t": (10, None)}
    assert it.stage.batch == 1
    assert (it.stage.schedule.name, it.stage.schedule.after) == ("linear", 0.5)
    assert (it.stage.load_size, it.stage.crop) == ((286, 286), (256, 256))
    assert it.stage.augment.flip
    assert it.options.pool == 50
    assert {role: s.model_dump() for role, s in it.specs.items() if role in ("g_st", "d_t")} == {
        "g_st": {"name": "resnet", "channels": 64, "blocks": 9},
        "d_t": {"name": "patchgan", "channels": 64, "layers": 3},
    }
    identity = plan(
        preset("cyclegan", stages={"translation": {"losses": {"identity_s": 5, "identity_t": 5}}})
    )[0]
    assert {t.name: t.weight for t in identity.phases[0].terms}["identity_t"] == 0.5 * 10


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_parameters_are_as_many_as_published():
    """In millions as pytorch-CycleGAN-and-pix2pix prints them; its batch norm is affine, instance norm is
    not."""
    with torch.device("meta"):
        assert count(generators["resnet"](3, blocks=9)) == pytest.approx(11.378e6, abs=500)
        assert count(generators["resnet"](3, blocks=6)) == pytest.approx(7.838e6, abs=500)
        assert count(generators["unet"](3, norm="batch")) == pytest.approx(54.414e6, abs=1000)
        assert count(discriminators["patchgan"](3, 256)) == pytest.approx(2.765e6, abs=500)
        assert count(discriminators["patchgan"](6, 256)) == pytest.approx(2.768e6, abs=500)


@pytest.mark.parametrize("strides", [[2, 2, 2, 1, 1]])
def test_the_receptive_field_of_the_patchgan_is_70(strides):
    net = discriminators["patchgan"](6, 256, channels=1)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [m.stride[0] for m in convolutions] == strides
    field = 1
    for m in reversed(convolutions):
        field = (field - 1) * m.stride[0] + m.kernel_size[0]
    assert field == 70


def test_the_unet_drops_out_in_the_first_three_levels_of_its_decoder_while_it_trains():
    with torch.device("meta"):
        net = generators["unet"](3, dropout=0.5)
    assert [any(isinstance(m, nn.Dropout) for m in level) for level in net.up] == [True] * 3 + [False] * 5
    net = generators["unet"](3, channels=4, downs=3, dropout=0.5)
    assert [any(isinstance(m, nn.Dropout) for m in level) for level in net.up] == [True, True, False]
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert not torch.equal(net(images), net(images))
        net.eval()
        assert torch.equal(net(images), net(images))


# Folders of pictures without a label.


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """trainA, testA, trainB and testB, as of CycleGAN's data sets."""
    root = tmp_path_factory.mktemp("pictures")
    for name in ("trainA", "testA", "trainB", "testB"):
        (root / name).mkdir()
        for i in range(3):
            Image.fromarray(torch.randint(256, (20, 24, 3)).byte().numpy()).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("name", ["cyclegan", "simgan", "bigan", "cogan", "feature_gan"])
def test_presets_run_on_folders_of_pictures(name, folders, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "w.pth")
    small = {
        "name": name,
        "device": "cpu",
        "tracking": {"kind": "none"},
        "results": str(tmp_path),
        "data": {"root": str(folders), "size": [16, 16]},
        "networks": {
            "g": {"channels": 4, "blocks": 1},
            "d": {"channels": 4, "layers": 1},
            "pair_g": {"name": "dcgan", "channels": 4},
            "pair_d": {"name": "dcgan", "channels": 4},
            "f_s": {"name": "timm", "model": "test_resnet", "weights": str(tmp_path / "w.pth")},
        },
        "stages": {"translation": {"steps": 2, "batch": 2, "crop": [16, 16], "load_size": [18, 18]}},
    }
    (stage,) = run(parse(merge(read(PRESETS / f"{name}.yaml"), small))).stages
    assert stage.scores == {}
    assert len(list((stage.folder / "images").glob("grid_*.png"))) == 1
