"""The full GTA5 -> Cityscapes recipes on drawn stand-ins in the official layouts, a tenth as large: every
stage, two steps."""

import json
import math

import pytest
from helpers.experiments import size_of
from PIL import Image

from cycada.config.schema import load
from cycada.core.errors import CycadaError
from cycada.data.streets.stand_ins import write_stand_ins
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.speed.measure import measured_before, measurements_as_markdown
from cycada.train.device import Device
from experiments.smoke_gta5 import RECIPES

pytestmark = pytest.mark.trains

SMALL = {"size": {"source": [104, 188], "target": [104, 208]}, "crop": [64, 72]}
SMALL_PIXEL = {"size": {"source": [56, 104], "target": [52, 104]}, "crop": [40, 40]}
SMALLEST = {"size": {"source": [28, 48], "target": [24, 48]}, "crop": [16, 24], "steps": 1}
"""For a network of full width."""
NETWORKS = {
    "f": {"name": "small_segmenter", "channels": 4, "width": 8},
    "g": {"name": "resnet", "channels": 4, "blocks": 1},
    "d": {"name": "patchgan", "channels": 4, "layers": 2},
    "d_feat": {"name": "pixel_mlp", "width": 8},
}
DEEPLAB = {"name": "segmenter", "model": "test_resnet", "head": "deeplabv2", "output_stride": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_stand_ins(root, 0.1)
    return root


def small(name, root, results, *more):
    """A recipe with its sizes, networks and steps cut down, and nothing else."""
    recipe = load(RECIPES / f"{name}.yaml")
    over = ["data.workers=0", f"data.root={root}", f"results={results}", "tracking.kind=none", "threads=1"]
    over.append(f"networks={json.dumps(NETWORKS | ({'f': DEEPLAB} if name == 'resnet' else {}))}")
    for stage in recipe.stages:
        cut = SMALL_PIXEL if stage == "pixel" else SMALL
        over += [
            f"stages.{stage}.{key}={json.dumps(value)}"
            for key, value in {**cut, "steps": 2, "batch": 2}.items()
        ]
    return load(RECIPES / f"{name}.yaml", [*over, *more])


@pytest.mark.parametrize("name", ["fcn8s", pytest.param("drn26_release", marks=pytest.mark.slow), "resnet"])
def test_every_stage_of_a_recipe_runs(name, root, tmp_path):
    summary = run(small(name, root, tmp_path))
    assert [s.name for s in summary.stages] == list(load(RECIPES / f"{name}.yaml").stages)
    counts = {"source train": 2 if name.endswith("release") else 3, "target train": 3, "target test": 2}
    for stage in summary.stages:
        assert json.loads((stage.folder / "manifest.json").read_text())["images"] == counts
        scored = (
            stage.name != "pixel" or name == "resnet"
        )  # without a semantic loss nothing names what is translated
        assert set(stage.scores) == ({"target"} if scored else set()), "no source frames are left to score"
    assert sum(len(list(s.folder.glob("images/grid_*.png"))) for s in summary.stages) == 3
    (translated,) = {
        path.parent for path in tmp_path.glob("translated/*/*.png")
    }  # once, for both stages that learn from it
    assert {size_of(path) for path in translated.iterdir()} == {(188, 104) if name == "resnet" else (104, 56)}


@pytest.mark.slow
def test_the_semantic_pixel_step_runs_checkpointed_in_bf16(root, tmp_path):
    saving = {"f_s": {"name": "drn26", "checkpointing": True}, "g": {**NETWORKS["g"], "checkpointing": True}}
    later = [f"stages.{name}=null" for name in ("task", "feature", "oracle")]
    cut = ["networks.f={name: drn26}", f"stages.pixel.networks={json.dumps(saving)}", *later]
    cut += [
        f"stages.{name}.{key}={json.dumps(value)}"
        for name in ("source", "pixel")
        for key, value in SMALLEST.items()
    ]
    found = run(small("drn26_semantic", root, tmp_path, *cut)).stages[-1]
    assert set(found.scores) == {"target"}, "f_s names what is translated back"
    row = json.loads((found.folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"loss/semantic_t", "loss/semantic_s", "gradient/semantic_t"} <= set(row)
    assert all(math.isfinite(value) for value in row.values())


def test_a_target_without_masks_is_that_of_the_extra_frames(root, tmp_path):
    names = []
    for extra in (True, False):
        config = small("drn26", root, tmp_path, f"data.target.extra={extra}".lower())
        datasets = load_datasets(config, plan(config), Device.find("cpu"))
        train, oracle = datasets.target["train"], datasets.oracle
        assert (train.labelled, oracle.labelled, "test" in datasets.source) == (False, True, False)
        names.append(
            (train.inner.paths[0][0].parts[-3], oracle.inner.paths[0][0].parts[-3], datasets.fingerprint)
        )
    assert [n[:2] for n in names] == [("train_extra", "train"), ("train", "train")]
    assert names[0][2] != names[1][2]


def test_the_semantic_recipe_shares_its_source_stage_and_saves_memory_only_in_the_pixel_step():
    plain, semantic = (
        {p.name: p for p in plan(load(RECIPES / f"{name}.yaml"))} for name in ("drn26", "drn26_semantic")
    )
    assert plain["source"].identity() == semantic["source"].identity()
    terms = {t.name for phase in semantic["pixel"].phases for t in phase.terms} - {
        t.name for p in plain["pixel"].phases for t in p.terms
    }
    assert terms == {"semantic_s", "semantic_t"}
    assert semantic["pixel"].specs["g_st"].options["checkpointing"]


def test_the_recipes_are_those_of_their_sources():
    """Their numbers, as the configs resolve them."""
    stages = {
        name: {p.name: p for p in plan(load(RECIPES / f"{name}.yaml"))}
        for name in ("drn26", "drn26_release", "resnet")
    }

    def of(name, stage, phase=0):
        return dict(stages[name][stage].phases[phase].optimizer)

    sgd = {"name": "sgd", "lr": 1e-3, "weight_decay": 5e-4}
    assert of("drn26", "source") == of("drn26", "task") == {**sgd, "momentum": 0.9, "betas": (0.9, 0.999)}
    assert of("drn26_release", "source")["momentum"] == 0.99
    assert {of(n, "feature", k)["lr"] for n in stages for k in (0, 1)} == {1e-5}
    assert {(t.name, t.weight) for t in stages["drn26_release"]["feature"].phases[0].terms} == {
        ("task_translated", 1),
        ("feature_gan", 0.1),
    }
    assert stages["drn26"]["feature"].options.gate == 0.6
    windows = {n: [s[k].stage.crop for k in ("source", "pixel", "feature")] for n, s in stages.items()}
    assert windows["drn26"] == [(600, 600), (400, 400), (768, 768)]
    assert windows["drn26_release"] == [(1024, 1864), (400, 400), (768, 768)]
    assert windows["resnet"] == [(512, 1024), (256, 512), (512, 1024)]
    weights = {t.name: t.weight for t in stages["resnet"]["pixel"].phases[0].terms}
    assert weights == {
        "gan_t": 1,
        "gan_s": 1,
        "cycle_s": 10,
        "cycle_t": 10,
        "identity_s": 5,
        "identity_t": 5,
        "semantic_t": 1,
        "semantic_s": 1,
    }
    assert (of("resnet", "source")["lr"], of("resnet", "source")["head_lr"]) == (2.5e-4, 2.5e-3)


def test_the_stand_ins_are_of_the_official_kinds_and_proportions(root):
    with (
        Image.open(root / "gta5" / "labels" / "00001.png") as mask,
        Image.open(root / "gta5" / "images" / "00001.png") as image,
    ):
        assert (mask.mode, mask.size, image.size) == ("P", (191, 105), (191, 105))
    (file,) = (root / "cityscapes" / "gtFine" / "val" / "ulm").glob("*000001*")
    with Image.open(file) as mask:
        assert (mask.mode, mask.size) == ("L", (205, 102))


def test_the_smoke_table_has_a_row_a_stage():
    row = {
        "config": "drn26",
        "stage": "source",
        "batch": 8,
        "window": [600, 600],
        "precision": "fp32",
        "steps": 2,
        "trained_seconds": 3.5,
        "seconds": 9,
        "peak_gb": 2.0,
    }
    assert "| drn26 | source | 8 | 600 x 600 | fp32 | 2 | 3.5 | 9 | 2.0 |" in measurements_as_markdown(
        [row], "A paragraph."
    )


def test_a_stage_that_two_recipes_share_has_its_numbers_in_both(tmp_path):
    took = {"trained_seconds": 3.0, "seconds": 4.0, "peak_gb": 5.0}
    (tmp_path / "fcn8s.json").write_text(
        json.dumps([{"id": "other"} | took, {"id": "shared", "stage": "pixel"} | took | {"peak_gb": 6.0}])
    )
    assert measured_before(tmp_path, "shared") == took | {"peak_gb": 6.0}
    with pytest.raises(CycadaError, match="not measured"):
        measured_before(tmp_path, "unknown")
