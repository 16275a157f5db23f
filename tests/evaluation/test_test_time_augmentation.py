"""Windows, scales and mirror images: against naive loops and hand-written code, in a run, and where they are
refused."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.experiments import tiny_config
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cycada.core.errors import CycadaError
from cycada.core.progress import Progress
from cycada.data import ResizedDataset, resize_logits
from cycada.data.streets.domain import Streets
from cycada.evaluation.predict import count_pixels, eval_mode, probabilities
from cycada.evaluation.test_time_augmentation import (
    flip_average,
    multi_scale,
    sliding_window,
    tta,
    window_starts,
)
from cycada.planning.build import build_networks, load_datasets
from cycada.planning.plan import plan
from cycada.report.record import Record
from cycada.runs.reuse import evaluate_run, find_run
from cycada.runs.run import run
from cycada.storage.identity import stage_id, weights_id
from cycada.train.device import Device

CPU = Device.find("cpu")


def conv(size=3, classes=4, seed=0):
    """It sees its surroundings, and zeros beyond a window's border: no two windows say the same of a
    pixel."""
    torch.manual_seed(seed)
    net = nn.Conv2d(3, classes, size, padding=size // 2)
    return net.requires_grad_(False)


def scenes(n=2, height=13, width=17, seed=1):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# Windows.


@given(length=st.integers(1, 60), share=st.floats(0.01, 1), overlap=st.floats(0, 0.99))
def test_windows_leave_no_gap_and_end_at_the_borders(length, share, overlap):
    window = max(1, int(share * length))
    at = window_starts(length, window, overlap)
    assert (at[0], at[-1]) == (0, length - window)
    stride = max(1, round(window * (1 - overlap)))
    assert all(0 < b - a <= stride <= window for a, b in pairwise(at))
    assert all(b - a == stride for a, b in pairwise(at[:-1])), "only the last is moved inwards"


def test_places_by_hand():
    assert window_starts(2048, 512, 1 / 3) == [0, 341, 682, 1023, 1364, 1536]
    assert window_starts(10, 5, 0) == [0, 5]
    assert window_starts(11, 5, 0) == [0, 5, 6]
    assert window_starts(7, 7, 0.5) == [0]


@pytest.mark.parametrize(
    ("window", "overlap"),
    [((5, 7), 1 / 3), ((4, 4), 0.0), ((6, 5), 0.75), ((13, 6), 0.5), ((5, 17), 0.9), ((13, 17), 0.5)],
)
def test_windows_are_those_of_a_naive_loop(window, overlap):
    net, images = conv(), scenes()
    n, _, height, width = images.shape
    total, seen = np.zeros((n, 4, height, width)), np.zeros((height, width), int)
    steps = [max(1, round(side * (1 - overlap))) for side in window]
    corners = {
        (min(r * steps[0], height - window[0]), min(c * steps[1], width - window[1]))
        for r in range(height)
        for c in range(width)
    }
    for top, left in sorted(corners):
        logits = net(images[:, :, top : top + window[0], left : left + window[1]]).double().numpy()
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        for y in range(window[0]):
            for x in range(window[1]):
                total[:, :, top + y, left + x] += shares[:, :, y, x]
                seen[top + y, left + x] += 1
    assert seen.min() >= 1
    assert seen[0, 0] == seen[0, -1] == seen[-1, 0] == seen[-1, -1] == 1 or overlap > 0.5
    answer = sliding_window(net, window, overlap)(images)
    np.testing.assert_allclose(answer.softmax(1).numpy(), total / seen, atol=1e-6)
    np.testing.assert_allclose(answer.exp().sum(1).numpy(), 1, atol=1e-6)


def test_every_window_is_cut_where_it_is_answered():
    """Pixels that carry their own place come back to it exactly."""
    rows, columns = torch.meshgrid(torch.arange(13.0), torch.arange(17.0), indexing="ij")
    images = torch.stack([rows, columns, torch.zeros(13, 17)])[None]
    shapes = []

    def classify(part):
        shapes.append(tuple(part.shape[2:]))
        return F.one_hot((17 * part[:, 0] + part[:, 1]).long(), 13 * 17).permute(0, 3, 1, 2) * 50.0

    said = sliding_window(classify, (6, 7), 1 / 3)(images).argmax(1)[0]
    assert said.tolist() == torch.arange(13 * 17).reshape(13, 17).tolist()
    assert set(shapes) == {(6, 7)}


def test_a_network_that_sees_one_pixel_says_the_same_by_windows():
    net, images = conv(size=1), scenes(3, 29, 31)
    whole = net(images)
    for window, overlap in (((8, 8), 1 / 3), ((5, 30), 0.6), ((40, 40), 0.0)):
        answer = sliding_window(net, window, overlap)(images)
        assert torch.equal(answer.argmax(1), whole.argmax(1))
        torch.testing.assert_close(answer.softmax(1), whole.softmax(1), atol=5e-7, rtol=0)
    fitted = ResizedDataset(
        Streets(look="photo", width=64, height=32, test=3).load(None, "test"),
        (16, 32),
        full_resolution_masks=True,
    )
    net = conv(size=1, classes=9)
    with eval_mode(net):
        assert count_pixels(sliding_window(net, (9, 10)), fitted, 9, CPU).equal(
            count_pixels(net, fitted, 9, CPU)
        ), "at the masks' size too"


# Scales and mirror images.


def test_a_mirror_image_is_averaged_by_hand():
    net, images = conv(), scenes()
    both = (net(images).softmax(1) + net(images.flip(-1)).softmax(1).flip(-1)) / 2
    torch.testing.assert_close(flip_average(net)(images).exp(), both)
    torch.testing.assert_close(
        flip_average(net)(images.flip(-1)).exp(), both.flip(-1)
    )  # it no longer matters which way round
    vector = nn.Sequential(nn.Flatten(), nn.Linear(3 * 13 * 17, 4)).requires_grad_(False)
    by_hand = (vector(images).softmax(1) + vector(images.flip(-1)).softmax(1)) / 2
    torch.testing.assert_close(flip_average(vector)(images).exp(), by_hand)


def test_scales_are_averaged_by_hand():
    net, images = conv(), scenes()
    total = torch.zeros(2, 4, 13, 17)
    for size in ((6, 8), (13, 17), (20, 26)):  # 6.5 and 8.5 are rounded to even, 19.5 and 25.5 too
        small = F.interpolate(images, size, mode="bilinear", antialias=True)
        total += F.interpolate(net(small), (13, 17), mode="bilinear").softmax(1) / 3
    torch.testing.assert_close(multi_scale(net, (0.5, 1.0, 1.5))(images).exp(), total)


def test_resized_scenes_have_sides_that_the_networks_take():
    shapes = []

    def classify(images):
        shapes.append(tuple(images.shape[2:]))
        return images

    assert multi_scale(classify, (0.1, 0.7, 1.0, 1.3), multiple_of=4)(scenes(1, 16, 32)).shape == (
        1,
        3,
        16,
        32,
    )
    assert shapes == [(4, 4), (12, 24), (16, 32), (20, 40)]


def test_it_is_probabilities_that_are_averaged():
    """Of 0.9999, 0.2 and 0.2 the mean is below a half; the mean of their logits is above 0."""
    shares = iter((0.9999, 0.2, 0.2))

    def classify(images):
        p = next(shares)
        return torch.tensor([math.log(p / (1 - p)), 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)

    answer = multi_scale(classify, (1.0, 1.0, 1.0))(scenes(1, 4, 4))
    assert answer.exp()[0, 0].flatten().tolist() == pytest.approx([1.3999 / 3] * 16)
    assert (answer.argmax(1) == 1).all()


@pytest.mark.parametrize("window", [None, (6, 8)])
def test_all_together_is_the_mean_over_every_combination(window):
    net, images = conv(), scenes()
    total, inner = 0, sliding_window(net, window, 0.5) if window else net
    for size in ((13, 17), (20, 26)):
        for back in (lambda x: x, lambda x: x.flip(-1)):
            seen = back(F.interpolate(images, size, mode="bilinear"))
            total = total + back(F.interpolate(inner(seen), (13, 17), mode="bilinear").softmax(1)) / 4
    answer = tta(net, window, 0.5, True, (1.0, 1.5))(images)
    torch.testing.assert_close(answer.exp(), total, atol=1e-6, rtol=1e-5)


def test_the_default_is_the_classifier_itself():
    net = conv()
    assert tta(net) is net


def test_very_sure_answers_stay_numbers():
    def classify(images):
        return torch.stack([300 * images[:, 0], -300 * images[:, 0]], 1)

    answer = tta(classify, (4, 4), 0.5, True, (1.0, 1.5))(scenes())
    assert answer.isfinite().all()
    assert resize_logits(answer, (40, 50)).isfinite().all()


def test_answers_are_float32_under_autocast_and_as_probabilities():
    net, images = conv(), (scenes() * 100).byte()
    way = tta(net, (6, 8), 0.5, True, (0.5, 1.0))
    with eval_mode(net):
        found = probabilities(way, images, CPU, "bf16")
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, probabilities(way, images, CPU), atol=0.02, rtol=0)
    assert found.sum(1).allclose(torch.ones(2, 13, 17), atol=1e-5)


# In a run.

HOW = {"window": [16, 32], "overlap": 0.25, "flip": True, "scales": [1.0, 0.75]}
WORDS = [
    "evaluation.window=[16, 32]",
    "evaluation.overlap=0.25",
    "evaluation.flip=true",
    "evaluation.scales=[1, 0.75]",
]
STREETS = {
    "data": {
        "source": {"name": "streets", "look": "game", "width": 64, "height": 32, "train": 6, "test": 2},
        "target": {"name": "streets", "look": "photo", "width": 64, "height": 32, "train": 5, "test": 2},
        "size": [32, 64],
        "channels": 3,
    },
    "networks": {"f": {"name": "small_segmenter", "channels": 8, "width": 16}},
    "defaults": {"batch": 2, "steps": 4},
}
STAGES = {
    "source": {"method": "source_only", "ema": {"f_t": 0.5}, "optimizer": {"lr": 0.01}},
    "pixel": {"method": "cycada_pixel", "init": {"f_s": "source.f_t"}, "options": {"pool": 4}},
}  # scored by f_t, and by f_s behind a generator that takes multiples of 4


def streets(evaluation=None, **over):
    return tiny_config(STAGES, **STREETS, **({"evaluation": evaluation} if evaluation else {}), **over)


def digits(evaluation, **over):
    return tiny_config(evaluation=evaluation, **over)


def ids(config):
    datasets, found = load_datasets(config, plan(config), CPU), {}
    for p in plan(config):
        found[p.name] = stage_id(config, p, found, datasets, CPU)
    return found


def test_an_evaluation_stands_behind_the_id_and_changes_no_training():
    plain, other = ids(streets()), ids(streets(HOW))
    for same in ({"flip": False}, {"window": None, "scales": [1]}, {"overlap": 0.5}):
        assert ids(streets(same)) == plain
    assert all(i.isalnum() for i in plain.values())
    assert {name: weights_id(i) for name, i in other.items()} == plain
    assert (
        len(
            {
                ids(streets(e))["source"]
                for e in (HOW, {"flip": True}, {"scales": [1, 0.5]}, HOW | {"overlap": 0.5})
            }
        )
        == 4
    )
    assert streets(HOW).evaluation.changes() == HOW
    assert streets({"flip": True, "overlap": 0.5}).evaluation.changes() == {"flip": True}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The same experiment with the plain evaluation, then with another, in one place; and with the other
    alone elsewhere."""
    here, there = (str(tmp_path_factory.mktemp(name)) for name in ("here", "there"))
    return run(streets(results=here)), run(streets(HOW, results=here)), run(streets(HOW, results=there))


