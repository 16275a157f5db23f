"""What f_s cannot see in the target is named before a semantic loss forbids it, without a target label, and
nothing else moves."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.experiments import CYCADA, tiny_config
from helpers.streets import STREETS
from torch import nn

from cycada.data import to_float
from cycada.evaluation.missing_classes import warn_of_missing_classes
from cycada.methods import Networks
from cycada.metrics.missing_classes import describe_classes, find_rarely_predicted
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.report.semantics import SharedTranslation, missing
from cycada.report.sheets import drift_sheet
from cycada.runs.run import run
from cycada.sweeps.sweep import train_job
from cycada.train.device import Device

pytestmark = pytest.mark.trains


def test_rarely_found_by_hand():
    assert find_rarely_predicted([50, 50, 0], [10, 10, 10]) == {2: (0, pytest.approx(1 / 3))}
    assert find_rarely_predicted([93, 7], [50, 50]) == {1: (0.07, 0.5)}  # a tenth is the bound
    assert find_rarely_predicted([89, 11], [50, 50]) == {}
    assert find_rarely_predicted([90, 1], [90, 1]) == {}  # rare in both
    assert find_rarely_predicted([5, 0], [5, 0]) == {}  # absent from both
    assert find_rarely_predicted([0, 0], [5, 5]) == {}
    assert (
        describe_classes({1: (0.003, 0.099)}, ["eight", "9% ash"])
        == "9% ash (0.3 % of the target, 9.9 % of the source)"
    )


def test_chance_alone_names_no_class():
    random = np.random.default_rng(0)
    for _ in range(200):
        assert (
            find_rarely_predicted(np.bincount(random.integers(10, size=1000), minlength=10), [100] * 10) == {}
        )


class Never(nn.Module):
    """Names classes 0..9 in turn by the first pixel row's sum, but never `without`."""

    def __init__(self, without):
        super().__init__()
        self.without, self.seen = without, 0
        self.kept = nn.Dropout(0.5)

    def forward(self, x):
        assert not self.training
        names = [k for k in range(10) if k not in self.without]
        said = torch.tensor([names[(self.seen + i) % len(names)] for i in range(len(x))])
        self.seen += len(x)
        return SimpleNamespace(logits=nn.functional.one_hot(said, 10).float())


def said_of(nets, stages=CYCADA):
    config = tiny_config(stages)
    device, stage = Device.find("cpu"), plan(config)[1]
    return warn_of_missing_classes(stage, nets, load_datasets(config, [stage], device), device)


def test_a_stage_is_warned_of_classes_that_its_f_s_never_predicts():
    nets = Networks({"f_s": Never((3, 9)), "g_st": nn.Identity()}).train()
    said = said_of(nets)
    assert re.search(r"rarely predicts 3 \(0.0 % of the target, [\d.]+ % of the source\); 9 \(0.0 %", said)
    assert "semantic_t and semantic_s" in said
    assert "semantic_t=0" in said
    assert nets.training
    assert nets.f_s.training
    assert said_of(Networks({"f_s": Never(())})) is None
    without = CYCADA["pixel"] | {"losses": {"semantic_t": 0, "semantic_s": 0}}
    assert said_of(Networks({"f_s": Never((3,))}), CYCADA | {"pixel": without}) is None


def test_scenes_are_left_alone():
    config = tiny_config({k: CYCADA[k] for k in ("source", "pixel")}, **STREETS)
    device, stage = Device.find("cpu"), plan(config)[1]
    assert (
        warn_of_missing_classes(
            stage, Networks({"f_s": Never((3,))}), load_datasets(config, [stage], device), device
        )
        is None
    )


def test_a_run_says_it_once_and_a_finished_one_not_again(tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr("cycada.core.progress.Progress.warn", lambda _, text: warned.append(text))
    config = tiny_config({k: CYCADA[k] for k in ("source", "pixel")}, results=str(tmp_path))
    run(config)
    found = [text for text in warned if "rarely predicts" in text]
    assert len(found) == 1  # after four steps f_s knows next to nothing
    assert found[0].startswith("stage pixel: f_s rarely predicts ")
    run(config)
    assert len([text for text in warned if "rarely predicts" in text]) == 1


def test_a_sweep_says_whose_stage_it_is(tmp_path, capfd):
    source = tiny_config({"source": CYCADA["source"]}, results=str(tmp_path))
    run(source)
    train_job(
        tiny_config({k: CYCADA[k] for k in ("source", "pixel")}, results=str(tmp_path), name="rows/one"),
        threads=None,
    )
    assert "warning: rows/one, seed 0: stage pixel: f_s rarely predicts" in capfd.readouterr().err


def test_a_report_names_them_from_the_run_folders():
    names = np.array(["a", "b", "c"])
    source, target = np.diag([30, 30, 30]), np.array([[40, 5, 0], [0, 44, 0], [0, 1, 0]])
    record = SimpleNamespace(analysis={"flip_t": source, "flip_s": target, "classes": names})
    assert (
        missing(SharedTranslation(("row",), (record, record)))
        == "c (1.1 % of the target, 33.3 % of the source)"
    )
    assert (
        missing(
            SharedTranslation(("row",), (SimpleNamespace(analysis={"flip_t": source, "classes": names}),))
        )
        is None
    )
    assert (
        missing(
            SharedTranslation(
                ("row",), (SimpleNamespace(analysis={"flip_t": source, "flip_s": source, "classes": names}),)
            )
        )
        is None
    )


def test_a_report_says_whose_f_s_where_they_differ():
    names, source = np.array(["a", "b"]), np.diag([30, 30])

    def row(name, target):
        analysis = {"flip_t": source, "flip_s": np.array(target), "classes": names}
        return SharedTranslation(
            (name,), (SimpleNamespace(analysis=analysis, drift={"flip_t": 0.1}, seed=0),)
        )

    def said(*groups, of_pixels=False):
        sheet = drift_sheet(groups, SimpleNamespace(word="accuracy", of_pixels=of_pixels))
        return [re.sub(" rarely.*", "", note) for note in sheet.notes if "rarely predicts" in note]

    no_b, no_a, both = [[30, 0], [0, 1]], [[1, 0], [0, 30]], [[30, 0], [0, 30]]
    assert said(row("one", no_b), row("two", no_b), row("three", both)) == ["f_s"]
    assert said(row("one", no_b), row("two", no_a), row("three", no_a)) == ["f_s (one)", "f_s (two; three)"]
    assert said(row("one", no_b), of_pixels=True) == []


def test_images_are_taken_from_the_whole_set():
    """Folders come class by class: the first thousand would show one class."""
    looked = []

    class Looks(Never):
        def forward(self, x):
            looked.append(x)
            return super().forward(x)

    config = tiny_config(CYCADA)
    device, stage = Device.find("cpu"), plan(config)[1]
    datasets = load_datasets(config, [stage], device)
    warn_of_missing_classes(stage, Networks({"f_s": Looks(())}), datasets, device)
    target = datasets.target["train"].images
    seen = torch.cat(looked)
    assert torch.equal(seen[0], to_float(target[:1])[0])
    assert torch.equal(seen[-1], to_float(target[-1:])[0])
