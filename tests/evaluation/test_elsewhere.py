"""A finished stage is scored on any domain, of which alone the test images have to be there."""

import json
import shutil

import numpy as np
import pytest
from helpers.experiments import tiny_config
from helpers.streets import streets
from PIL import Image

import cycada as toolkit
from cycada.core.errors import CycadaError
from cycada.data import domains, segmentation_domains
from cycada.evaluation.elsewhere import named_domain
from cycada.runs.run import run

pytestmark = pytest.mark.trains


def write_digits(folder, images, labels):
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        to = folder / str(int(label)) / f"{i:04d}.png"
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(to)


def test_a_run_whose_own_data_are_gone_is_scored_on_a_folder_and_on_a_domain(tmp_path, cycada):
    digits = domains["optdigits"]().load(tmp_path, "test", False)
    for split in ("train", "test"):
        write_digits(tmp_path / "own" / split, digits.images[:40], digits.labels[:40])
    source = {"name": "folder", "train": "own/train", "test": "own/test"}
    config = tiny_config(
        results=str(tmp_path / "results"), data={"source": source, "root": str(tmp_path), "channels": 1}
    )
    stage = run(config).stages[0]
    shutil.copytree(tmp_path / "own" / "test", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "own")
    with pytest.raises(CycadaError):
        toolkit.evaluate(stage.folder)
    code, out, _ = cycada("evaluate", stage.folder, "--domain", tmp_path / "elsewhere", "--json")
    said = json.loads(out.splitlines()[-1])
    assert code == 0
    assert said["scores"] == {"folder": stage.scores["source"]}
    assert said["domain"]["test"] == str(tmp_path / "elsewhere")
    same = toolkit.evaluate(stage.folder, "{name: folder, test: elsewhere}")
    assert same["scores"] == said["scores"]
    assert toolkit.evaluate(stage.folder, tmp_path / "elsewhere")["scores"] == said["scores"], "a Path"
    with pytest.raises(CycadaError, match=r"'data\.size=8': a finished stage takes"):
        toolkit.evaluate(stage.folder, assignments="data.size=8")
    assert toolkit.evaluate(stage.folder, "optdigits")["scores"]["optdigits"] == stage.scores["target"]
    (tmp_path / "elsewhere" / "ten").mkdir()
    Image.new("L", (8, 8), 90).save(tmp_path / "elsewhere" / "ten" / "a.png")
    code, _, err = cycada("evaluate", stage.folder, "--domain", tmp_path / "elsewhere")
    assert (code, "ten" in err) == (2, True)
    flat = tmp_path / "elsewhere" / "ten"
    code, _, err = cycada("evaluate", stage.folder, "--domain", flat)
    assert (code, flat.name in err, "a sub-folder for each class" in " ".join(err.split())) == (2, True, True)


def test_a_segmenter_is_scored_on_a_domain_with_options_and_on_a_folder_of_masks(tmp_path, cycada):
    config = streets({"source": {"method": "source_only", "steps": 3}}, results=str(tmp_path / "results"))
    stage = run(config).stages[0]
    spec = {"name": "streets", "look": "photo", "train": 5, "test": 3}
    assert toolkit.evaluate(stage.folder, spec)["scores"]["streets"] == stage.scores["target"]
    town = tmp_path / "town"
    for name in ("images", "masks"):
        (town / name).mkdir(parents=True)
    scenes = segmentation_domains["streets"](look="photo", train=5, test=3)
    test = scenes.load(tmp_path, "test")
    for i in range(len(test)):
        for folder, array in zip(("images", "masks"), test.pair(i), strict=True):
            Image.fromarray(np.ascontiguousarray(array)).save(town / folder / f"{i}.png")
    lines = [f"{name}: {k}" for k, name in enumerate(scenes.classes)]
    (town / "classes.yaml").write_text("\n".join([*lines, "ignore: {ids: [255]}"]))
    code, out, _ = cycada("evaluate", stage.folder, "--domain", town, "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["scores"]["mask_folder"] == stage.scores["target"]
    (town / "classes.yaml").write_text("\n".join([*lines[1:], "ignore: {ids: [0, 255]}"]))
    code, _, err = cycada("evaluate", stage.folder, "--domain", town)
    assert (code, f"the domain lacks '{scenes.classes[0]}'" in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("camvidd", "camvid"),
        ("{drive: dusk}", "expected a domain's name"),
        ("{name: [1]}", "expected"),
        ("{", "--domain"),
    ],
)
def test_what_is_no_domain_is_said(given, why):
    with pytest.raises(CycadaError, match=why):
        named_domain(given)