@pytest.mark.trains
def test_what_was_trained_is_scored_again_and_not_trained_again(trained):
    plain, again, alone = trained
    for one, two, three in zip(plain.stages, again.stages, alone.stages, strict=True):
        assert (one.reused, two.reused, three.reused) == (False, True, False)
        assert two.id == three.id != one.id
        assert one.scores != two.scores == three.scores
        mine, twins, elsewhere = (find_run(s.folder) for s in (two, one, three))
        assert mine.read_json("manifest.json")["weights_of"] == twins.id
        assert mine.read_json("confusion.json") == elsewhere.read_json("confusion.json")
        for name, value in mine.load_weights().items():
            assert torch.equal(value, twins.load_weights()[name])
        last, expected = mine.metrics()[-1], elsewhere.metrics()[-1]
        scored = {k for k in last if k.startswith(("source", "target", "selection"))}
        assert {k: last[k] for k in scored} == {k: expected[k] for k in scored}, (
            "scores and label-free criteria"
        )
        assert {k for k in expected if "/" in k} == {k for k in last if "/" in k}
        assert len(mine.metrics()) == len(twins.metrics()) == 2
        assert list(mine.images.glob("answers_0000004.png"))


@pytest.mark.trains
def test_label_free_criteria_look_at_the_same_answers(trained):
    plain, again, _ = trained
    rows = [find_run(s.stages[0].folder).metrics()[-1] for s in (plain, again)]
    assert rows[0]["selection/certainty"] > rows[1]["selection/certainty"], (
        "a mean is less sure than what it is the mean of"
    )


