"""Inverted colours, a copy of the input, one picture for all: each rings alone, healthy translations ring
nothing, nothing else moves."""

import json

import pytest
import torch
from helpers.experiments import tiny_config
from helpers.streets import STREETS
from torch import nn

from cycada.data import to_float
from cycada.data.streets.domain import Streets
from cycada.evaluation.image_grids import image_grid
from cycada.evaluation.translation_warnings import WarnOnce, translation_warnings
from cycada.methods import Networks
from cycada.metrics import alarms as metric
from cycada.metrics.diversity import mean_pairwise_distance, relative_diversity, thumbnails
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.train.device import Device

ROWS = range(0, 60, 10)


def streets(look, split="test"):
    scenes = Streets(look=look, width=64, height=32, train=60, test=60).load(None, split)
    return to_float(torch.stack([scenes.read(i)[0] for i in ROWS]))


@pytest.fixture(scope="module")
def pictures():
    """Inputs, their true translations, and other pictures of the domain that they are translated to."""
    return streets("game"), streets("photo"), streets("photo", "train")


def ringing(source, made, target, **more):
    return {
        kind for kind, rings in metric.alarms(metric.measures(source, made, target), **more).items() if rings
    }


def test_healthy_translations_ring_nothing(pictures):
    source, truth, target = pictures
    assert ringing(source, truth, target) == set()
    assert ringing(truth, source, streets("game", "train")) == set()
    assert ringing(source, (source + truth) / 2, target) == set()  # half of the way


def test_each_failure_rings_alone(pictures):
    source, truth, target = pictures
    noise = 0.01 * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))
    assert ringing(source, source, target) == {"identity"}
    assert ringing(source, source + noise, target) == {"identity"}
    assert ringing(source, -source, target) == {"inversion"}
    assert ringing(source, -truth, target) == {"inversion"}
    assert ringing(source, target[:1].expand_as(source), target) == {"collapse"}
    assert ringing(source, truth.mean(0, keepdim=True).expand_as(source) + noise, target) == {"collapse"}
    assert ringing(source, torch.zeros_like(source), target) == {"collapse"}


def test_a_copy_is_right_where_the_domains_are_one(pictures):
    _, truth, target = pictures
    assert ringing(target, target, truth) == set()


def test_light_and_dark_may_change_places_where_they_truly_do(pictures):
    source, _, target = pictures
    assert ringing(source, -source, target, true_correlation=-0.8) == set()
    assert ringing(source, -source, target, true_correlation=0.2) == {"inversion"}


def test_from_noise_only_diversity_is_measured(pictures):
    _, truth, target = pictures
    assert set(metric.measures(None, truth, target)) == {"diversity"}
    assert ringing(None, truth, target) == set()
    assert ringing(None, torch.zeros_like(truth), target) == {"collapse"}
    assert metric.measures(None, truth[:1], target) == {}  # of one picture nobody can say


def test_luminance_correlation_is_pearsons(pictures):
    source, truth, _ = pictures
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)
    for i, found in enumerate(metric.luminance_correlation(source, truth)):
        pair = torch.stack([(x[i : i + 1] * weights).sum(1).flatten() for x in (source, truth)]).double()
        assert float(found) == pytest.approx(float(torch.corrcoef(pair)[0, 1]), abs=1e-6)
    assert metric.luminance_correlation(source[:, :1], source[:, :1] * -0.5 + 0.1).tolist() == pytest.approx(
        [-1] * len(source)
    )
    assert metric.luminance_correlation(source, torch.zeros_like(source)).tolist() == [0] * len(source)


def test_least_change_is_a_bound_that_a_shift_reaches():
    """Uniform values moved by 0.3: no map does it with less, and the shift does it with just that."""
    values = torch.linspace(-0.6, 0.5, 16 * 16)
    random = torch.Generator().manual_seed(0)
    source, other = (
        torch.stack([values[torch.randperm(256, generator=random)] for _ in range(4)]).reshape(4, 1, 16, 16)
        for _ in range(2)
    )
    found = float(metric.least_change(source, other + 0.3))
    assert found == pytest.approx(0.3, abs=1e-3)
    assert found <= float(metric.change(source, source + 0.3)) + 1e-3
    assert float(metric.least_change(source, other)) < metric.DIFFER


