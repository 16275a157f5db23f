"""Epochs are steps: of the images that are there, counted as the papers' code counts, and the same stage as
those steps."""

import json

import numpy as np
import pytest
import yaml
from helpers.experiments import CYCADA, TINY, tiny_config
from helpers.paths import REAL_DATA, ROOT
from PIL import Image

from cycada.config.schema import load
from cycada.core.errors import Absent, CycadaError
from cycada.core.yaml_files import merge, override
from cycada.data import domains, segmentation_domains
from cycada.data.domain import Wanted
from cycada.planning.epochs import sets_of
from cycada.planning.plan import plan, replace_epochs_by_steps
from cycada.runs.run import run

CONFIGS = ROOT / "configs"
REAL = REAL_DATA  # third-party data, where they are
FOLDER = {"source": {"name": "folder", "train": "a", "test": "a"}, "size": 16, "channels": 3}


def steps(config):
    return {p.name: p.stage.steps for p in plan(config)}


@pytest.mark.parametrize(
    ("preset", "expected"),
    # as many as tools/train_task_net.py and train_adda_net.py of the release, and its CycleGAN, make of the
    # official sets
    [
        ("digits/mnist_usps/full", {"source": 46_900, "pixel": 30_000, "task": 46_900, "feature": 11_400}),
        (
            "digits/mnist_usps/release",
            {"source": 46_900, "pixel": 120_000, "task": 46_900, "feature": 11_400},
        ),
        ("digits/usps_mnist/full", {"source": 5_700, "pixel": 30_000, "task": 5_700, "feature": 11_400}),
        ("digits/svhn_mnist/full", {"source": 57_300, "pixel": 36_650, "task": 57_300, "feature": 93_800}),
        (
            "digits/svhn_mnist/release",
            {"source": 57_300, "pixel": 146_600, "task": 57_300, "feature": 93_800},
        ),
        ("segmentation/gta5_cityscapes/fcn8s", {"pixel": 499_320}),
        ("segmentation/gta5_cityscapes/fcn8s_release", {"pixel": 248_060}),
    ],
)
def test_presets_train_for_the_epochs_of_the_official_sets(preset, expected):
    assert steps(load(CONFIGS / f"{preset}.yaml", ["data.root=nowhere"])).items() >= expected.items()


def test_epochs_are_the_same_stage_as_the_steps_that_they_come_to():
    by_steps, by_epochs = (
        tiny_config(
            {"source": {"method": "source_only", "batch": 8, "steps": 0} | stage}, defaults={"steps": None}
        )
        for stage in ({"steps": 300}, {"steps": None, "epochs": 20})
    )
    assert steps(by_epochs) == {"source": 300}, "20 passes over 120 images, 15 steps each"
    assert [p.identity() for p in plan(by_steps)] == [p.identity() for p in plan(by_epochs)]
    stored = replace_epochs_by_steps(by_epochs, plan(by_epochs))
    assert stored == by_steps, "what is stored needs no data to be read"


def test_a_short_last_batch_is_a_step_and_processes_share_an_epoch(monkeypatch):
    stages = {"source": {"method": "source_only", "batch": 50, "epochs": 2}}
    assert steps(tiny_config(stages, defaults={"steps": None})) == {"source": 6}, "50, 50 and 20 images"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert steps(tiny_config(stages, defaults={"steps": None})) == {"source": 4}, "100 and 20 images"


@pytest.mark.parametrize(
    ("kinds", "oracle", "sets", "decides"),
    [
        ({"f"}, False, ("source",), max),
        ({"f"}, True, ("oracle",), max),
        ({"g", "d", "f", "d_feat"}, False, ("source", "target"), max),
        ({"pair_g"}, False, ("source", "target"), max),
        ({"f", "d_feat"}, False, ("source", "target"), min),
    ],
)
def test_what_an_epoch_is_a_pass_over(kinds, oracle, sets, decides):
    assert sets_of(kinds, oracle) == (sets, decides)


def test_every_stage_counts_its_own_set():
    stages = {name: {**stage, "batch": 10, "epochs": 1} for name, stage in CYCADA.items()}
    stages["oracle"] = {"method": "target_only", "batch": 10, "epochs": 1}
    found = steps(tiny_config(stages, defaults={"steps": None}))
    assert found == {"source": 12, "pixel": 130, "task": 12, "feature": 12, "oracle": 130}, (
        "120 drawn and 1,297 real digits"
    )


@pytest.mark.parametrize(
    ("stage", "found"),
    [
        ({"steps": 5, "epochs": 2}, "steps: 5 and epochs: 2"),
        ({}, "neither steps nor epochs"),
        ({"epochs": 0}, "Found 0"),
        ({"epochs": 1.5}, "Found 1.5"),
        ({"epochs": 10**9}, "15,000,000,000 steps; expected at most 1,000,000,000"),
    ],
)
def test_one_of_the_two_is_given(stage, found):
    with pytest.raises(CycadaError, match=found):
        plan(tiny_config({"source": {"method": "source_only", **stage}}, defaults={"steps": None}))


