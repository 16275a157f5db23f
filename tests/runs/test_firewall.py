"""Target labels never reach training: poisoned or missing, every weight stays the same bit for bit."""

from pathlib import Path

import pytest
import torch
from helpers.experiments import CYCADA, tiny_config
from safetensors.torch import load_file

from cycada.data import ImageDataset
from cycada.data.readers.rendered_digits import OptDigits
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.train.device import Device

pytestmark = pytest.mark.trains


def weights(summary):
    return [load_file(Path(s.folder) / "weights.safetensors") for s in summary.stages]


@pytest.mark.parametrize("poison", ["shuffled", "one class", "none"])
def test_poisoned_target_training_labels_change_no_weight_and_no_id(poison, tmp_path, monkeypatch, finished):
    load = OptDigits.load

    def poisoned(self, root, split, download):
        found = load(self, root, split, download)
        if split == "test":
            return found
        labels = {
            "shuffled": found.labels.flip(0),
            "one class": torch.zeros_like(found.labels),
            "none": None,
        }[poison]
        return ImageDataset(found.images, labels)

    monkeypatch.setattr(OptDigits, "load", poisoned)
    summary = run(tiny_config(CYCADA, results=str(tmp_path)))
    for one, other in zip(weights(summary), weights(finished[0]), strict=True):
        assert all(torch.equal(v, other[k]) for k, v in one.items())
    assert [s.id for s in summary.stages] == [s.id for s in finished[0].stages]


def test_target_test_labels_are_for_scores_alone(tmp_path, monkeypatch, finished):
    load = OptDigits.load

    def poisoned(self, root, split, download):
        found = load(self, root, split, download)
        return ImageDataset(found.images, torch.zeros_like(found.labels)) if split == "test" else found

    monkeypatch.setattr(OptDigits, "load", poisoned)
    summary = run(tiny_config(CYCADA, results=str(tmp_path)))
    for one, other in zip(weights(summary), weights(finished[0]), strict=True):
        assert all(torch.equal(v, other[k]) for k, v in one.items())


def test_training_data_of_the_target_holds_no_labels_unless_a_stage_is_an_oracle():
    config = tiny_config(CYCADA)
    datasets = load_datasets(config, plan(config), Device.find("cpu"))
    assert datasets.target["train"].labels is None
    assert datasets.oracle is None
    oracle = tiny_config({"oracle": {"method": "target_only"}})
    assert load_datasets(oracle, plan(oracle), Device.find("cpu")).oracle is not None