def test_least_change_sees_texture_where_colours_agree():
    """Equal colours, ordered or shuffled: only the differences of neighbours tell them apart."""
    values = torch.linspace(-1, 1, 16 * 16)
    ordered = values.reshape(1, 1, 16, 16).repeat(4, 1, 1, 1)
    random = torch.Generator().manual_seed(0)
    shuffled = torch.stack([values[torch.randperm(256, generator=random)] for _ in range(4)]).reshape(
        4, 1, 16, 16
    )
    across = (shuffled[..., 1:] - shuffled[..., :-1]).abs().mean()
    assert float(metric.least_change(ordered, shuffled)) == pytest.approx(float(across) / 2, rel=0.1)


def test_diversity_is_the_naive_mean():
    vectors = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    naive = [float((vectors[i] - vectors[j]).norm()) for i in range(7) for j in range(7) if i != j]
    assert float(mean_pairwise_distance(vectors)) == pytest.approx(sum(naive) / len(naive), rel=1e-6)
    assert float(relative_diversity(3 * vectors + 1, vectors)) == pytest.approx(3, rel=1e-6)
    assert relative_diversity(vectors, torch.ones(3, 5)).isnan()
    assert mean_pairwise_distance(vectors[:1]).isnan()


def test_thumbnails_average_areas():
    images = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        thumbnails(images).reshape(2, 3, 16, 16), images.reshape(2, 3, 16, 2, 16, 4).mean((3, 5)), atol=1e-6
    )
    assert thumbnails(images[..., :8, :8]).shape == (2, 3 * 64)


CYCLE = {"pixel": {"method": "cyclegan", "options": {"pool": 2}}}


class Negative(nn.Module):
    def forward(self, x):
        return -x


def test_the_grid_of_a_stage_is_watched(tmp_path):
    config = tiny_config(CYCLE, **STREETS)
    device, (stage,) = Device.find("cpu"), plan(config)
    datasets = load_datasets(config, [stage], device)
    source = datasets.source["test"]
    nets = Networks({"g_st": Negative(), "g_ts": nn.Identity()})
    drawn = image_grid(
        stage, nets, source.sample(3), datasets.target["train"].sample(3), device, tmp_path / "grid.png"
    )
    assert torch.equal(drawn["fake_t"], -drawn["real_s"])
    found = translation_warnings(stage, drawn, source, datasets, 3)
    assert (found["alarm/inversion_t"], found["quality/luminance_correlation_t"]) == (1, -1)
    assert (found["alarm/identity_s"], found["quality/change_s"]) == (1, 0)
    assert (
        found["alarm/inversion_s"]
        == found["alarm/identity_t"]
        == found["alarm/collapse_t"]
        == found["alarm/collapse_s"]
        == 0
    )


def test_warnings_come_once_a_kind_and_not_in_passing():
    said = []
    warner = WarnOnce("pixel", said.append)
    rings = {
        "alarm/inversion_t": 1.0,
        "alarm/identity_t": 0.0,
        "quality/luminance_correlation_t": -0.6,
        "quality/change_t": 0.5,
        "quality/least_change_t": 0.1,
    }
    quiet = rings | {"alarm/inversion_t": 0.0}
    warner.update(rings, last=False)
    warner.update(quiet, last=False)
    warner.update(rings, last=False)
    assert said == []
    warner.update(rings, last=False)
    warner.update(rings, last=True)
    assert len(said) == 1
    assert said[0].startswith(
        "stage pixel, source to target: light and dark have changed places (correlation of luminance -0.60"
    )
    WarnOnce("pixel", said.append).update(rings, last=True)
    assert len(said) == 2


@pytest.mark.trains
def test_a_stage_writes_them_and_others_do_not(tmp_path):
    stages = {"source": {"method": "source_only"}, **CYCLE}
    summary = run(
        tiny_config(
            stages, **STREETS, results=str(tmp_path), logging={"report_every": 1, "evaluate_every": 2}
        )
    )
    rows = {
        s.name: [json.loads(line) for line in (s.folder / "metrics.jsonl").read_text().splitlines()]
        for s in summary.stages
    }
    assert not any(key.startswith(("alarm/", "quality/")) for row in rows["source"] for key in row)
    evaluated = [row for row in rows["pixel"] if "quality/diversity_t" in row]
    assert [row["step"] for row in evaluated] == [2, 3]
    kinds = ("inversion", "identity", "collapse")
    assert {key for key in evaluated[0] if key.startswith("alarm/")} == {
        f"alarm/{kind}_{look}" for kind in kinds for look in "st"
    }