@pytest.mark.trains
def test_the_plain_evaluation_takes_the_weights_of_another(trained):
    plain, _, alone = trained
    results = alone.stages[0].folder.parents[1]
    said = []

    class Listening(Progress):
        def info(self, text):
            said.append(text)

    found = run(streets(results=str(results)), Listening(quiet=True))
    assert [s.scores for s in found.stages] == [s.scores for s in plain.stages]
    assert sum("trained already" in line for line in said) == 2
    assert run(streets(results=str(results))).stages[0].reused


@pytest.mark.trains
def test_evaluate_takes_settings_of_the_evaluation(trained, cycada):
    plain, again, _ = trained
    for one, two in zip(plain.stages, again.stages, strict=True):
        code, out, err = cycada("evaluate", one.folder, *WORDS, "--json")
        assert code == 0, err
        assert json.loads(out)["scores"] == two.scores
        assert json.loads(out)["evaluation"] == HOW
        assert evaluate_run(two.folder)["scores"] == two.scores
        back = evaluate_run(
            two.folder,
            assignments=["evaluation.window=null", "evaluation.flip=false", "evaluation.scales=[1]"],
        )
        assert back["scores"] == one.scores
    results = plain.stages[0].folder.parents[1]
    assert evaluate_run(plain.stages[0].id, results=results)["evaluation"] == {}, (
        "an id is itself, though another begins with it"
    )
    code, _, err = cycada("evaluate", plain.stages[0].folder, "stages.source.steps=5")
    assert (code, "its evaluation alone" in err, "evaluation.flip=true" in err) == (2, True, True)
    code, _, err = cycada("evaluate", plain.stages[0].folder, "evaluation.window=[64, 64]")
    assert (code, "at most data.size" in err) == (2, True)


