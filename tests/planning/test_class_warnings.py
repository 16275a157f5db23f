"""Classes that are absent, unequal or oddly named are warned of before training."""

import shutil

import numpy as np
import pytest
from helpers.own_data import Heard, class_folders, heard, loaded, own, own_scenes, save, scenes_of
from PIL import Image

from cycada.cli.data_check import check_config, print_checked
from cycada.config.schema import parse
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import override
from cycada.data.labelled_images import Origin
from cycada.evaluation.scores import percent
from cycada.planning.class_warnings import warn_of_contradictions
from cycada.planning.counts import report_sets
from cycada.planning.plan import plan


@pytest.mark.parametrize("split", ["source/train", "source/test", "target/test"])
def test_a_class_without_a_picture_is_warned_of(tmp_path, split):
    for file in (class_folders(tmp_path) / split / "cat").glob("*.png"):
        file.unlink()
    side, part = split.split("/")
    assert heard(own(tmp_path)).warned == [f"{side} {part}: no example of 1 of 3 classes: cat."]


def test_one_class_alone_is_warned_of(tmp_path):
    class_folders(tmp_path, classes=("cat",))
    assert (
        "source train: there is one class alone, cat: nothing to tell apart." in heard(own(tmp_path)).warned
    )


def test_names_that_differ_in_capitals_alone_and_doubled_pictures_are_warned_of(tmp_path):
    root = class_folders(tmp_path, ("cat", "Cat"))
    shutil.copy(root / "source/train/cat/cat0.png", root / "source/train/Cat/again.png")
    shutil.copy(root / "source/train/cat/cat1.png", root / "source/test/cat/again.png")
    shutil.copy(root / "target/train/cat/cat1.png", root / "target/test/cat/again.png")
    screen = heard(own(tmp_path))
    said = {
        "differ in capitals",
        "2 pictures are the same in several classes",
        "source test: 1 of 9 pictures are also among the training",
    }
    assert len(screen.warned) == 3
    assert all(any(part in line for line in screen.warned) for part in said)
    assert "target test: 1 of 9 pictures are also among the training pictures." in screen.said


def test_classes_that_are_called_as_splits_are_warned_of(tmp_path, capsys):
    class_folders(tmp_path)
    data = {f"data.{side}.{split}": side for side in ("source", "target") for split in ("train", "test")}
    config = parse(override(own(tmp_path).model_dump(mode="json"), [f"{k}={v}" for k, v in data.items()]))
    said = "the classes are called 'test' and 'train', as folders of splits are"
    assert said in heard(config).text
    print_checked(check_config(config, samples=2))
    assert f"warning: data: {said}" in capsys.readouterr().err


def test_a_class_that_is_called_as_what_has_no_class_is_warned_of(tmp_path):
    own_scenes(tmp_path)
    (tmp_path / "c.yaml").write_text((tmp_path / "c.yaml").read_text().replace("car", "Void"))
    assert "data: the class 'Void' is learnt and scored as all others are" in heard(scenes_of(tmp_path)).text


SELF = {
    "source": {"method": "source_only", "steps": 1},
    "self": {
        "method": "self_training",
        "init": {"f_t": "source.f_t"},
        "ema": {"f_t": 0.9},
        "options": {"propagation": 0.5},
        "losses": {"task_translated": 0, "task_source": 1, "self_training": 1, "class_balance": 0.1},
    },
}


@pytest.mark.parametrize(
    ("more", "over", "wanted"),
    [
        (
            16,
            {},
            "set stages.self.losses.class_balance.prior=source "
            "stages.self.options.propagation_class_ratio=1000",
        ),
        (
            16,
            {"losses": {"task_translated": 0, "task_source": 1, "self_training": 1}},
            "set stages.self.options.propagation_class_ratio=1000",
        ),
        (
            16,
            {"options": {"propagation": 0.5, "propagation_class_ratio": 1000}},
            "set stages.self.losses.class_balance.prior=source",
        ),
        (
            16,
            {
                "options": {},
                "losses": SELF["self"]["losses"] | {"class_balance": {"weight": 1, "prior": "source"}},
            },
            None,
        ),
        (15, {}, None),
    ],
)
def test_unequal_classes_are_warned_of_where_stages_take_them_for_equal(tmp_path, more, over, wanted):
    root = class_folders(tmp_path)
    for i in range(more):
        save(root / f"source/train/cat/more{i}.png", i)
    config = own(root, stages=SELF | {"self": SELF["self"] | over})
    screen = Heard()
    report_sets(config, loaded(config), screen, plan(config))
    found = [line for line in screen.warned if "most frequent" in line]
    assert len(found) == (wanted is not None)
    if wanted:
        assert "source train: the most frequent class has 20 images and the rarest 4" in found[0]
        assert found[0].endswith(wanted)


