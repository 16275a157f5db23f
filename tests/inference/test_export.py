"""Generators taken out of their runs: the same pixels from safetensors and from ONNX, and a card that says
what they are."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from helpers.experiments import size_of, tiny_config
from helpers.exports import about
from PIL import Image
from safetensors.torch import load_file, save_file

import cycada as toolkit
from cycada.data import to_bytes, to_float
from cycada.image_quality.quality import FORMAT, quality
from cycada.inference.export_format import read_export
from cycada.inference.portable import write_onnx
from cycada.inference.translator import load_generator
from cycada.networks.resnet import ResnetGenerator
from cycada.networks.unet import UnetGenerator
from cycada.runs.run import run

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def exported(cycle, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "generator"
    return out, toolkit.export(cycle, out, "ts", onnx=True)


PICTURE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def test_the_files_and_what_they_say(exported, cycle):
    out, files = exported
    assert [f.name for f in files] == ["model.safetensors", "config.json", "README.md", "model.onnx"]
    assert sorted(p.name for p in out.iterdir()) == sorted(f.name for f in files)
    said = json.loads((out / "config.json").read_text())
    assert said["architecture"] == {"name": "resnet", "channels": 4, "blocks": 1}
    assert (said["channels"], said["size"], said["range"], said["multiple_of"]) == (3, [16, 16], [-1, 1], 4)
    assert (said["direction"], said["role"], said["run"]) == ("ts", "g_ts", cycle.name)
    assert (said["source"], said["target"], said["method"], said["seed"], said["steps"]) == (
        "rendered_digits",
        "optdigits",
        "cyclegan",
        0,
        2,
    )


def test_the_same_pixels_from_run_folder_and_single_file(exported, cycle, tmp_path):
    out, _ = exported
    alone = shutil.copy(out / "model.safetensors", tmp_path / "mine.safetensors")
    expected = load_generator(cycle, "ts")(PICTURE, size="keep")
    for place in (out, alone, str(alone)):
        translator = toolkit.load_generator(place)
        assert (translator.direction, translator.size, translator.channels) == ("ts", (16, 16), 3)
        assert np.array_equal(translator(PICTURE, size="keep"), expected)


def test_translate_takes_an_export_and_knows_its_pictures(exported, cycle, tmp_path, cycada):
    out, _ = exported
    (tmp_path / "in").mkdir()
    Image.fromarray(PICTURE).save(tmp_path / "in" / "a.png")
    assert cycada("translate", out, tmp_path / "in", tmp_path / "out")[0] == 0
    code, text, _ = cycada("translate", cycle, tmp_path / "in", tmp_path / "out", "--direction", "ts")
    assert (code, "1 were there already" in text) == (0, True)  # the run's pictures are the same
    code, _, err = cycada("translate", out, tmp_path / "in", tmp_path / "out", "--direction", "st")
    assert (code, "the direction 'ts' only" in err) == (2, True)


def test_onnx_gives_the_same_pixels_at_any_size_and_batch(exported):
    out, _ = exported
    session = onnxruntime.InferenceSession(out / "model.onnx")
    net = load_generator(out).net
    for shape in ((2, 3, 16, 24), (1, 3, 40, 12), (3, 3, 8, 8)):
        images = torch.rand(shape) * 2 - 1
        with torch.no_grad():
            expected = net(images)
        (found,) = session.run(None, {"image": images.numpy()})
        assert np.abs(found - expected.numpy()).max() < 1e-3
        assert (to_bytes(torch.from_numpy(found)).int() - to_bytes(expected).int()).abs().max() <= 1


@pytest.mark.parametrize(
    "net",
    [
        ResnetGenerator(1, channels=2, blocks=1, up="resize", norm="batch", downs=1),
        UnetGenerator(1, channels=2, downs=3),
    ],
)
def test_onnx_of_other_generators(net, tmp_path):
    net, m = net.eval(), net.multiple_of
    write_onnx(net, about({}, channels=1, multiple_of=m), tmp_path / "g.onnx")
    images = torch.rand(1, 1, 3 * m, 5 * m) * 2 - 1
    (found,) = onnxruntime.InferenceSession(tmp_path / "g.onnx").run(None, {"image": images.numpy()})
    with torch.no_grad():
        assert np.abs(found - net(images).numpy()).max() < 1e-3


def test_the_card(exported, cycle, tmp_path, monkeypatch):
    out, _ = exported
    text = (out / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "image-to-image"
    assert all(
        word in body
        for word in (
            "optdigits → rendered_digits",
            cycle.name,
            "cycle_s",
            "last step",
            "Licence",
            "2 of 8 images",
        )
    )
    assert str(cycle.parent) not in text
    code = body.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 5
    shutil.copy(out / "model.safetensors", tmp_path)
    Image.fromarray(PICTURE).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert size_of(tmp_path / "translated.png") == (40, 24)


def test_scores_in_the_card(finished, tmp_path):
    summary, _ = finished
    pixel = shutil.copytree(next(s.folder for s in summary.stages if s.name == "pixel"), tmp_path / "run")
    scorer = next(s.folder for s in summary.stages if s.name == "source")
    found = quality(pixel, scorer, scorer)
    toolkit.export(pixel, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    rows = dict(re.findall(r"^\| (\w.*) \| (\S+) \|$", text.split("## Scores")[1], re.MULTILINE))
    assert {"target accuracy", "source accuracy"} <= set(rows)
    assert rows["extractor st fid"] == f"{found['features']['st']['fid']:.4g}"
    assert rows["scorer untranslated accuracy"] == f"{found['fcn']['untranslated']['accuracy']:.4g}"
    assert rows["pixels ts diversity"] == f"{found['pixels']['ts']['diversity']:.4g}"
    for word in ("format", "measured", "protocol", "images", "size"):
        assert word not in " ".join(rows)
    assert not [name for name in rows if name.endswith((" n", " n_real", "kid_subset"))]


def test_the_card_of_an_oracle_says_whose_labels_it_learnt_from(tmp_path):
    oracle = {"oracle": {"method": "target_only", "steps": 1}}
    toolkit.export(run(tiny_config(oracle, results=str(tmp_path))).stages[0].folder, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "trained with the labels of the target: an oracle, no adaptation." in text.split("##")[0]
    assert "labels of `rendered_digits" not in text
    assert "the labels of the target" in text.split("## Limits")[1]


def test_an_edited_card_is_kept(cycle, tmp_path, cycada):
    run_folder = shutil.copytree(cycle, tmp_path / "run")
    words = ("export", run_folder, tmp_path / "out", "--direction", "ts")
    card, new = tmp_path / "out" / "README.md", tmp_path / "out" / "README.new.md"
    assert cycada(*words)[0] == 0
    edited = card.read_text().replace("see-the-data", "mine")
    card.write_text(edited)

    code, text, err = cycada(*words)
    assert (code, err, card.read_text(), new.exists()) == (0, "", edited, False)  # it came from this card
    assert [Path(line).name for line in text.splitlines()] == ["model.safetensors", "config.json"]

    measured = {"format": 1, "measured": {"pixels": {"st": {"l1": 0.5}}}}
    (run_folder / "quality.json").write_text(json.dumps(measured))
    assert (cycada(*words)[0], new.exists()) == (0, False)  # an older version measured by other rules
    (run_folder / "quality.json").write_text(json.dumps(measured | {"format": FORMAT}))
    code, text, err = cycada(*words)
    assert (code, "is kept" in err, card.read_text()) == (0, True, edited)
    assert Path(text.splitlines()[-1]) == new
    assert "| pixels st l1 | 0.5 |" in new.read_text()

    new.write_text(new.read_text().replace("see-the-data", "mine"))
    code, _, err = cycada(*words)
    assert (code, "README.new.md: it was edited" in err) == (2, True)
    new.replace(card)  # as the message says
    assert cycada(*words)[::2] == (0, "")
    assert ("license_name: mine" in card.read_text(), new.exists()) == (True, False)

    card.unlink()
    assert cycada(*words)[0] == 0
    assert "license_name: see-the-data" in card.read_text()


def test_an_onnx_file_from_before_is_written_again(cycle, tmp_path):
    toolkit.export(cycle, tmp_path, "ts")
    (tmp_path / "model.onnx").write_bytes(b"of other weights")
    assert tmp_path / "model.onnx" in toolkit.export(cycle, tmp_path, "ts")
    onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert "`model.onnx` takes" in (tmp_path / "README.md").read_text()


def test_what_is_refused(exported, cycle, tmp_path, cycada):
    out, _ = exported
    code, _, err = cycada("export", cycle, out, "--direction", "st")
    assert (code, "already holds g_ts" in err) == (2, True)
    assert cycada("export", cycle, out, "--direction", "ts")[0] == 0
    code, _, err = cycada("export", cycle, cycle)
    assert (code, "this is the folder of a run" in err) == (2, True)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((out / "model.safetensors").read_bytes()[:500])
    foreign = tmp_path / "foreign.safetensors"
    weights = load_file(out / "model.safetensors")
    save_file(weights, foreign)
    unknown, other, newer = (tmp_path / f"{name}.safetensors" for name in ("unknown", "other", "newer"))
    save_file(weights, unknown, {"cycada": about({"name": "mine"}, plugins=("my.nets",)).text()})
    save_file(weights, other, {"cycada": about({"name": "resnet", "channels": 8}).text()})
    save_file(weights, newer, {"cycada": about({"name": "resnet"}, format=3).text()})
    for file, why in (
        (damaged, "cannot be read"),
        (foreign, "which network"),
        (unknown, "plug-ins my.nets"),
        (other, "do not fit"),
        (newer, "format is 3"),
        (tmp_path / "none.safetensors", "cannot be read"),
    ):
        code, _, err = cycada("translate", file, tmp_path, tmp_path / "out")
        assert (code, why in err, str(file) in err) == (2, True, True), err


def test_a_command_imports_the_plug_in_of_an_export(tmp_path, cycada, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_of_mine.py").write_text(
        "from torch import nn\nfrom cycada.networks import NETWORKS\n"
        "@NETWORKS['g']('same')\nclass Same(nn.Module):\n"
        '    """Images as they are. (N, C, H, W) in [-1, 1] -> the same."""\n'
        "    def __init__(self, image_channels: int) -> None:\n"
        "        super().__init__()\n"
        "        self.scale = nn.Conv2d(image_channels, image_channels, 1)\n"
        "    def forward(self, x):\n        return self.scale(x)\n"
    )
    weights = {"scale.weight": torch.ones(3, 3, 1, 1), "scale.bias": torch.zeros(3)}
    text = about({"name": "same"}, plugins=("nets_of_mine",)).text()
    save_file(weights, tmp_path / "model.safetensors", {"cycada": text})
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    code, _, err = cycada("translate", "model.safetensors", "a.png", "b.png")
    assert (code, "--plugin MODULE" in err) == (2, True)
    code, _, err = cycada("translate", "model.safetensors", "a.png", "b.png", "--plugin", "nets_of_mine")
    assert code == 0, err
    assert (tmp_path / "b.png").exists()


def test_an_export_of_an_earlier_version_still_loads_and_is_not_overwritten(
    exported, cycle, tmp_path, cycada
):
    out, _ = exported
    net, described = read_export(out)
    earlier = json.loads(described.text()) | {"format": 1}
    for name in (
        "classes",
        "segmentation",
        "palette",
        "mask_values",
        "fit",
        "upright",
        "precision",
        "evaluation",
    ):
        del earlier[name]
    (tmp_path / "old").mkdir()
    save_file(net.state_dict(), tmp_path / "old" / "generator.safetensors", {"cycada": json.dumps(earlier)})
    assert np.array_equal(
        load_generator(tmp_path / "old")(PICTURE, size="keep"), load_generator(out)(PICTURE, size="keep")
    )
    code, _, err = cycada("export", cycle, tmp_path / "old", "--direction", "ts")
    assert (code, "an earlier version" in err) == (2, True)


def test_without_the_packages_onnx_says_which(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(toolkit.CycadaError, match=r"cycada\[onnx\]"):
        write_onnx(ResnetGenerator(3, channels=2, blocks=1), about({}), tmp_path / "g.onnx")


def test_the_range_is_what_networks_see():
    assert about({}).range == (to_float(torch.tensor([0.0])).item(), to_float(torch.tensor([255.0])).item())
