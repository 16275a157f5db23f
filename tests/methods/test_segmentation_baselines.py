"""ADVENT and FDA against their formulas in plain loops, what their gradients reach, and the baselines' config
on tiny streets."""

import json
import math

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.naive_losses import NAIVE, rows_of
from helpers.paths import ROOT
from torch import nn

from cycada.config.schema import load
from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE, Batch, Output
from cycada.losses import losses
from cycada.losses.entropy import entropies
from cycada.methods import Networks
from cycada.methods.advent import AdventOptions, AdventTensors
from cycada.methods.fda import FdaOptions, FdaTensors, low_frequencies, spectral_transfer
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.train.device import Device
from cycada.train.loop import train
from cycada.train.step import trainable_only

CONFIG = ROOT / "configs/segmentation/streets/baselines.yaml"
K = 4


class Segmenter(nn.Module):
    """A 1 x 1 convolution."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, K, 1)

    def forward(self, x):
        return Output(x, self.body(x))


class Doubt(nn.Module):
    """Says "target" the louder, the more self-information or probability a place has in all."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        total = x.sum(1)
        return torch.stack([self.slope * total, torch.zeros_like(total)], 1)


def batch(seed=0, ignored=0.3):
    torch.manual_seed(seed)
    label = torch.where(torch.rand(2, 6, 8) < ignored, IGNORE, torch.randint(K, (2, 6, 8)))
    return Batch(2 * torch.rand(2, 3, 6, 8) - 1, label, 2 * torch.rand(2, 3, 6, 8) - 1)


def advent(data, options=None):
    return AdventTensors(Networks({"f_t": Segmenter(), "d_feat": Doubt()}), data, options or AdventOptions())


def of(name, tensors):
    """The loss on what the views compute."""
    return losses[name](
        *(
            getattr(tensors, n)
            for n in {
                "task_source": ("f_t_logits_real_s", "label_s"),
                "task_translated": ("f_t_logits_fake_t", "label_s"),
                "robust_entropy": ("f_t_logits_real_t",),
                "feature_gan": ("domain_logits_target", "feature_gate"),
                "discriminate_feature": ("domain_logits_source", "domain_logits_target"),
            }[name]
        )
    )