def test_a_report_takes_another_evaluation_for_another_row(trained):
    plain, again, alone = (Record(s.stages[0].folder) for s in trained)
    assert plain.settings() != again.settings() == alone.settings()


# Mistakes.


@pytest.mark.parametrize(
    ("config", "evaluation", "message"),
    [
        (
            streets,
            {"window": [33, 64]},
            r"evaluation\.window: found \[33, 64\], expected at most data\.size, \[32, 64\]",
        ),
        (streets, {"window": [3, 8]}, r"evaluation\.window\.0: .*greater than or equal to 4\. Found 3"),
        (streets, {"window": 16}, r"evaluation\.window: .*Found 16"),
        (streets, {"overlap": 1}, r"evaluation\.overlap: .*less than 1\. Found 1"),
        (streets, {"scales": [1, 0]}, r"evaluation\.scales\.1: .*greater than 0\. Found 0"),
        (streets, {"scales": [-0.5]}, r"evaluation\.scales\.0: .*greater than 0\. Found -0\.5"),
        (streets, {"scales": []}, r"evaluation\.scales: found none, expected at least one"),
        (
            streets,
            {"scales": [0.1]},
            r"evaluation\.scales: 0\.1 leaves 3 x 6 pixels of data\.size, \[32, 64\]",
        ),
        (streets, {"windows": [8, 8]}, r"evaluation: unknown key 'windows'.*Did you mean 'window'"),
        (digits, {"window": [8, 8]}, r"evaluation\.window: found \[8, 8\], but only segmentation has it"),
        (
            digits,
            {"scales": [1, 2]},
            r"evaluation\.scales: found \[1\.0, 2\.0\], but only segmentation has it",
        ),
        (
            digits,
            {"flip": True},
            r"evaluation\.flip: images of the source 'rendered_digits' may not be mirrored",
        ),
    ],
)
def test_mistakes_are_answered(config, evaluation, message):
    with pytest.raises(CycadaError, match=message):
        plan(config(evaluation))


def test_a_window_has_a_size_that_the_networks_take():
    config = streets({"window": [18, 30]})
    with pytest.raises(
        CycadaError, match=r"'resnet' needs evaluation\.window to be divisible by 4; it is \[18, 30\]"
    ):
        build_networks(config, plan(config)[1], 9, CPU, {})