def test_a_set_without_labels_is_warned_of(tmp_path, capsys):
    class_folders(tmp_path)
    test = tmp_path / "target" / "test"
    for file in list(test.glob("*/*.png")):
        file.rename(test / file.name)
    for folder in ("cat", "dog", "emu"):
        (test / folder).rmdir()
    (warning,) = heard(own(tmp_path)).warned
    assert "target test: its images have no labels, so nothing is scored" in warning
    print_checked(check_config(own(tmp_path), samples=2))
    assert f"warning: {warning}" in capsys.readouterr().err


def test_a_class_that_no_mask_has_is_warned_of(tmp_path):
    assert heard(scenes_of(own_scenes(tmp_path, ids=(0, 255)))).warned == [
        f"{name}: no example of 1 of 2 classes: car."
        for name in ("source train", "source test", "target test")
    ]


def test_palettes_that_have_the_colours_in_another_order_are_warned_of(tmp_path, capsys):
    colours = [(200, 0, 0), (0, 200, 0)]
    for order, warned in ((1, 0), (-1, 1)):
        own_scenes(tmp_path)
        for side, palette in (("source", colours), ("target", colours[::order])):
            for file in (tmp_path / side / "test" / "masks").iterdir():
                mask = Image.fromarray(np.asarray(Image.open(file)))
                mask.putpalette([value for colour in palette for value in colour])
                mask.save(file)
        said = [line for line in heard(scenes_of(tmp_path)).warned if "has the colour that" in line]
        assert len(said) == warned
        print_checked(check_config(scenes_of(tmp_path), samples=2))
        assert capsys.readouterr().err.count("has the colour that") == warned
    assert said[0].startswith(
        "target test: in the palettes of its masks 'car' has the colour that 'road' has in source test."
    )


def test_nothing_but_ignored_pixels_is_refused_or_warned_of(tmp_path):
    own_scenes(tmp_path)
    for file in (tmp_path / "target" / "test" / "masks").iterdir():
        save(file, size=(16, 16), value=255)
    assert "target test: found nothing but ignored pixels (3 of 3" in heard(scenes_of(tmp_path)).warned[0]
    assert percent({"miou": float("nan"), "accuracy": float("nan")}) == "-"
    for file in (tmp_path / "source" / "train" / "masks").iterdir():
        save(file, size=(16, 16), value=255)
    with pytest.raises(CycadaError, match="source train: found nothing but ignored pixels"):
        heard(scenes_of(tmp_path))
    notes = check_config(scenes_of(tmp_path), samples=2).parts[0].notes(("road", "car"))
    assert "found nothing but ignored pixels (2 of 3" in notes[0]


def test_one_labelled_pixel_outside_of_the_sample_is_found(tmp_path, monkeypatch):
    own_scenes(tmp_path, ids=(255, 255))
    monkeypatch.setattr("cycada.planning.counts.MASKS", 2)
    save(tmp_path / "source" / "train" / "masks" / "1.png", size=(16, 16), value=1)
    assert "source train: no example of 1 of 2 classes: road." in heard(scenes_of(tmp_path)).warned


def test_pictures_without_files_contradict_by_their_places():
    from cycada.data.labelled_images import make_image_dataset

    images = np.stack([np.arange(16).reshape(4, 4).astype(np.uint8)] * 2)
    found = make_image_dataset(images, np.array([0, 1]), 2, "x", Origin({"4 x 4": 2}))
    assert warn_of_contradictions(found, ("a", "b")) == [
        "2 pictures are the same in several classes, such as those at 0 and 1 (a, b)."
    ]
