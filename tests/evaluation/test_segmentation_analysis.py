"""What a stage of scenes keeps for reports: counts of every scene that make its scores, pixels' features,
drift in closed form."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.streets import STREETS
from torch import nn

from cycada.core.types import IGNORE, Batch, Output
from cycada.data import ResizedDataset
from cycada.data.streets.domain import Streets
from cycada.evaluation.analysis import _at_places, _features
from cycada.evaluation.drift import NOISE, drift
from cycada.evaluation.tasks import EVALUATIONS
from cycada.methods import Networks
from cycada.methods.cycada import PixelTensors, TaskOptions
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.storage.store import MISTAKES
from cycada.train.device import Device

pytestmark = pytest.mark.trains

STAGES = {
    "source": {"method": "source_only"},
    "pixel": {
        "method": "cycada_pixel",
        "crop": [16, 32],
        "init": {"f_s": "source.f_t"},
        "options": {"pool": 4},
    },
    "loose": {
        "method": "cycada_pixel",
        "crop": [16, 32],
        "init": {"f_s": "source.f_t"},
        "options": {"pool": 4},
        "losses": {"semantic_t": 0, "semantic_s": 0},
    },
}


def streets(**over):
    return tiny_config(STAGES, **(STREETS | over))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    summary = run(streets(defaults={"batch": 2, "steps": 1}, results=str(tmp_path_factory.mktemp("streets"))))
    return {stage.name: stage for stage in summary.stages}


@pytest.fixture(scope="module")
def pixel():
    """A pixel stage on streets whose images are drawn larger than the networks see them."""
    data = {"source": {"name": "streets", "look": "game", "train": 2, "test": 4}, "size": [32, 64]}
    config = streets(data=STREETS["data"] | data)
    device = Device.find("cpu")
    plans = plan(config)
    return plans[1], load_datasets(config, plans, device), device


class Redness(nn.Module):
    """Names every pixel by how red it is, in nine steps; its features are red, green, blue at half the
    size."""

    def forward(self, x):
        level = ((x[:, 0] + 1) * 4.5).long().clamp(0, 8)
        return Output(
            nn.functional.avg_pool2d(x, 2), nn.functional.one_hot(level, 9).permute(0, 3, 1, 2).float()
        )


class Redder(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x + self.by * torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)


def of(pixel, g_st, g_ts):
    stage, datasets, device = pixel
    with torch.no_grad():
        return drift(stage, Networks({"f_s": Redness(), "g_st": g_st, "g_ts": g_ts}), datasets, device)


def read(folder, name="analysis.npz"):
    with np.load(folder / name) as stored:
        return dict(stored)


def test_a_translation_that_changes_nothing_has_no_drift(pixel):
    flips, scores = of(pixel, nn.Identity(), nn.Identity())
    assert scores["flip_rate_t"] == scores["flip_rate_s"] == scores["cycle_l1"] == 0
    assert scores["translation_accuracy"] == scores["reconstruction_accuracy"]
    assert scores["noise_sensitivity"] == pytest.approx(1, abs=1e-3)
    assert scores["cycle_l1_noisy"] == pytest.approx(NOISE * np.sqrt(2 / np.pi), rel=0.02)
    assert (flips["flip_t"] == np.diag(np.diag(flips["flip_t"]))).all()
    assert flips["flip_t"].sum() == 4 * 32 * 64, "every pixel of every scene"
    assert flips["flip_s"].sum() == 3 * 32 * 64


class Blackening(nn.Module):
    """Remembers the sizes that it was given, and answers with black pictures of them."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, x):
        self.seen.add(tuple(x.shape[-2:]))
        return torch.full_like(x, -1.0)


@pytest.mark.parametrize(("scale", "size"), [(None, (32, 64)), (0.5, (16, 32))])
def test_features_are_of_what_the_classifier_sees_in_training(pixel, scale, size):
    """The generator sees scenes at `translate_at`, the classifier its answers at the stage's size: as fake_t
    is made."""
    stage, datasets, device = pixel
    options, g_st, in_training = TaskOptions(translate_at=scale), Blackening(), Blackening()
    batch = Batch(torch.zeros(1, 3, 32, 64), torch.empty(0), torch.empty(0))
    with torch.no_grad():
        found = _features(
            replace(stage, options=options), Networks({"f_t": Redness(), "g_st": g_st}), datasets, device
        )
        assert PixelTensors(Networks({"g_st": in_training}), batch, options).fake_t.shape == (1, 3, 32, 64)
    assert g_st.seen == in_training.seen == {size}
    assert len(found["features_translated"]) == len(found["features_source"])
    assert (found["features_translated"] == -1).all(), "of the translation, at its full size"
    assert (found["features_source"] != -1).any()


def test_flips_and_accuracies_are_those_of_a_naive_loop(pixel):
    flips, scores = of(pixel, Redder(0.4), Redder(-0.4))
    source, f_s = pixel[1].source["test"], Redness()
    naive, right, count, error = np.zeros((9, 9), int), 0, 0, []
    photos = ResizedDataset(Streets(look="photo", test=4).load(None, "test"), (32, 64))
    for i in range(4):
        image, mask, _ = source.read(i)
        assert mask.shape == (64, 128), "at its own size"
        x = image[None].float() / 127.5 - 1
        before, after = (f_s(v).logits.argmax(1)[0] for v in (x, Redder(0.4)(x)))
        for y in range(32):
            for z in range(64):
                naive[before[y, z], after[y, z]] += 1
                label = int(mask[2 * y + 1, 2 * z + 1])
                count += label != IGNORE
                right += int(after[y, z]) == label != IGNORE
        error.append((Redder(0.4)(x) - (photos.read(i)[0][None].float() / 127.5 - 1)).abs().mean())
    assert (flips["flip_t"] == naive).all()
    assert scores["flip_rate_t"] == pytest.approx(1 - np.trace(naive) / naive.sum())
    assert scores["translation_accuracy"] == pytest.approx(right / count, abs=0.02), (
        "the nearest pixel of two is either"
    )
    assert scores["cycle_l1"] == pytest.approx(0, abs=1e-6)
    assert scores["translation_error_l1"] == pytest.approx(float(np.mean(error)), abs=1e-5)