def gradients(loss, learns, nets):
    """role -> whether a gradient came to it."""
    nets.zero_grad(set_to_none=True)
    with trainable_only(learns, nets):
        loss().backward()
    return {
        role: any(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
        for role, net in nets.named_children()
    }


# ADVENT.


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_critic_sees_the_weighted_self_information_of_every_class_and_pixel(side):
    tensors = advent(batch())
    logits = (tensors.f_t_logits_real_s if side == "source" else tensors.f_t_logits_real_t).tolist()
    seen = getattr(tensors, f"discriminator_input_{side}")
    assert seen.shape == (2, K, 6, 8)
    for n in range(2):
        for row in range(6):
            for column in range(8):
                exps = [math.exp(logits[n][k][row][column]) for k in range(K)]
                for k in range(K):
                    p = exps[k] / sum(exps)
                    assert seen[n, k, row, column].item() == pytest.approx(
                        -p * math.log(p) / math.log(K), abs=1e-6
                    )


def test_a_class_that_is_impossible_or_certain_carries_no_information():
    tensors = advent(batch())
    tensors.f_t_logits_real_t = torch.tensor([[1e4, 0.0, 0.0, -1e4]])
    assert torch.equal(tensors.discriminator_input_target, torch.zeros(1, K))


def test_with_probabilities_it_is_adaptsegnet():
    tensors = advent(batch(), AdventOptions(critic_input="probabilities"))
    assert torch.equal(tensors.discriminator_input_target, tensors.f_t_logits_real_t.softmax(1))


def test_whole_images_are_judged_alike():
    tensors = advent(batch())
    tensors.f_t_logits_real_t = torch.zeros(5, K)
    assert torch.allclose(tensors.discriminator_input_target, torch.full((5, K), 1 / K))


def test_each_phase_of_advent_moves_its_own_network():
    tensors = advent(batch())
    nets = tensors.nets
    assert gradients(lambda: of("feature_gan", tensors), ["f_t"], nets) == {"f_t": True, "d_feat": False}
    of("task_source", tensors)
    tensors = tensors.detached()
    assert gradients(lambda: of("discriminate_feature", tensors), ["d_feat"], nets) == {
        "f_t": False,
        "d_feat": True,
    }


def test_the_discriminator_learns_from_the_very_answers_that_f_t_was_judged_on():
    tensors = advent(batch())
    before = (tensors.f_t_logits_real_s, tensors.discriminator_input_target)
    later = tensors.detached()
    tensors.nets.f_t.body.weight.data.zero_()
    assert torch.equal(later.discriminator_input_target, before[1])
    assert torch.equal(later.discriminator_input_source, tensors._discriminator_map(before[0]))
    assert not later.discriminator_input_source.requires_grad


def test_f_t_becomes_surer_on_the_target_where_doubt_gives_the_target_away():
    tensors = advent(batch())
    logits = torch.randn(2, K, 6, 8, requires_grad=True)
    tensors.f_t_logits_real_t = logits
    of("feature_gan", tensors).backward()
    after = logits.detach() - logits.grad
    assert (entropies(after) <= entropies(logits.detach())).all()
    assert entropies(after).mean() < entropies(logits.detach()).mean()


@pytest.mark.parametrize(("doubtful", "sign"), [("target", -1), ("source", 1)])
def test_the_discriminator_leans_on_what_tells_the_domains_apart(doubtful, sign):
    """Gradient descent makes the slope steeper (a gradient below 0) where the doubtful side is the target."""
    tensors = advent(batch())
    unsure, sure = torch.zeros(2, K, 6, 8), torch.zeros(2, K, 6, 8)
    sure[:, 0] = 20.0
    tensors.f_t_logits_real_t, tensors.f_t_logits_real_s = (
        (unsure, sure) if doubtful == "target" else (sure, unsure)
    )
    tensors.nets.d_feat.slope.data.zero_()
    of("discriminate_feature", tensors).backward()
    assert tensors.nets.d_feat.slope.grad.sign().item() == sign


def test_ignored_pixels_teach_no_class_and_are_judged_all_the_same():
    """The loss is that of the labelled pixels alone; the critic knows no label."""
    data = batch()
    tensors = advent(data)
    assert of("task_source", tensors).item() == pytest.approx(
        NAIVE["task_source"](rows_of(tensors.f_t_logits_real_s), rows_of(data.label_s)), abs=1e-5
    )
    nothing = AdventTensors(
        tensors.nets, Batch(data.real_s, torch.full_like(data.label_s, IGNORE), data.real_t), AdventOptions()
    )
    assert of("task_source", nothing).item() == 0
    assert of("discriminate_feature", nothing) == of("discriminate_feature", tensors)


# FDA.


def naive_transfer(source, target, beta):
    """FDA eq. 3 and 4 on colours from 0 to 255: (C, H, W) each, in numpy's complex Fourier transform, place
    by place."""
    own, other = np.fft.fft2(source, axes=(-2, -1)), np.fft.fft2(target, axes=(-2, -1))
    amplitude, phase = np.abs(own), np.angle(own)
    height, width = source.shape[-2:]
    for i in range(height):
        for j in range(width):
            row, column = (
                (i if i <= height / 2 else i - height),
                (j if j <= width / 2 else j - width),
            )  # (0, 0) is the centre
            if abs(row) <= beta * height and abs(column) <= beta * width:
                amplitude[:, i, j] = np.abs(other[:, i, j])
    whole = np.fft.ifft2(amplitude * np.exp(1j * phase), axes=(-2, -1))
    assert np.abs(whole.imag).max() < 1e-9  # a window as wide on both sides leaves an image real
    return whole.real


def pictures(low, high, shape, seed=0):
    """Images (N, 3, H, W) of colours from low to high, as numpy's 0..255 and as the toolkit's [-1, 1]."""
    colours = np.random.default_rng(seed).integers(low, high, shape).astype(float)
    return colours, torch.tensor(colours / 127.5 - 1, dtype=torch.float32)


SIZES = [(8, 12), (7, 9), (12, 7), (16, 32)]


@pytest.mark.parametrize("beta", [0.01, 0.05, 0.09, 0.3, 0.5])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ranges", [((0, 90), (150, 256)), ((0, 256), (0, 256))])
def test_the_transfer_is_the_papers_on_colours_from_0_to_255(ranges, size, beta):
    """Dark images to bright ones: in [-1, 1] their means differ in sign, and eq. 4 would give another
    image."""
    source, real_s = pictures(*ranges[0], (2, 3, *size))
    target, real_t = pictures(*ranges[1], (2, 3, *size), seed=1)
    fake_t = spectral_transfer(real_s, real_t, beta)
    expected = np.stack([naive_transfer(s, t, beta) for s, t in zip(source, target, strict=True)])
    assert np.abs((fake_t.double().numpy() + 1) * 127.5 - expected).max() < 1e-3


def test_below_one_cycle_it_is_the_mean_of_the_target():
    (_, real_s), (_, real_t) = pictures(0, 256, (2, 3, 8, 12)), pictures(100, 256, (2, 3, 8, 12), seed=1)
    moved = real_s - real_s.mean((2, 3), keepdim=True) + real_t.mean((2, 3), keepdim=True)
    assert torch.allclose(spectral_transfer(real_s, real_t, 0.01), moved, atol=1e-5)


@pytest.mark.parametrize("beta", [0.05, 0.5])
def test_an_image_takes_nothing_from_itself(beta):
    _, real = pictures(0, 256, (2, 3, 7, 12))
    assert torch.allclose(spectral_transfer(real, real, beta), real, atol=1e-5)


def test_phases_stay_and_amplitudes_come_from_the_other_image():
    (_, real_s), (_, real_t) = pictures(0, 256, (1, 3, 8, 12)), pictures(0, 256, (1, 3, 8, 12), seed=1)
    own, other, mixed = (
        torch.fft.fft2(x.double() + 1) for x in (real_s, real_t, spectral_transfer(real_s, real_t, 0.5))
    )
    assert torch.allclose(mixed.abs(), other.abs(), rtol=1e-3)
    assert torch.allclose(mixed / mixed.abs(), own / own.abs(), atol=1e-3)


@pytest.mark.parametrize(
    ("side", "beta"), [(64, 0.01), (64, 0.05), (7, 0.3), (8, 0.5), (100, 0.07), (100, 0.29)]
)
def test_the_window_reaches_equally_far_on_both_sides(side, beta):
    reach = int(beta * side + 1e-6)
    expected = [abs(row if row <= side / 2 else row - side) <= reach for row in range(side)]
    assert low_frequencies(side, beta).tolist() == expected


def test_the_transfer_does_not_know_autocast():
    (_, real_s), (_, real_t) = pictures(0, 256, (1, 3, 7, 12)), pictures(0, 256, (1, 3, 7, 12), seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        short = spectral_transfer(real_s, real_t, 0.1)
    assert short.dtype == torch.float32
    assert torch.equal(short, spectral_transfer(real_s, real_t, 0.1))


def test_fda_learns_source_labels_on_transferred_images_and_counts_no_ignored_pixel():
    data = batch()
    tensors = FdaTensors(Networks({"f_t": Segmenter()}), data, FdaOptions(beta=0.2))
    logits = tensors.nets.f_t(spectral_transfer(data.real_s, data.real_t, 0.2)).logits
    assert of("task_translated", tensors).item() == pytest.approx(
        NAIVE["task_source"](rows_of(logits), rows_of(data.label_s)), abs=1e-5
    )
    assert of("robust_entropy", tensors).item() == pytest.approx(
        NAIVE["robust_entropy"](rows_of(tensors.f_t_logits_real_t)), abs=1e-5
    )
    nothing = FdaTensors(
        tensors.nets, Batch(data.real_s, torch.full_like(data.label_s, IGNORE), data.real_t), FdaOptions()
    )
    assert of("task_translated", nothing).item() == 0
    for name in ("task_translated", "robust_entropy"):
        assert gradients(lambda name=name: of(name, tensors), ["f_t"], tensors.nets) == {"f_t": True}


def test_the_robust_entropy_pushes_doubtful_pixels_hardest():
    """Its gradient is the entropy's times 2 eta h (h^2 + 0.001^2)^(eta - 1), h a share of log K."""
    logits = torch.tensor([[0.5, 0.0, 0.0, 0.0], [6.0, 0.0, 0.0, 0.0]], requires_grad=True)
    robust = torch.autograd.grad(losses["robust_entropy"](logits), logits)[0]
    plain = torch.autograd.grad(losses["entropy"](logits), logits)[0]
    h = (entropies(logits.detach()) / math.log(K))[:, None]
    assert torch.allclose(robust, plain / math.log(K) * 4 * h * (h**2 + 1e-6), atol=1e-7)
    assert (robust[:, 0] < 0).all()  # the likely class is made likelier
    assert robust[0, 0].abs() / robust[1, 0].abs() > plain[0, 0].abs() / plain[1, 0].abs()


# In a config.


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            {"method": "fda", "options": {"beta": 0.6}},
            r"stages.it.options.beta: found 0.6. Input should be less than or equal to 0.5",
        ),
        ({"method": "fda", "options": {"beta": 0}}, r"options.beta: found 0. Input should be greater than 0"),
        (
            {"method": "fda", "losses": {"robust_entropy": {"eta": 0}}},
            r"robust_entropy.eta: found 0. Input should be greater than 0",
        ),
        (
            {"method": "advent", "options": {"critic_input": "scores"}},
            r"critic_input: found 'scores'. .*'self_information'",
        ),
    ],
)
def test_mistakes_are_answered(stage, message):
    with pytest.raises(CycadaError, match=message):
        plan(tiny_config({"it": stage}))


