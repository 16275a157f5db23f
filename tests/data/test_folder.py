"""A user's own two image folders, the target without labels: run, score, translate."""

import json
import re

import numpy as np
import pytest
import yaml
from helpers.experiments import TINY, size_of
from helpers.paths import ROOT
from PIL import Image

pytestmark = pytest.mark.trains

CONFIG = {
    "name": "mine",
    "networks": TINY["networks"],
    "defaults": {"batch": 4, "steps": 2},
    "stages": {
        "source": {"method": "source_only"},
        "pixel": {"method": "cycada_pixel", "init": {"f_s": "source.f_t"}},
        "task": {"method": "cycada_task", "init": {"g_st": "pixel.g_st"}},
    },
    "tracking": {"kind": "none"},
    "device": "cpu",
}


def write_images(folder, count, size):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, size, dtype=np.uint8)).save(
            folder / f"{i}.png"
        )


def test_two_folders(tmp_path, cycada):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_images(tmp_path / "drawn" / split / name, 5, (40, 50, 3))
    write_images(tmp_path / "photos", 6, (60, 50, 3))
    source = {"name": "folder", "train": "drawn/train", "test": "drawn/test"}
    target = {"name": "folder", "train": "photos", "test": "photos"}
    data = {"root": str(tmp_path), "size": 32, "channels": 3, "source": source, "target": target}
    (tmp_path / "my.yaml").write_text(
        yaml.safe_dump(CONFIG | {"data": data, "results": str(tmp_path / "results")}, sort_keys=False)
    )

    code, out, err = cycada("run", tmp_path / "my.yaml", "--json")
    assert code == 0, err
    stages = json.loads(out.splitlines()[-1])["stages"]
    assert all(list(stage["scores"]) == ["source"] for stage in stages.values()), (
        "an unlabelled target has no score"
    )
    assert len(stages["task"]["scores"]["source"]["class_accuracy"]) == 2
    assert cycada("run", tmp_path / "my.yaml")[0] == 0

    for direction in ("st", "ts"):
        to = tmp_path / direction
        code, out, err = cycada(
            "translate", stages["pixel"]["folder"], tmp_path / "photos", to, "--direction", direction
        )
        assert (code, out.startswith("6 images")) == (0, True), err
        assert size_of(to / "0.png") == (32, 32)
    code, _, err = cycada("translate", stages["source"]["folder"], tmp_path / "photos", tmp_path / "no")
    assert (code, "has no direction 'st'" in err) == (2, True)


def blocks(page):
    """The python blocks of a page of docs/."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def with_less(block, text, smaller):
    assert text in block
    return block.replace(text, smaller)


def test_the_tutorial_as_a_new_user_would(tmp_path, monkeypatch, capsys):
    """Its two blocks of python, word for word; only images, steps and channels are fewer."""
    write, train = blocks("guides/own_images.md")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    assert len(train.strip().splitlines()) <= 20
    write = with_less(write, "domains[name]()", "domains[name](**fewer.get(name, {}))")
    write = with_less(
        write, "found.images, found.labels.tolist()", "found.images[:160], found.labels[:160].tolist()"
    )
    exec(write, {"fewer": {"rendered_digits": {"train": 160, "test": 160}}})
    less = [
        f"stages.{name}.{key}"
        for name in ("source", "align", "pixel", "task", "feature", "self")
        for key in ("steps=2", "batch=8")
    ]
    less += ["networks.f.channels=4", "networks.g.channels=4", "networks.d.channels=4", "tracking.kind=none"]
    exec(
        with_less(train, '"data.root=data",', '"data.root=data", ' + "".join(f'"{word}", ' for word in less)),
        {},
    )
    out = capsys.readouterr().out
    assert "self dual_path 2 steps" in out
    assert re.search(r"align DANN [0-9.]+% ", out)
    pictures = list((tmp_path / "data" / "target" / "train").iterdir())
    assert len((tmp_path / "predicted" / "predictions.csv").read_text().splitlines()) == 1 + len(pictures)
