"""Pictures through trained classifiers and segmenters: the scores of the run come out of the files."""

import csv
import json
import shutil
import time

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.streets import streets
from PIL import Image

import cycada as toolkit
from cycada.core.errors import CycadaError
from cycada.core.interrupt import Interrupted
from cycada.core.types import IGNORE
from cycada.data import domains, segmentation_domains
from cycada.data.preprocess import Preprocess
from cycada.evaluation.scores import as_scores
from cycada.inference.class_folders import folder_names
from cycada.inference.loading import mask_values_of
from cycada.inference.mask_writer import mask_picture
from cycada.inference.prediction_table import PredictionTable
from cycada.inference.prediction_work import PredictionWork, size_doubts
from cycada.inference.sources import find_sources
from cycada.metrics import confusion_matrix
from cycada.runs.run import run

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A finished classifier of some skill, its results folder, and its test images."""
    results = tmp_path_factory.mktemp("digits")
    stages = {"oracle": {"method": "target_only", "steps": 40, "batch": 32, "optimizer": {"lr": 3e-3}}}
    stage = run(tiny_config(stages, results=str(results))).stages[0]
    test = domains["optdigits"]().load(results, "test", False)
    folder = results / "pictures"
    for i, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        to = folder / str(int(label)) / f"{i:04d}.png"
        to.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(to)
    return stage, results, folder


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A finished segmenter with windows, flip and scales, its results folder, and its test images."""
    results = tmp_path_factory.mktemp("scenes")
    evaluation = {"window": [32, 32], "flip": True, "scales": [1.0, 0.5]}
    config = streets(
        {"source": {"method": "source_only", "steps": 8}}, results=str(results), evaluation=evaluation
    )
    stage = run(config).stages[0]
    test = segmentation_domains["streets"](look="photo", train=5, test=3).load(results, "test")
    folder = results / "pictures"
    (folder / "a").mkdir(parents=True)
    masks = []
    for i in range(len(test)):
        image, mask = test.pair(i)
        Image.fromarray(image).save(folder / "a" / f"{i}.png")
        masks.append(mask)
    return stage, results, folder, masks


