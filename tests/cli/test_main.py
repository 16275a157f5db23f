"""What a user types: one JSON object, helpful errors with exit code 2 and no traceback."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.experiments import CYCADA, size_of, tiny_config, write_config
from helpers.paths import ROOT
from PIL import Image

from cycada.data import domains
from cycada.data.streets.stand_ins import write_stand_ins
from cycada.runs.run import run

pytestmark = pytest.mark.trains

GTA5 = ROOT / "configs" / "segmentation" / "gta5_cityscapes" / "drn26.yaml"


def feature_folder(finished):
    return finished[0].stages[-1].folder


def test_run_prints_one_json_object_last(cycada, tmp_path):
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path))
    code, out, err = cycada("run", config, "--json", "seed=3")
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert "Traceback" not in err
    assert (found["name"], found["seed"]) == ("tiny", 3)
    assert list(found["stages"]) == list(CYCADA)
    for stage in found["stages"].values():
        assert {"id", "seconds", "scores"} <= set(stage)
        assert 0 <= stage["scores"]["target"]["accuracy"] <= 1
        assert len(stage["scores"]["target"]["class_accuracy"]) == 10
    folder = tmp_path / "runs" / found["stages"]["pixel"]["id"]
    for name in ("config.yaml", "metrics.jsonl", "manifest.json", "done", "weights.safetensors"):
        assert (folder / name).exists()
    assert list((folder / "images").glob("grid_*.png"))
    code, out, _ = cycada("run", config, "seed=3")
    assert code == 0
    assert "reused" in out
    assert "no target label in training or checkpoint selection" in " ".join(out.split())


def test_the_title_of_a_run_excepts_its_oracle(cycada, tmp_path):
    stages = {"oracle": {"method": "target_only", "steps": 1}}
    code, out, _ = cycada("run", write_config(tmp_path / "tiny.yaml", stages, results=str(tmp_path)))
    title = "no target label in training, but for an oracle's, or checkpoint selection"
    assert (code, title in " ".join(out.split())) == (0, True)


@pytest.mark.parametrize(
    ("override", "path", "hint"),
    [
        ("stages.pixel.stepz=3", "stages.pixel", "'steps'"),
        ("stages.pixel.losses.cycle_ss=1", "stages.pixel.losses", "'cycle_s'"),
        ("stages.pixel.losses.semantic_t.ancor=label", "stages.pixel.losses.semantic_t", "'anchor'"),
        ("stages.pixel.losses.semantic_t.anchor=labl", "stages.pixel.losses.semantic_t.anchor", "'label'"),
        ("data.source=rendered_digit", "data.source", "'rendered_digits'"),
        ("data.target.drap=3", "data.target", "option"),
        ("stages.pixel.method=cycada_pixl", "stages.pixel.method", "'cycada_pixel'"),
        ("stages.pixel.options.pol=3", "stages.pixel.options", "'pool'"),
        ("stages.pixel.options.pool=many", "stages.pixel.options.pool", "integer"),
        ("networks.g.name=resnett", "networks.g", "'resnet'"),
        ("networks.g.blocs=2", "networks.g", "'blocks'"),
        ("stages.pixel.init.f_s=source.f_x", "stages.pixel.init.f_s", "'f_t'"),
        ("stages.pixel.init.f_s=sorce.f_t", "stages.pixel.init.f_s", "'source'"),
        ("stages.pixel.optimizers.generator={lr: 1}", "stages.pixel.optimizers", "'generators'"),
        ("stages.pixel.ema={g_stt: 0.9}", "stages.pixel.ema", "'g_st'"),
        ("stages.source.losses.cycle_s=1", "stages.source.losses.cycle_s", "cycada_pixel"),
        ("stages.pixel.precision=fp16", "stages.pixel.precision", "'bf16'"),
        ("stages.pixel.augment={flip: true}", "stages.pixel.augment.flip", "mirrored"),
        ("seed", "seed", "key=value"),
        ("plugins=[no_such_module]", "plugins", "PYTHONPATH"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_loaded(cycada, tmp_path, monkeypatch, override, path, hint):
    def load(*_):
        raise AssertionError("data was loaded")

    for domain in ("rendered_digits", "optdigits"):
        monkeypatch.setattr(domains[domain], "load", load)
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path))
    for command in ("run", "check"):
        code, _, err = cycada(command, config, override)
        assert code == 2
        assert re.search(r"^error: ", err, re.MULTILINE)
        assert path in err
        assert hint in err
        assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_frozen_network_needs_a_start(cycada, tmp_path):
    stages = {"source": CYCADA["source"], "pixel": {"method": "cycada_pixel"}}
    code, _, err = cycada("check", write_config(tmp_path / "a.yaml", stages))
    assert code == 2
    assert "f_s: source.f_t" in err
    stages = {"cycle": {"method": "cyclegan"}, "task": {"method": "cycada_task"}}
    code, _, err = cycada("check", write_config(tmp_path / "b.yaml", stages))
    assert code == 2
    assert "g_st: cycle.g_st" in err
    assert "needed by task_translated" in " ".join(err.split())


DEEP = "a: " + "[" * 20_000
HUGE = "# much\n" * 600_000
BOMB = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))


@pytest.mark.parametrize(
    "text", ["a: [1", "- 1", "", "a: 1\na: 2", "uses: nowhere.yaml", DEEP, DEEP + "]" * 20_000, HUGE, BOMB]
)
@pytest.mark.parametrize("command", ["check", "sweep"])
def test_a_broken_file_is_named_in_a_line(cycada, tmp_path, command, text):
    (tmp_path / "broken.yaml").write_text(text)
    code, _, err = cycada(command, tmp_path / "broken.yaml")
    assert code == 2
    assert "broken.yaml" in err or "nowhere.yaml" in err
    assert len(err) < 800
    assert "Traceback" not in err


def test_missing_data_says_where_it_looked_what_it_wants_and_how_to_get_it(cycada, tmp_path):
    config = write_config(
        tmp_path / "a.yaml",
        data={"source": "mnist", "root": str(tmp_path / "nothing")},
        results=str(tmp_path),
    )
    code, _, err = cycada("run", config)
    assert code == 2
    assert str(tmp_path / "nothing") in err
    assert "train-images-idx3-ubyte" in err
    assert "data.download=true" in err


@pytest.mark.parametrize(
    "what",
    ["losses", "methods", "domains", "networks", "scores", "criteria", "monitors", "schedules", "recipes"],
)
def test_list(cycada, what):
    code, out, _ = cycada("list", what)
    assert code == 0
    wanted = {
        "losses": "semantic_t",
        "methods": "cycada_pixel",
        "domains": "mnist_m",
        "networks": "lenet",
        "scores": "miou",
        "criteria": "certainty",
        "monitors": "critic_accuracy",
        "schedules": "cosine",
        "recipes": "digits/mnist_usps/quick",
    }
    assert wanted[what] in out
    assert what != "domains" or "cityscapes" in out  # no name is broken


@pytest.mark.parametrize(
    "command", [[], ["run"], ["check"], ["list"], ["evaluate"], ["translate"], ["report"]]
)
def test_help(cycada, command):
    code, out, _ = cycada(*command, "--help")
    assert code == 0
    assert "Usage" in out


def test_evaluate_gives_the_scores_of_the_run_again(cycada, finished):
    summary, results = finished
    for stage in summary.stages:
        code, out, _ = cycada("evaluate", stage.folder, "--json")
        assert code == 0
        assert json.loads(out.splitlines()[-1])["scores"] == stage.scores
    code, out, _ = cycada(
        "evaluate", summary.stages[-1].id[:6], "--results", results, "--domain", "rendered_digits", "--json"
    )
    assert list(json.loads(out.splitlines()[-1])["scores"]) == ["rendered_digits"]
    assert cycada("evaluate", summary.stages[-1].folder)[0] == 0
    code, _, err = cycada("evaluate", "nothing", "--results", results)
    assert (code, "No run 'nothing'" in err) == (2, True)
    for path, what in ((results, "found a folder without config.yaml"), (Path(__file__), "it is a file")):
        code, _, err = cycada("evaluate", path, "--results", results)
        assert (code, what in err) == (2, True)


def test_evaluate_takes_the_name_of_an_experiment(cycada, finished):
    summary, results = finished
    code, out, _ = cycada("evaluate", summary.name, "--results", results, "--json")
    found = json.loads(out.splitlines()[-1])
    assert (code, found["experiment"]) == (0, summary.name)


def test_a_folder_with_the_name_of_an_experiment_does_not_hide_it(cycada, finished, monkeypatch, tmp_path):
    summary, results = finished
    results = results.resolve()
    monkeypatch.chdir(tmp_path)
    (tmp_path / summary.name).mkdir()
    assert cycada("evaluate", summary.name, "--results", results)[0] == 0


def test_an_unknown_run_is_answered_with_what_there_is(cycada, finished, tmp_path):
    summary, results = finished
    first = summary.stages[0]
    for args, said in (
        (("evaluate", f"{summary.name}s", "--results", results), f"Did you mean '{summary.name}'?"),
        (
            ("verify", summary.name, "--results", results),
            f"{first.id} ({first.name})",
        ),
        (("evaluate", "x", "--results", tmp_path / "r"), f"there is no folder {tmp_path / 'r' / 'runs'}."),
    ):
        code, _, err = cycada(*args)
        assert (code, said in " ".join(err.split())) == (2, True), err


def test_evaluate_refuses_data_whose_classes_changed(cycada, tmp_path):
    """Of folders the classes are the sorted names, so that a renamed folder gives the others new numbers."""
    numbers = np.random.default_rng(0)
    for split, name in itertools.product(("train", "test"), ("bat", "cat", "emu")):
        for i in range(3):
            to = tmp_path / "set" / split / name / f"{i}.png"
            to.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(numbers.integers(0, 255, (16, 16), np.uint8)).save(to)
    side = {"name": "folder", "train": "set/train", "test": "set/test"}
    data = {"source": side, "target": side, "root": str(tmp_path), "size": 16, "channels": 1}
    config = tiny_config(
        {"source": {"method": "source_only", "steps": 2, "batch": 4}}, results=str(tmp_path / "r"), data=data
    )
    stage = run(config).stages[0]
    assert cycada("evaluate", stage.folder)[0] == 0
    for folder in (tmp_path / "set").glob("*/emu"):
        folder.rename(folder.with_name("ant"))
    code, _, err = cycada("evaluate", stage.folder)
    text = " ".join(err.split())
    assert (code, "ant, bat, cat by now" in text, "bat, cat, emu" in text) == (2, True, True)


def test_translate(cycada, finished, tmp_path):
    images = tmp_path / "in"
    images.mkdir()
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(images / "colour.jpg")
    Image.fromarray(np.full((16, 16), 200, np.uint8)).save(images / "grey.png")
    pixel = next(s for s in finished[0].stages if s.name == "pixel")
    code, out, _ = cycada("translate", pixel.folder, images, tmp_path / "out")
    assert (code, out.startswith("2 images")) == (0, True)
    assert {p.name: size_of(p) for p in (tmp_path / "out").iterdir()} == {
        "colour.png": (16, 16),
        "grey.png": (16, 16),
    }
    code, out, _ = cycada("translate", pixel.folder, images, tmp_path / "out")
    assert "2 were there already" in out
    assert (
        cycada("translate", pixel.folder, images, tmp_path / "own", "--keep-size", "--direction", "ts")[0]
        == 0
    )
    assert size_of(tmp_path / "own" / "colour.png") == (30, 20)
    (images / "broken.png").write_bytes(b"no image")
    code, _, err = cycada("translate", pixel.folder, images, tmp_path / "out")
    assert (code, "broken.png" in err) == (2, True)
    code, _, err = cycada("translate", feature_folder(finished), Path(tmp_path / "none"), tmp_path / "out")
    assert code == 2


def test_a_plugin_adds_a_loss_from_outside(cycada, tmp_path, monkeypatch):
    (tmp_path / "users_losses.py").write_text(
        "from cycada.losses import losses\n\n"
        '@losses("brightness_t")\n'
        "def brightness_t(fake_t, real_t, *, power: int = 2):\n"
        '    """The translated batch is as bright as the target\'s."""\n'
        "    return (fake_t.mean() - real_t.mean()).abs() ** power\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from cycada.losses import losses

    with losses.temporary():
        config = write_config(tmp_path / "a.yaml", CYCADA, results=str(tmp_path), plugins=["users_losses"])
        code, out, err = cycada(
            "run", config, "--json", "stages.pixel.losses.brightness_t={weight: 2, power: 1}"
        )
        assert code == 0, err
        folder = Path(json.loads(out.splitlines()[-1])["stages"]["pixel"]["folder"])
        assert "loss/brightness_t" in json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