def test_a_perfect_translation_has_no_error(pixel):
    """The truth is another painting of the same streets; a translation that answers with it is right to the
    last digit."""
    stage, datasets, device = pixel
    source, target = datasets.source["test"], datasets.target["test"]
    parts = EVALUATIONS["segmentation"].parts
    truths = [image for image, _ in parts(source.true_translation(target), 0, device)]

    class Oracle(nn.Module):
        def forward(self, x):
            seen = [torch.equal(x, image) for image, _ in parts(source, 0, device)]
            return truths[seen.index(True)]

    scores = drift(
        stage, Networks({"f_s": Redness(), "g_st": Oracle(), "g_ts": nn.Identity()}), datasets, device
    )[1]
    assert scores["translation_error_l1"] == 0
    assert scores["untranslated_l1"] > 0.1
    assert of(pixel, nn.Identity(), nn.Identity())[1]["translation_error_l1"] == pytest.approx(
        scores["untranslated_l1"]
    )
    assert source.inner.without_labels().true_translation(target.inner).look == "photo"


def test_features_are_of_the_same_labelled_places_before_and_after(pixel):
    stage, datasets, device = pixel
    found = _features(stage, Networks({"f_t": Redness(), "g_st": Redder(0.25)}), datasets, device)
    assert set(found) == {
        "features_source",
        "features_target",
        "features_translated",
        "feature_labels_source",
        "feature_labels_target",
    }
    for side in ("source", "target"):
        assert 300 < len(found[f"features_{side}"]) == len(found[f"feature_labels_{side}"]) <= 500
        assert set(found[f"feature_labels_{side}"]) <= set(range(9))
    step = found["features_translated"].astype(float) - found["features_source"]
    assert step.mean(0) == pytest.approx([0.25, 0, 0], abs=1e-3)
    assert step.std(0).max() < 2e-3, "half precision"


def test_places_are_spread_and_never_ignored():
    labels = torch.zeros(1, 40, 80, dtype=torch.long)
    labels[:, :, :40] = IGNORE
    features = torch.stack(torch.meshgrid(torch.arange(20.0), torch.arange(40.0), indexing="ij"))
    at, said = _at_places(features, labels, 0, 40)
    everywhere, _ = _at_places(features, None, 0, 40)
    assert len(everywhere) == 40
    assert (at[:, 1] >= 20).all()
    assert (said == 0).all()
    assert 15 <= len(at) <= 25
    assert sorted(everywhere[:, 0].tolist()) == [i // 2 for i in range(40)], "two in every row"
    gaps = np.diff(sorted(everywhere[:, 1].tolist()))
    assert gaps.max() <= 3, "and in nearly every column"
    other, _ = _at_places(features, None, 1, 40)
    assert not torch.equal(other, everywhere)


def test_stages_keep_what_makes_their_scores(trained):
    for stage in trained.values():
        found = read(stage.folder)
        confusion = json.loads((stage.folder / "confusion.json").read_text())
        for side, counts in confusion.items():
            assert found[f"counts_{side}"].shape == (3, 9, 9)
            assert found[f"counts_{side}"].dtype == np.int32
            assert found[f"counts_{side}"].sum(0).tolist() == counts
            assert (found[f"counts_{side}"].sum((1, 2)) <= 64 * 128).all()
        assert found["palette"].shape == (9, 3)
        assert list(found["classes"][:2]) == ["road", "pavement"]
        assert ("mistake_iou" in found) == (stage.folder / "images" / MISTAKES).exists() == bool(confusion)
        assert ("features_translated" in found) == (stage.name != "source")
        assert (stage.folder / "drift.json").exists() == ("flip_t" in found) == (stage.name != "source")


def test_a_translation_without_a_semantic_loss_is_seen_through_the_f_s_that_it_names(trained):
    """The stage never builds f_s, and is not scored by one; what it does to classes is measured all the
    same."""
    loose = trained["loose"]
    scores = json.loads((loose.folder / "drift.json").read_text())
    assert {
        "flip_rate_t",
        "flip_rate_s",
        "translation_accuracy",
        "translation_error_l1",
        "untranslated_l1",
    } <= set(scores)
    assert loose.scores == {}
    assert json.loads((loose.folder / "confusion.json").read_text()) == {}


def test_evaluate_makes_up_for_a_run_of_an_older_version(trained, cycada):
    folder = trained["pixel"].folder
    before, drifted = read(folder), (folder / "drift.json").read_bytes()
    np.savez_compressed(folder / "analysis.npz", classes=before["classes"])  # what scenes kept at first
    (folder / "drift.json").unlink()
    (folder / "done").write_text("2026-01-01T00:00:00+00:00\n")  # from before there were digests
    code, _, err = cycada("evaluate", folder)
    assert code == 0, err
    assert (folder / "drift.json").read_bytes() == drifted
    after = read(folder)
    assert set(after) == set(before)
    assert all((after[k] == v).all() for k, v in before.items())