TINY = [
    "networks.f.channels=4",
    "networks.f.width=8",
    "networks.d_feat.channels=2",
    "defaults.batch=2",
    *(
        f"data.{side}.{split}={count}"
        for side, count in (("source", 2), ("target", 3))
        for split in ("train", "test")
    ),
    "logging.evaluate_every=2",
    "tracking.kind=none",
]


def baselines(*assignments):
    names = list(load(CONFIG).stages)
    return load(CONFIG, [*TINY, *(f"stages.{name}.steps=2" for name in names), *assignments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(baselines(f"results={tmp_path_factory.mktemp('baselines')}"))


def test_the_baselines_of_streets_run_and_are_scored(trained):
    """In bf16, as the config says."""
    assert {s.name for s in trained.stages} == {
        "source",
        "source_long",
        "oracle",
        "adabn",
        "entropy",
        "advent",
        "fda",
        "adda",
        "dann",
        "dacs",
    }
    for stage in trained.stages:
        assert 0 <= stage.scores["target"]["miou"] <= 1
        rows = [json.loads(line) for line in (stage.folder / "metrics.jsonl").read_text().splitlines()]
        assert all(math.isfinite(v) for row in rows for v in row.values())
    assert [s.name for s in trained.stages if list((s.folder / "images").glob("grid_*.png"))] == [
        "fda",
        "dacs",
    ]


def test_min_ent_is_the_papers_weight_on_an_entropy_of_our_scale():
    config = load(CONFIG)
    term = next(
        t for p in plan(config) if p.name == "entropy" for t in p.phases[0].terms if t.name == "entropy"
    )
    assert term.weight * math.log(9) == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize("stage", ["advent", "fda"])
def test_a_step_on_scenes_moves_what_learns(stage):
    config = baselines()
    planned = {p.name: p for p in plan(config)}
    device = Device.find("cpu")
    t = build_training(
        config, planned[stage], load_datasets(config, list(planned.values()), device), device, {}
    )
    before = {name: p.detach().clone() for name, p in t.nets.named_parameters()}
    reports = list(train(t, report_every=1))
    assert all(torch.isfinite(p).all() for p in t.nets.parameters())
    assert set(t.nets._modules) == ({"f_t", "d_feat"} if stage == "advent" else {"f_t"})
    assert all(
        any(not torch.equal(before[n], p) for n, p in t.nets.named_parameters() if n.startswith(role))
        for role in t.nets._modules
    )
    names = {
        "advent": ("task_source", "feature_gan", "discriminate_feature"),
        "fda": ("task_translated", "robust_entropy"),
    }[stage]
    assert {f"loss/{n}" for n in names} == {n for n in reports[-1].values if n.startswith("loss/")}