# Data.


def test_data_list_shows_what_is_there_and_what_is_missing(cycada, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, out, err = cycada("data", "list", "--root", tmp_path)
    assert code == 0, err
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│")}
    assert rows["cityscapes"].rstrip(" │").endswith("missing")
    assert "train 2000, test 500" in rows["streets"]
    assert "needs no files" in rows["optdigits"]
    assert "train, test, classes" in rows["mask_folder"]


def test_data_check_counts_and_draws(cycada, tmp_path, monkeypatch):
    sheet = tmp_path / "new" / "sheet.png"
    monkeypatch.setenv("COLUMNS", "120")
    words = ("data", "check", "streets", "look=photo", "train=20", "--samples", 5, "--sheet", sheet)
    code, out, err = cycada(*words)
    assert code == 0, err
    rows = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│")]
    assert rows[0] == ["train", "20", "0", "5", "0", "5", "0.00", "%", "128", "x", "64", "(5)"]
    assert len(rows) == 10
    assert abs(sum(float(row[1]) for row in rows[1:]) - 100) < 0.1
    assert size_of(sheet)[0] == 3 * 320
    assert cycada(*words)[0] == 0  # its own sheet is written again


@pytest.mark.parametrize("name", ["sheet", "sheet.npz", "folder.png"])
def test_data_check_refuses_a_sheet_that_is_no_picture_before_it_reads(cycada, tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    code, out, err = cycada("data", "check", "streets", "look=photo", "train=20", "--sheet", tmp_path / name)
    assert (code, out, "picture" in err) == (2, "", True)


def test_data_check_spares_a_photo(cycada, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (20, 20)).save(photo)
    before = photo.read_bytes()
    code, out, err = cycada("data", "check", "streets", "look=photo", "train=20", "--sheet", photo)
    assert (code, out, "nothing in it says that cycada data check wrote it" in err) == (2, "", True)
    assert photo.read_bytes() == before


def test_data_check_names_the_bad_pairs(cycada, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "town" / folder).mkdir(parents=True)
        for k in range(3):
            Image.new(
                "L" if folder == "masks" else "RGB", (8, 6), 7 if (folder, k) == ("masks", 1) else 0
            ).save(tmp_path / "town" / folder / f"{k}.png")
    (tmp_path / "map.yaml").write_text("road: 0")
    words = (
        "data",
        "check",
        "mask_folder",
        "train=town",
        "test=town",
        "classes=map.yaml",
        "--root",
        tmp_path,
    )
    code, out, err = cycada(*words)
    assert code == 2
    assert "1 bad pairs" in err
    assert "masks/1.png: found the mask values 7 (48 pixels), expected only 0" in " ".join(err.split())
    code, out, _ = cycada(*words, "skip_bad=true")
    assert code == 0
    assert "1 bad pairs are left out: 1" in out


def test_data_check_of_an_experiment_reads_both_sides(cycada, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    write_stand_ins(tmp_path / "data", 0.05)
    code, out, err = cycada("data", "check", GTA5, "--root", tmp_path / "data", f"results={tmp_path}")
    assert code == 0, err
    rows = {
        line.split("│")[1].strip(): line.replace("│", " ").split()
        for line in out.splitlines()
        if line.startswith("│")
    }
    assert [*rows][:4] == ["source train", "target train", "target train_extra", "target test"]
    assert rows["source train"][2:] == ["3", "0", "3", "0", "3", "0.00", "%", "96", "x", "53", "(3)"]
    assert rows["target train_extra"][2:] == ["3", "0", "3", "0", "0", "-", "102", "x", "51", "(3)"]
    assert len(rows) == 4 + 19
    assert size_of(tmp_path / "experiments/segmentation/gta5_cityscapes/drn26/data.png")[0] == 3 * 320


def test_data_check_of_an_experiment_names_what_is_broken_and_goes_on(cycada, tmp_path):
    write_stand_ins(tmp_path / "data", 0.05)
    Image.new("L", (7, 5)).save(tmp_path / "data/gta5/labels/00002.png")
    (tmp_path / "data/cityscapes/gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png").unlink()
    words = ("data", "check", GTA5, "--root", tmp_path / "data", f"results={tmp_path}")
    code, out, err = cycada(*words)
    assert (code, "Traceback" in err, "target train" in out) == (2, False, True)
    first, source, target = (line for line in err.splitlines() if not line.startswith("warning:"))
    assert "2 bad pairs or parts" in first
    assert source.strip().startswith("source train")
    assert "labels/00002.png: found an image of 96 x 53 and a mask of 7 x 5" in source
    assert target.strip().startswith("target test")
    assert "ulm_000001_000019_leftImg8bit.png: found an image without a mask" in target
    code, out, err = cycada(*words, "data.source={name: gta5, skip_bad: true}", "data.target.skip_bad=true")
    assert code == 0, err
    assert "source train: 1 bad pairs are left out: 00002" in out
    assert "target test: 1 bad pairs are left out: ulm/ulm_000001_000019" in out


def test_data_check_reads_whole_images_too(cycada, tmp_path):
    config = write_config(tmp_path / "tiny.yaml", results=str(tmp_path))
    code, out, err = cycada("data", "check", config, "--samples", 20)
    assert code == 0, err
    assert "source train" in out
    assert (tmp_path / "experiments/tiny/data.png").exists()
    code, _, err = cycada(
        "data", "check", config, "data.source={name: mnist}", "--root", tmp_path / "nothing"
    )
    assert (code, "source train: Domain 'mnist': no data in" in err) == (2, True)


def test_check_takes_several_files(cycada, tmp_path):
    files = [write_config(tmp_path / f"{name}.yaml", name=name) for name in ("one", "two")]
    code, out, err = cycada("check", *files, "defaults.steps=7")
    assert code == 0, err
    assert "2 configs are sound." in out
    assert out.count("7 x 8") == 2


def test_check_ends_with_what_a_run_would_lack(cycada, tmp_path):
    code, out, err = cycada(
        "check", write_config(tmp_path / "one.yaml"), "data.source={name: mnist}", f"data.root={tmp_path}"
    )
    assert (code, "no data in" in err) == (0, True)
    assert out.endswith(
        "The config is sound, but something that a run needs is missing or wrong: see above.\n"
    )


def test_data_check_answers_unknown_words(cycada):
    assert "Did you mean 'camvid'" in cycada("data", "check", "camvit")[2]
    assert "unknown option 'drives'" in cycada("data", "check", "camvid", "drives=dusk")[2]
    assert "labels of images, expected one with masks" in cycada("data", "check", "folder")[2]
    assert cycada("data", "check", "streets", "--split", "val")[0] == 2
    code, _, said = cycada("data", "check", "demo", "--split", "test")
    assert code == 2
    assert "--split: found test, expected none beside an experiment" in said
