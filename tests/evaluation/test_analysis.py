"""What a stage keeps for reports: predictions that make the scores, closed forms of drift, criteria that need
no target label."""

import json

import numpy as np
import pytest
import torch
from helpers.experiments import CYCADA, tiny_config
from torch import nn

from cycada.core.types import Output
from cycada.evaluation.analysis import FEATURES
from cycada.evaluation.drift import DRIFT, NOISE, drift
from cycada.methods import Networks
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.train.device import Device

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def pixel():
    """The tiny experiment's pixel stage and its data."""
    config = tiny_config({"source": CYCADA["source"], "pixel": CYCADA["pixel"]})
    device = Device.find("cpu")
    plans = plan(config)
    return plans[1], load_datasets(config, plans, device), device


class Brightness(nn.Module):
    """Classifies by mean brightness, in ten steps: a translation that brightens flips classes in a known
    way."""

    def forward(self, x):
        level = ((x.mean((1, 2, 3)) + 1) * 5).long().clamp(0, 9)
        return Output(level.float().unsqueeze(1), nn.functional.one_hot(level, 10).float())


class Lighter(nn.Module):
    def forward(self, x):
        return x + 0.4


class Darker(nn.Module):
    def forward(self, x):
        return x - 0.4


def of(pixel, g_st, g_ts):
    stage, datasets, device = pixel
    with torch.no_grad():
        return drift(stage, Networks({"f_s": Brightness(), "g_st": g_st, "g_ts": g_ts}), datasets, device)


def test_a_translation_that_changes_nothing_has_no_drift(pixel):
    flips, scores = of(pixel, nn.Identity(), nn.Identity())
    assert scores["flip_rate_t"] == scores["flip_rate_s"] == scores["cycle_l1"] == 0
    assert scores["translation_accuracy"] == scores["reconstruction_accuracy"]
    assert scores["noise_sensitivity"] == pytest.approx(1, abs=1e-3)
    assert scores["cycle_l1_noisy"] == pytest.approx(NOISE * np.sqrt(2 / np.pi), rel=0.02)
    assert (flips["flip_t"] == np.diag(np.diag(flips["flip_t"]))).all()
    assert flips["flip_t"].sum() == min(DRIFT, len(pixel[1].source["test"]))


def test_a_cycle_that_hides_the_loss_is_seen(pixel):
    """Every class moves up by two and comes back: flips everywhere, though the cycle is perfect."""
    flips, scores = of(pixel, Lighter(), Darker())
    assert scores["flip_rate_t"] > 0.9
    assert scores["cycle_l1"] == pytest.approx(0, abs=1e-5)
    assert scores["reconstruction_accuracy"] != scores["translation_accuracy"]
    rows, columns = np.nonzero(flips["flip_t"])
    assert set(columns - rows) <= {1, 2}  # +0.4 is two of the ten steps, one where rounding falls so
    assert set(np.nonzero(flips["flip_s"])[0] - np.nonzero(flips["flip_s"])[1]) <= {0, 1, 2}


def test_stages_keep_what_makes_their_scores(finished):
    summary, _ = finished
    for stage in summary.stages:
        with np.load(stage.folder / "analysis.npz") as stored:
            found = dict(stored)
        counts = json.loads((stage.folder / "confusion.json").read_text())
        for side, count in counts.items():
            naive = np.zeros((10, 10), int)
            for truth, said in zip(found[f"label_{side}"], found[f"predicted_{side}"], strict=True):
                naive[truth, said] += 1
            assert naive.tolist() == count
            assert np.mean(found[f"label_{side}"] == found[f"predicted_{side}"]) == pytest.approx(
                stage.scores[side]["accuracy"], abs=1e-6
            )
        assert found["features_source"].shape == (40, 16)
        assert len(found["features_target"]) == FEATURES
        assert ("features_translated" in found) == (stage.name != "source")
        assert (stage.folder / "drift.json").exists() == ("flip_t" in found) == (stage.name == "pixel")
        last = [json.loads(line) for line in (stage.folder / "metrics.jsonl").read_text().splitlines()][-1]
        assert last["selection/source_accuracy"] == stage.scores["source"]["accuracy"]
        assert ("selection/agreement" in last) == (stage.name != "source")


def test_evaluate_makes_up_for_a_run_of_an_older_version(finished, cycada):
    summary, results = finished
    folder = summary.stages[1].folder
    before = {name: (folder / name).read_bytes() for name in ("analysis.npz", "drift.json")}
    with np.load(folder / "analysis.npz") as stored:
        arrays = dict(stored)
    for name in before:
        (folder / name).unlink()
    done = (folder / "done").read_text()
    (folder / "done").write_text("2026-01-01T00:00:00+00:00\n")
    assert cycada("evaluate", folder, "--results", results)[0] == 0
    assert (folder / "drift.json").read_bytes() == before["drift.json"]
    with np.load(folder / "analysis.npz") as stored:
        assert all((stored[k] == v).all() for k, v in arrays.items())
    (folder / "done").write_text(done)