def test_what_comes_later_replaces_the_other():
    """`stages.source.steps=5` over a preset that says epochs, and epochs over the defaults' steps."""
    preset = merge(TINY, {"stages": {"source": {"epochs": 2}}})
    assert override(preset, ["stages.source.steps=5"])["stages"]["source"] == {
        "method": "source_only",
        "steps": 5,
    }
    assert override(preset, ["stages.source.steps=null"])["stages"]["source"]["epochs"] == 2
    assert steps(tiny_config({"source": {"method": "source_only", "epochs": 2}})) == {"source": 30}, (
        "in place of the defaults' steps"
    )


def test_a_folder_that_is_not_here_has_no_official_number(tmp_path):
    config = {
        "data": FOLDER | {"target": FOLDER["source"], "root": str(tmp_path)},
        "defaults": {"steps": None, "batch": 2},
    }
    stages = {"source": {"method": "source_only", "epochs": 3}}
    with pytest.raises(
        CycadaError,
        match=r"stages.source.epochs: .*'folder', which are not here.*Give the data, or write `steps`",
    ):
        plan(tiny_config(stages, **config))
    for i in range(5):
        (tmp_path / "a" / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (50 * i, 0, 0)).save(tmp_path / "a" / f"{i % 2}" / f"{i}.png")
    assert steps(tiny_config(stages, **config)) == {"source": 9}


@pytest.mark.parametrize(
    ("name", "options", "split"),
    [
        ("mnist", {}, "test"),
        ("mnist", {"drop": [12_000, 15_000]}, "train"),
        ("usps", {}, "train"),
        ("svhn", {}, "train"),
        ("mnist_m", {}, "train"),
        ("optdigits", {}, "train"),
        ("rendered_digits", {"train": 7}, "train"),
    ],
)
def test_a_domain_counts_what_it_loads(name, options, split):
    domain = domains[name](**options)
    try:
        loaded = domain.load(REAL, split, False)
    except Absent:
        pytest.skip(f"no {name} in {REAL.name} (CYCADA_DATA)")
    assert domain.count(REAL, split, False) == len(loaded)


@pytest.mark.parametrize("drive", ["all", "day", "dusk"])
def test_the_official_number_of_scenes_is_that_of_the_files(drive):
    domain = segmentation_domains["camvid"](drive=drive)
    if not (REAL / "CamVid").exists():
        pytest.skip(f"no CamVid in {REAL.name} (CYCADA_DATA)")
    assert (
        domain.counts["train"]
        == domain.count(REAL, "train", masks=True)
        == domain.count(REAL, "train", masks=False)
    )


def test_an_unlabelled_folder_is_counted_as_it_is_read(tmp_path):
    for path in ("a/x/1.png", "a/2.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    for labels, count in ((True, 1), (False, 2)):
        domain = domains["folder"](train="a", test="a")
        domain.prepare(Wanted(4, labels=labels))
        assert domain.count(tmp_path, "train", False) == count


def test_a_subset_has_epochs_of_its_own(tmp_path):
    (tmp_path / "svhn").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "svhn" / "train.npz", images=images, labels=np.zeros(300, np.int64))
    config = load(CONFIGS / "digits/svhn_mnist/full.yaml", [f"data.root={tmp_path}"])
    said = {p.name: str(p.epochs) for p in plan(config)}
    assert steps(config) == {"source": 300, "pixel": 30_000, "task": 300, "feature": 600}
    assert said["source"] == "100 epochs of 300 source images"
    assert plan(load(CONFIGS / "digits/svhn_mnist/full.yaml", ["data.root=nowhere"]))[
        0
    ].epochs.images.official


def test_a_run_stores_the_steps_and_says_them(tmp_path):
    class Heard:
        def __getattr__(self, name):
            return self.heard.append if name == "info" else getattr(quiet, name)

    from cycada.core.progress import Progress

    quiet, screen = Progress(quiet=True), Heard()
    screen.heard = []
    stages = {"source": {"method": "source_only", "batch": 60, "epochs": 2}}
    (stage,) = run(tiny_config(stages, defaults={"steps": None}, results=str(tmp_path)), screen).stages
    assert "stage source: 2 epochs of 120 source images are 4 steps" in screen.heard
    stored = yaml.safe_load((stage.folder / "config.yaml").read_text())["experiment"]["stages"]["source"]
    assert (stored["steps"], stored["epochs"]) == (4, None)
    assert (
        json.loads((stage.folder / "manifest.json").read_text()).items() >= {"steps": 4, "epochs": 2}.items()
    )
    stages = {"source": {"method": "source_only", "batch": 60, "steps": 4}}
    (again,) = run(tiny_config(stages, results=str(tmp_path))).stages
    assert (again.reused, again.id) == (True, stage.id)