def rows(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_the_files_give_the_accuracy_of_the_run(digits, tmp_path, cycada):
    stage, results, pictures = digits
    code, out, _ = cycada(
        "predict",
        "tiny",
        pictures,
        tmp_path / "out",
        "--results",
        results,
        "--json",
        "--top",
        3,
        "--by-class",
    )
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    found = rows(tmp_path / "out" / "predictions.csv")
    assert said["done"] == len(found) == 500
    assert said["run"] == stage.id
    right = np.mean([row["path"].split("/")[0] == row["class"] for row in found])
    assert right == stage.scores["target"]["accuracy"] > 0.2
    assert said["counts"] == {
        name: sum(row["class"] == name for row in found) for name in map(str, range(10))
    }
    one = found[0]
    assert list(one) == [
        "path",
        "class",
        "probability",
        "entropy",
        "class_2",
        "probability_2",
        "class_3",
        "probability_3",
    ]
    assert 1 >= float(one["probability"]) >= float(one["probability_2"]) >= float(one["probability_3"]) > 0
    assert 0 <= float(one["entropy"]) <= np.log(10) + 1e-6
    links = sorted((tmp_path / "out" / "by_class").rglob("*.png"))
    assert len(links) == 500
    assert all(link.resolve().is_relative_to(pictures.resolve()) for link in links)


def test_the_masks_give_the_miou_of_the_run(scenes, tmp_path, cycada):
    stage, _, pictures, masks = scenes
    assert cycada("predict", stage.folder, pictures, tmp_path / "out", "--overlay")[0] == 0
    counts = torch.zeros(9, 9, dtype=torch.long)
    for i, truth in enumerate(masks):
        with Image.open(tmp_path / "out" / "masks" / "a" / f"{i}.png") as picture:
            assert picture.mode == "P"
            predicted = np.asarray(picture)
            assert picture.getpalette()[:3] == [128, 64, 128]
        assert predicted.shape == truth.shape
        counts += confusion_matrix(
            torch.from_numpy(predicted.copy()).long(), torch.from_numpy(truth).long(), 9
        )
    assert as_scores(counts, "segmentation") == stage.scores["target"]
    shares = rows(tmp_path / "out" / "shares.csv")
    assert [row.pop("path") for row in shares] == ["a/0.png", "a/1.png", "a/2.png"]
    assert all(abs(sum(map(float, row.values())) - 1) < 1e-4 for row in shares)
    assert len(list((tmp_path / "out" / "overlays").rglob("*.png"))) == 3
    assert all((mask < 9).all() or IGNORE in mask for mask in masks)


def test_an_export_predicts_what_the_run_predicts(digits, scenes, tmp_path):
    for stage, pictures in ((digits[0], digits[2]), (scenes[0], scenes[2])):
        out = tmp_path / stage.id
        toolkit.export(stage.folder, out)
        some = sorted(pictures.rglob("*.png"))[:3]
        ours = toolkit.load_model(out).predict(some)
        theirs = toolkit.load_model(stage.folder, precision="fp32").predict(some)
        for one, other in zip(ours, theirs, strict=True):
            if hasattr(one, "mask"):
                assert np.array_equal(one.mask, other.mask)
            else:
                assert torch.equal(one.probabilities, other.probabilities)


def test_it_takes_every_kind_of_picture(digits):
    stage, _, pictures = digits
    model = toolkit.load_model(stage.folder, precision="fp32")
    path = sorted(pictures.rglob("*.png"))[7]
    expected = model.predict(path)
    with Image.open(path) as opened:
        image = opened.copy()
    array = np.array(image)
    batch = model.preprocess(path)[None]
    assert batch.shape == (1, 1, 16, 16)
    for given in (str(path), image, array, array[..., None], np.repeat(array[..., None], 3, 2)):
        assert torch.equal(model.predict(given).probabilities, expected.probabilities)
    for given in ([path], batch, torch.from_numpy(array)[None, None]):
        (found,) = model.predict(given)
        assert torch.equal(found.probabilities, expected.probabilities)
    assert expected.label == expected.top(1)[0][0] == model.classes[expected.index]
    assert torch.equal(model.net(batch).logits.softmax(1)[0].detach(), expected.probabilities)
    for wrong in (
        3,
        array.astype(float),
        torch.zeros(1, 1, 16, 16, dtype=torch.int64),
        torch.full((1, 1, 16, 16), 9.0),
        array[:0],
    ):
        with pytest.raises(CycadaError, match="expected"):
            model.predict(wrong)


def test_arguments_of_another_kind_are_answered(digits, tmp_path, capsys):
    stage, _, pictures = digits
    for call in (
        lambda: toolkit.load_model(3),
        lambda: toolkit.load_model(stage.folder, precision="fp16"),
        lambda: toolkit.predict(stage.folder, [pictures], tmp_path),
        lambda: toolkit.predict(stage.folder, pictures, tmp_path, top="2"),
        lambda: toolkit.translate(stage.folder, [pictures], tmp_path),
        lambda: toolkit.run("demo"),
        lambda: toolkit.check({"name": "x"}),
    ):
        with pytest.raises(CycadaError, match="expected"):
            call()
    model = toolkit.load_model(stage.folder)
    model.predict(torch.rand(2, 1, 16, 16))
    assert "2 * images - 1" in capsys.readouterr().err
    model.predict(torch.rand(2, 1, 16, 16) * 2 - 1)
    assert capsys.readouterr().err == ""


def test_bad_files_are_named_after_all_others_are_done(digits, tmp_path, cycada):
    stage, _, pictures = digits
    good = sorted(pictures.rglob("*.png"))[0]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.png").write_bytes(good.read_bytes()[:40])
    (tmp_path / "in" / "notes.txt").write_text("x")
    (tmp_path / "in" / "=good.png").write_bytes(good.read_bytes())
    code, _, err = cycada("predict", stage.folder, tmp_path / "in", tmp_path / "out")
    assert code == 2
    assert "1 of 2 images could not be predicted" in err
    assert "cut.png" in err
    assert "notes.txt" in err  # what is left out is said
    assert [row["path"] for row in rows(tmp_path / "out" / "predictions.csv")] == ["./=good.png"]
    code, out, _ = cycada("predict", stage.folder, tmp_path / "in", tmp_path / "out")
    assert (code, "1 were predicted already" in out) == (2, True)


def test_an_interrupted_call_goes_on_and_gives_the_same_file(digits, tmp_path, monkeypatch):
    stage, _, pictures = digits
    toolkit.predict(stage.folder, pictures, tmp_path / "whole")
    monkeypatch.setattr("cycada.inference.predictor.AT_ONCE", 100)
    original = PredictionWork._rows

    def interrupted(self, names, images, sizes):
        if len(calls) == 2:
            raise Interrupted("Stopped")
        calls.append(names)
        return original(self, names, images, sizes)

    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(PredictionWork, "_rows", interrupted)
        with pytest.raises(Interrupted):
            toolkit.predict(stage.folder, pictures, tmp_path / "parts")
    table = tmp_path / "parts" / "predictions.csv"
    assert len(rows(table)) == 200
    table.write_bytes(table.read_bytes()[:-3])  # as a power failure would leave it
    found = toolkit.predict(stage.folder, pictures, tmp_path / "parts")
    assert (found.there, found.done) == (199, 301)
    whole, parts = (rows(tmp_path / name / "predictions.csv") for name in ("whole", "parts"))
    assert [(r["path"], r["class"]) for r in parts] == [(r["path"], r["class"]) for r in whole]


def test_files_of_others_are_never_overwritten(digits, scenes, tmp_path, cycada):
    stage, _, pictures = digits
    one = sorted(pictures.rglob("*.png"))[0]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine")
    code, _, err = cycada("predict", stage.folder, one, tmp_path / "out")
    assert (code, "not written by cycada predict" in err) == (2, True)
    code, _, err = cycada("predict", stage.folder, pictures, tmp_path / "out.csv")
    assert (code, "expected that of a folder" in err) == (2, True)
    assert (tmp_path / "out" / "predictions.csv").read_text() == "mine"
    assert cycada("predict", stage.folder, one, tmp_path / "b", "--top", 2)[0] == 0
    code, _, err = cycada("predict", stage.folder, one, tmp_path / "b")
    assert (code, "with top: 2, expected 1" in err) == (2, True)
    segmenter, _, streets_folder, _ = scenes
    toolkit.predict(segmenter.folder, streets_folder, tmp_path / "c")
    mask = tmp_path / "c" / "masks" / "a" / "1.png"
    Image.new("L", (5, 5)).save(mask)
    (tmp_path / "c" / "shares.csv").unlink()
    code, _, err = cycada("predict", segmenter.folder, streets_folder, tmp_path / "c")
    assert (code, str(mask) in err) == (2, True)


def test_a_picture_far_smaller_than_those_of_the_training_is_said(digits, tmp_path, cycada):
    stage, _, _ = digits
    for name, side in (("half.png", 8), ("small.png", 7)):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(np.full((side, side + 9), 99, np.uint8)).save(tmp_path / "in" / name)
    code, _, said = cycada("predict", stage.folder, tmp_path / "in", tmp_path / "out")
    assert code == 0
    assert "small.png: it has 16 x 7 pixels, and is enlarged to 16 x 16" in said
    assert "half.png" not in said


def test_what_a_size_leaves_in_doubt():
    def said(size, fit, resize="bilinear"):
        return [
            text.partition(", and ")[2] for text in size_doubts(size, Preprocess((16, 16), 3, resize, fit))
        ]

    assert said((40, 120), "crop") == ["only the square in its middle is looked at, 33% of it"]
    assert said((40, 80), "crop") == said((40, 120), "whole") == said((40, 120), "scene") == []
    assert said((4, 4), "crop") == said((4, 4), "scene", "pad") == ["is enlarged to 16 x 16"]
    assert said((4, 16), "crop", "pad") == said((4, 4), "whole", "pad") == [], "it is put on black as it is"


def test_a_list_of_paths(digits, tmp_path, cycada):
    stage, _, pictures = digits
    some = sorted(pictures.rglob("*.png"))[:3]
    (tmp_path / "list.txt").write_text("\n".join([*map(str, some), "", str(some[0]), "absent.png"]))
    sources = find_sources(tmp_path / "list.txt", tmp_path)
    assert [*sources.files] == [*map(str, some), "absent.png"]
    assert "same file" in sources.left_out[str(some[0])]
    code, _, err = cycada("predict", stage.folder, tmp_path / "list.txt", tmp_path / "out", "--by-class")
    assert (code, "1 of 4 images" in err, "absent.png" in err) == (2, True, True)
    assert len(rows(tmp_path / "out" / "predictions.csv")) == 3


def test_a_picture_that_was_changed_is_predicted_again(digits, tmp_path):
    stage, _, pictures = digits
    for i, file in enumerate(sorted(pictures.rglob("*.png"))[:2]):
        shutil.copy(file, tmp_path / f"{i}.png")
    first = toolkit.predict(stage.folder, tmp_path, tmp_path / "out", by_class=True)
    assert (first.done, toolkit.predict(stage.folder, tmp_path, tmp_path / "out").done) == (2, 0)
    time.sleep(0.02)  # times of files have a grain
    shutil.copy(sorted(pictures.rglob("*.png"))[-1], tmp_path / "0.png")
    again = toolkit.predict(stage.folder, tmp_path, tmp_path / "out", by_class=True)
    assert (again.done, again.there) == (1, 1)
    assert len(list((tmp_path / "out" / "by_class").rglob("0.png"))) == 1
    assert len(rows(tmp_path / "out" / "predictions.csv")) == 2


def test_another_and_older_picture_of_the_same_name_is_predicted_again(digits, tmp_path):
    """Moving a folder, or pointing a link elsewhere, changes no time of a file."""
    stage, _, pictures = digits
    chosen = sorted(pictures.rglob("*.png"))
    for i, folder in enumerate(("now", "next")):
        (tmp_path / folder).mkdir()
        shutil.copy(chosen[-i], tmp_path / folder / "a.png")
    time.sleep(0.02)
    toolkit.predict(stage.folder, tmp_path / "now", tmp_path / "out", by_class=True)
    shutil.rmtree(tmp_path / "now")
    (tmp_path / "next").rename(tmp_path / "now")
    assert toolkit.predict(stage.folder, tmp_path / "now", tmp_path / "out", by_class=True).done == 1
    assert rows(tmp_path / "out" / "predictions.csv")[0]["class"] == chosen[-1].parent.name
    assert toolkit.predict(stage.folder, tmp_path / "now", tmp_path / "out").done == 0


def test_the_link_of_a_picture_that_was_removed_goes(digits, tmp_path):
    stage, _, pictures = digits
    (tmp_path / "in").mkdir()
    for i, file in enumerate(sorted(pictures.rglob("*.png"))[:2]):
        shutil.copy(file, tmp_path / "in" / f"{i}.png")
    toolkit.predict(stage.folder, tmp_path / "in", tmp_path / "out", by_class=True)
    (tmp_path / "in" / "0.png").unlink()
    toolkit.predict(stage.folder, tmp_path / "in", tmp_path / "out", by_class=True)
    assert [p.name for p in (tmp_path / "out" / "by_class").rglob("*.png")] == ["1.png"]


def test_the_folders_of_classes_show_what_the_table_says_of_a_list_that_changes(digits, tmp_path):
    stage, _, pictures = digits
    model = toolkit.load_model(stage.folder)
    by_class = {model.predict(file).label: file for file in sorted(pictures.rglob("*.png"))[::25]}
    (one, first), (two, second), *_ = by_class.items()
    for name, file in (("x/one", first), ("y/two", second)):
        (tmp_path / "a" / name).parent.mkdir(parents=True)
        shutil.copy(file, tmp_path / "a" / f"{name}.png")
    listing, shown = tmp_path / "list.txt", tmp_path / "out" / "by_class"

    def found():
        toolkit.predict(model, listing, tmp_path / "out", by_class=True)
        return {str(p.relative_to(shown)) for p in shown.rglob("*.png")}

    listing.write_text("a/x/one.png\na/y/two.png\n")
    assert found() == {f"{one}/a/x/one.png", f"{two}/a/y/two.png"}
    listing.write_text("a/x/one.png\n")
    shutil.copy(second, tmp_path / "a" / "x" / "one.png")
    assert found() == {f"{two}/a/x/one.png"}


def test_no_mask_stays_that_is_of_no_picture_or_of_another_one(scenes, tmp_path, cycada):
    stage, _, pictures, _ = scenes
    first, second, third = sorted(pictures.rglob("*.png"))
    (tmp_path / "a").mkdir()
    out, masks = tmp_path / "out", tmp_path / "out" / "masks"
    for name, file in (("x.jpg", first), ("y.png", second)):
        Image.open(file).convert("RGB").save(tmp_path / "a" / name)
    words = ("predict", stage.folder, tmp_path / "a", out)
    assert cycada(*words, "--overlay")[0] == 0
    assert {p.name for p in masks.iterdir()} == {"x.png", "y.png"}
    Image.new("L", (5, 5)).save(masks / "mine.png")
    shutil.copy(third, tmp_path / "a" / "x.png")  # the name of the mask of x.jpg
    (tmp_path / "a" / "y.png").unlink()
    code, _, said = cycada(*words)
    assert (code, "are of no picture now: masks/x.png, masks/y.png, overlays/x" in said) == (0, True)
    assert {p.name for p in masks.iterdir()} == {"x.jpg.png", "x.png.png", "mine.png"}
    assert not list((out / "overlays").iterdir())
    code, _, said = cycada(*words)
    assert (code, "removed" in said) == (0, False)


def test_a_mask_is_not_taken_for_that_of_another_picture_that_gets_its_name(scenes, tmp_path):
    stage, _, pictures, _ = scenes
    files = sorted(pictures.rglob("*.png"))
    (tmp_path / "a").mkdir()
    for name, file in zip(("a.jpg", "a.jpg.png", "a.png"), files, strict=True):
        Image.open(file).convert("RGB").save(tmp_path / name)
    for name in ("a.jpg", "a.jpg.png"):  # masks a.png and a.jpg.png
        (tmp_path / name).rename(tmp_path / "a" / name)
    model = toolkit.load_model(stage.folder)
    toolkit.predict(model, tmp_path / "a", tmp_path / "out")
    (tmp_path / "a.png").rename(tmp_path / "a" / "a.png")  # masks a.jpg.png, a.jpg.png.png and a.png.png
    toolkit.predict(model, tmp_path / "a", tmp_path / "out")
    toolkit.predict(model, tmp_path / "a", tmp_path / "new")
    for mask in (tmp_path / "new" / "masks").iterdir():
        assert mask.read_bytes() == (tmp_path / "out" / "masks" / mask.name).read_bytes()


def test_values_of_masks_are_looked_up_by_the_names_of_the_classes(tmp_path, capsys):
    file = tmp_path / "classes.yaml"
    data = {
        side: {"name": "mask_folder", "train": "a", "test": "a", "classes": "classes.yaml"}
        for side in ("source", "target")
    } | {"root": tmp_path, "size": [16, 16]}
    config = tiny_config({"it": {"method": "source_only", "steps": 1}}, data=data)
    file.write_text("road: 7\ncar: 8\nsky: 11\n")
    assert mask_values_of(config, ("road", "car", "sky")) == (7, 8, 11)
    file.write_text("sky: 11\nroad: 7\ncar: 8\n")
    assert mask_values_of(config, ("road", "car", "sky")) == (7, 8, 11)
    assert "numbers" not in capsys.readouterr().err
    file.write_text("sky: 11\nroad: 7\nbus: 8\n")
    assert mask_values_of(config, ("road", "car", "sky")) == (0, 1, 2)
    assert "sky, road, bus by now" in " ".join(capsys.readouterr().err.split())


def test_what_is_refused(digits, scenes, finished, tmp_path, cycada):
    stage, _, pictures = digits
    pixel = next(s for s in finished[0].stages if s.name == "pixel")
    for words, why in (
        ((stage.folder, tmp_path / "none", "o"), "no such folder"),
        ((stage.folder, pictures, pictures), "among the pictures"),
        ((stage.folder, pictures, "o", "--overlay"), "not of pixels"),
        ((stage.folder, pictures, "o", "--top", "11"), "expected 1 to 10"),
        ((scenes[0].folder, pictures, "o", "--by-class"), "every pixel"),
        ((pixel.folder, pictures, "o"), "cycada translate"),
        (("nothing", pictures, "o"), "No run"),
    ):
        code, _, err = cycada("predict", *words)
        assert (code, why in err) == (2, True), err


def test_numbers_of_numpy_and_devices_of_torch_are_taken(digits, tmp_path):
    stage, _, pictures = digits
    found = toolkit.predict(
        stage.folder, pictures, tmp_path / "o", top=np.int64(2), device=torch.device("cpu")
    )
    assert "class_2" in found.table.read_text().splitlines()[0]
    with pytest.raises(CycadaError, match="device: found '0'"):
        toolkit.load_model(stage.folder, device=0)


def test_masks_have_the_values_of_their_domain():
    mask = np.array([[0, 1], [1, 2]], np.uint8)
    palette = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    ids = mask_picture(mask, (7, 8, 11), palette)
    assert np.array_equal(np.asarray(ids), [[7, 8], [8, 11]])
    assert np.asarray(ids.convert("RGB"))[1, 1].tolist() == [7, 8, 9]
    assert np.array_equal(np.asarray(mask_picture(mask, (7, 300, 11), palette)), [[7, 300], [300, 11]])
    assert np.asarray(mask_picture(mask, palette, palette))[0, 1].tolist() == [4, 5, 6]
    ids = {"cityscapes": 7, "gta5": 7, "synthia": 3, "camvid": 0, "streets": 0}
    for name, first in ids.items():
        domain = segmentation_domains[name](**({"look": "game"} if name == "streets" else {}))
        values = domain.mask_values("data")
        assert (
            values[0] if name != "synthia" else dict(zip(domain.classes, values, strict=True))["road"]
        ) == first
        assert len(set(values)) == len(domain.classes)
    reduced = segmentation_domains["camvid"](classes=9)
    assert dict(zip(reduced.classes, reduced.mask_values("data"), strict=True))["person"] == 9


def test_folders_of_classes_have_safe_names():
    names = folder_names(["cat", "a/b", "..", "Cat", "big dog", "x."])
    assert list(names.values()) == ["class_0", "class_1", "class_2", "class_3", "big dog", "class_5"]
    assert list(folder_names(["a/b", "class_0"]).values()) == ["class_0", "class_1"]


def test_a_table_keeps_strange_names(tmp_path):
    table = PredictionTable(tmp_path / "t.csv", ["path", "class"])
    table.keep(set())
    names = ["a,b.png", 'q".png', "two\nlines.png", "a\rb.png", "-x.png", "ü.png"]
    with table:
        table.append([[name, "=1+1"] for name in names])
    assert [row[0] for row in table.rows()] == names
    assert {row[1] for row in table.rows()} == {"'=1+1"}
    assert [row["path"] for row in rows(table.path)] == [f"./{n}" if n[0] == "-" else n for n in names]
    with table.path.open("a") as file:
        file.write("of an\rearlier version.png,cat\nlast.png,cat\n")
    assert [row[0] for row in table.rows()] == [*names, "last.png"]
