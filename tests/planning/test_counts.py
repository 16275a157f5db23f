"""What is read is counted, what is left out is named, and what a class or a set lacks is warned of before
training."""

import bz2
import hashlib
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.experiments import TINY
from helpers.paths import REAL_DATA
from PIL import Image

from cycada.cli.data_check import check_config, print_checked
from cycada.config.schema import parse
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import override
from cycada.data import ImageDataset, domains, segmentation_domains
from cycada.data.domain import Wanted
from cycada.data.doubts import find_masks_among, summarize_left_out
from cycada.data.inspect import check_pairs
from cycada.data.labelled_images import Origin
from cycada.data.picture import list_pictures
from cycada.data.segmentation import WHOLE, _hash_file
from cycada.evaluation.scores import percent
from cycada.planning.build import load_datasets
from cycada.planning.class_warnings import warn_of_contradictions
from cycada.planning.counts import check_files, count_line, report_sets
from cycada.planning.plan import plan
from cycada.planning.scaling import warn_of_scaling
from cycada.train.device import Device

SHARED = REAL_DATA  # third-party data, where they are


class Heard:
    """A screen that keeps what it is told."""

    def __init__(self):
        self.said, self.warned = [], []
        self.info, self.warn = self.said.append, self.warned.append

    @property
    def text(self):
        return "\n".join([*self.said, *self.warned])


def save(path, *key, size=(8, 8), value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = [int(b) for b in repr(key or str(path)).encode()]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels if value is None else np.full((size[1], size[0]), value, np.uint8)).save(path)


def class_folders(root, classes=("cat", "dog", "emu"), count=4, size=(8, 8)):
    for side in ("source", "target"):
        for split in ("train", "test"):
            for name in classes:
                for i in range(count):
                    save(root / side / split / name / f"{name}{i}.png", side, split, name, i, size=size)
    return root


def own(root, size=8, name="folder", stages=None, **options):
    source, target = (
        {"name": name, "train": f"{side}/train", "test": f"{side}/test", **options}
        | ({"classes": "c.yaml"} if name == "mask_folder" else {})
        for side in ("source", "target")
    )
    data = {"root": str(root), "size": size, "channels": 3, "source": source, "target": target}
    return parse(
        TINY
        | {
            "networks": {"f": "small_segmenter" if name == "mask_folder" else TINY["networks"]["f"]},
            "data": data,
        }
        | {"stages": stages or TINY["stages"], "results": str(root / "results")}
    )


def loaded(config):
    return load_datasets(config, plan(config), Device.find("cpu"))


def heard(config):
    screen = Heard()
    datasets = loaded(config)
    report_sets(config, datasets, screen)
    check_files(datasets, screen)
    return screen


# Class folders.


def test_a_line_for_every_set(tmp_path):
    screen = heard(own(class_folders(tmp_path)))
    assert screen.said == [
        "source train: 12 images, 3 of 3 classes (4 each), 8 x 8 pixels",
        "source test: 12 images, 3 of 3 classes (4 each), 8 x 8 pixels",
        "target train: 12 images, without labels, 8 x 8 pixels",
        "target test: 12 images, 3 of 3 classes (4 each), 8 x 8 pixels",
    ]
    assert screen.warned == []


def test_what_lies_beside_and_below_is_read_or_named(tmp_path):
    train = class_folders(tmp_path) / "source" / "train"
    save(train / "cat" / "more" / "x.PNG")  # belongs to the class
    (train / "dog" / "notes.gif").write_bytes(b"GIF89a")
    (train / "dog" / "a.heic").write_bytes(b"")
    save(train / "beside.png")
    save(train / "dog" / ".hidden.png")
    save(train / ".trash" / "old.png")
    (train / "emu" / "lost.png").symlink_to("nowhere.png")
    (train / "emu" / "up").symlink_to("..")
    line = heard(own(tmp_path)).said[0]
    assert line.startswith(
        "source train: 13 images, 3 of 3 classes (4 to 5 each), 8 x 8 pixels; left out: 7 ("
    )
    for name in ("notes.gif", "a.heic", "beside.png", ".hidden.png", ".trash", "lost.png", "up"):
        assert name in line
    assert "of no class" in line


def test_links_between_folders_end(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name / f"{name}.png")
    (tmp_path / "a" / "b").symlink_to("../b")
    (tmp_path / "b" / "a").symlink_to("../a")
    found = list_pictures(tmp_path / "a", recursive=True)
    assert [p.name for p in found.pictures] == ["a.png", "b.png"]
    assert list(found.left_out.values()) == ["a link to a folder that it lies in"]


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


def test_a_folder_of_nothing_but_other_files_says_what_is_there(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(CycadaError, match=r"found no images.*cat/a\.gif: its suffix"):
        domains["folder"](train="train", test="train").load(tmp_path, "train", False)


def test_names_in_two_unicode_forms_are_one_class_and_other_spellings_are_answered(tmp_path):
    name = "caf\u00e9"
    class_folders(tmp_path, (name, "dog"))
    for split in ("train", "test"):
        (tmp_path / "target" / split / name).rename(
            tmp_path / "target" / split / unicodedata.normalize("NFD", name)
        )
    assert loaded(own(tmp_path)).classes == (name, "dog")
    (tmp_path / "target" / "test" / "dog").rename(tmp_path / "target" / "test" / "Dog")
    with pytest.raises(CycadaError, match="Did you mean 'dog'"):
        loaded(own(tmp_path))
    (tmp_path / "source" / "train" / unicodedata.normalize("NFD", name)).mkdir()
    with pytest.raises(CycadaError, match="twice"):
        loaded(own(tmp_path))


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


def test_a_part_of_a_published_set_is_said(tmp_path, capsys):
    for split, images in (("train", 20), ("test", 10)):
        pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
        (tmp_path / "svhn").mkdir(exist_ok=True)
        np.savez(tmp_path / "svhn" / f"{split}.npz", images=pixels, labels=np.arange(images) % 10)
    data = {"root": str(tmp_path), "size": 32, "channels": 3, "source": "svhn", "target": "rendered_digits"}
    config = parse(override(own(tmp_path).model_dump(mode="json") | {"data": data}, []))
    screen = heard(config)
    assert "source train: 20 images (the whole set has 73,257), 10 of 10 classes (2 each)" in screen.text
    assert "source test: 10 images (the whole set has 26,032)" in screen.text
    assert screen.text.count("the whole set") == 2
    print_checked(check_config(config, samples=2))
    assert "source train: 20 images; the whole set has 73,257" in capsys.readouterr().out


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


# At data.size.


def test_folders_of_a_system_are_no_classes(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "source" / "train" / "__MACOSX").mkdir()
    save(tmp_path / "source" / "train" / "@eaDir" / "cat.jpg")
    screen = heard(own(tmp_path))
    assert "source train: 12 images, 3 of 3 classes" in screen.text
    assert "@eaDir: a hidden folder with 1 picture" in screen.text
    assert screen.warned == []


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


def test_data_check_warns_of_similar_names_and_of_test_images_that_were_trained_on(tmp_path, capsys):
    class_folders(tmp_path, classes=("Cat", "cat"))
    shutil.copy(tmp_path / "source/train/cat/cat0.png", tmp_path / "source/test/cat/again.png")
    print_checked(check_config(own(tmp_path), samples=2))
    said = capsys.readouterr().err
    assert "the classes 'Cat' and 'cat' differ in capitals" in said
    assert "warning: source test: 1 of 9 pictures are also among the training pictures" in said


def test_pictures_are_read_at_the_size_of_the_data(tmp_path):
    board = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)
    class_folders(tmp_path, size=(48, 48))
    for file in tmp_path.rglob("*.png"):
        Image.fromarray(board).convert("RGB").save(file)
    found = loaded(own(tmp_path, size=48)).source["train"].images
    assert np.array_equal(found[0, 0].numpy(), board)


def test_enlarging_is_said(tmp_path):
    screen = heard(own(class_folders(tmp_path, size=(12, 8)), size=16))
    assert (
        "source train: 12 images, 3 of 3 classes (4 each), 12 x 8 pixels, cut square and enlarged to 16 x 16"
        in screen.said
    )
    assert len(screen.warned) == 4
    assert "12 of 12 pictures, of 12 x 8 pixels, are enlarged to 16 x 16" in screen.warned[0]
    assert heard(own(tmp_path, size=10)).warned == []


def test_long_pictures_that_are_cut_square_are_warned_of(tmp_path, capsys):
    warned = heard(own(class_folders(tmp_path, size=(48, 16)), size=16)).warned
    assert len(warned) == 4
    print_checked(check_config(own(tmp_path, size=16), samples=2))
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}" for line in warned]
    assert "12 of 12 pictures, of 48 x 16 pixels, are cut to the square in their middle" in warned[0]
    assert "which is 33% of such a picture" in warned[0]
    assert heard(own(class_folders(tmp_path / "b", size=(32, 16)), size=16)).warned == []


def test_stretching_is_said(tmp_path, capsys):
    """Scenes and arrays are resized as wholes; pictures of classes are cut square before."""
    own_scenes(tmp_path)
    screen = heard(own(tmp_path, size=[8, 16], name="mask_folder"))
    assert "source train: 3 images, with masks, 16 x 16 pixels, stretched to 16 x 8" in screen.said
    assert [warning.partition(":")[0] for warning in screen.warned] == [
        "source train",
        "source test",
        "target train",
        "target test",
    ]
    assert "3 of 3 pictures, of 16 x 16 pixels, are stretched to 16 x 8" in screen.warned[0]
    assert "factors that differ by 2.0" in screen.warned[0]
    print_checked(check_config(own(tmp_path, size=[8, 16], name="mask_folder"), samples=2))
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}" for line in screen.warned]
    images, labels = np.full((6, 8, 5, 3), 200, np.uint8), np.arange(6) % 3
    np.savez(tmp_path / "a.npz", images=images, labels=labels, label=labels)
    screen = heard(own(tmp_path, name="npz", classes=3, train="a.npz", test="a.npz"))
    assert "5 x 8 pixels, stretched to 8 x 8; left out: 1 (" in screen.said[0]
    assert "the array 'label', as images and labels alone are read" in screen.said[0]


@pytest.mark.parametrize(
    ("stored", "shape", "said", "warned"),
    [("28 x 28", 32, "enlarged to 32 x 32", 0), ("28 x 28", 128, "enlarged to 128", 1)],
)
def test_digits_are_enlarged_a_little_without_a_warning(stored, shape, said, warned):
    from cycada.planning.scaling import _enlarged

    digits = ImageDataset(np.zeros((3, 1, 2, 2)), None, Origin(stored=stored))
    assert said in count_line(digits, (), (shape, shape))
    assert len(_enlarged(digits, (shape, shape))) == warned


def test_images_that_are_put_on_black_are_not_said_to_be_enlarged():
    digits = ImageDataset(np.zeros((3, 1, 2, 2)), None, Origin(stored="28 x 20"))
    assert "28 x 20 pixels, padded to 64 x 64" in count_line(digits, (), (64, 64), "pad")
    assert warn_of_scaling(digits, (64, 64), "pad") == []
    assert len(warn_of_scaling(digits, (64, 64), "bilinear")) == 2, "enlarged, and stretched"


def test_another_size_of_the_folder_is_refused_by_check_and_run(tmp_path):
    class_folders(tmp_path)
    data = own(tmp_path, size=8).data.model_dump(mode="json")
    data["source"] |= {"size": 8}
    assert loaded(parse(TINY | {"data": data})).fingerprint == loaded(own(tmp_path, size=8)).fingerprint
    data["source"] |= {"size": 16}
    with pytest.raises(CycadaError, match=r"data\.source: .*size: 16 beside data\.size: 8"):
        plan(parse(TINY | {"data": data}))


# Moving and renaming.


def test_where_the_target_s_training_pictures_lie_changes_nothing(tmp_path):
    config = own(class_folders(tmp_path))
    before = loaded(config)
    train = tmp_path / "target" / "train"
    (train / "cat" / "cat0.png").rename(train / "dog" / "zzz.png")
    assert loaded(config).fingerprint == before.fingerprint
    for file in list(train.rglob("*.png")):
        file.rename(train / f"{file.stem}_{file.parent.name}.png")
    shutil.rmtree(train / "emu")
    after = loaded(config)
    assert after.fingerprint == before.fingerprint
    assert (after.target["train"].images == before.target["train"].images).all()


def test_an_oracle_s_labels_go_with_the_pictures(tmp_path):
    stages = {"oracle": {"method": "target_only"}}
    found = loaded(own(class_folders(tmp_path), stages=stages)).oracle
    for image, label in zip(found.images, found.labels, strict=True):
        name = ("cat", "dog", "emu")[int(label)]
        file = tmp_path / "target" / "train" / name
        assert any(
            np.array_equal(np.asarray(Image.open(f)), image.permute(1, 2, 0).numpy()) for f in file.iterdir()
        )


def test_a_renamed_class_is_other_data(tmp_path):
    config = own(class_folders(tmp_path))
    before = loaded(config).fingerprint
    for folder in tmp_path.glob("*/*/cat"):
        folder.rename(folder.with_name("bat"))
    assert loaded(config).fingerprint != before


# Masks.


def own_scenes(root, ids=(0, 1), class_map="road: 0\ncar: 1\nignore: {ids: [255]}\n", count=3):
    for side in ("source", "target"):
        for split in ("train", "test"):
            for i in range(count):
                save(root / side / split / "images" / f"{i}.png", side, split, i, size=(16, 16))
                if (side, split) != ("target", "train"):
                    mask = np.full((16, 16), ids[0], np.uint8)
                    mask[:4] = ids[1]
                    (root / side / split / "masks").mkdir(exist_ok=True)
                    Image.fromarray(mask).save(root / side / split / "masks" / f"{i}.png")
    (root / "c.yaml").write_text(class_map)
    return root


def scenes_of(root):
    return own(root, size=[16, 16], name="mask_folder")


def test_a_target_needs_no_masks_and_opens_none(tmp_path):
    masks = own_scenes(tmp_path) / "target" / "train" / "masks"
    before = loaded(scenes_of(tmp_path)).fingerprint
    masks.mkdir()
    (masks / "0.png").write_bytes(b"damaged")
    save(masks / "stray.png", value=99)
    screen = heard(scenes_of(tmp_path))
    assert "target train: 3 images, without masks, 16 x 16 pixels" in screen.said
    assert screen.warned == []
    assert loaded(scenes_of(tmp_path)).fingerprint == before
    (tmp_path / "source" / "train" / "masks" / "0.png").unlink()
    with pytest.raises(CycadaError, match=r"0\.png: found an image without a mask"):
        loaded(scenes_of(tmp_path))


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_changed_file_of_equal_size_is_other_data(tmp_path, kind):
    own_scenes(tmp_path, count=20)
    before = loaded(scenes_of(tmp_path)).fingerprint
    file = tmp_path / "source" / "train" / kind / "1.png"  # not among eight evenly spaced ones
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert loaded(scenes_of(tmp_path)).fingerprint != before
    file.write_bytes(content)
    assert loaded(scenes_of(tmp_path)).fingerprint == before


def test_a_large_image_is_known_by_three_blocks_and_a_mask_by_all_bytes(tmp_path):
    file = tmp_path / "a"
    content = bytearray(3 * WHOLE)
    digests = []
    for place in (None, 0, len(content) // 2, len(content) - 1, WHOLE):
        changed = content.copy()
        if place is not None:
            changed[place] = 1
        file.write_bytes(changed)
        digests.append([])
        for whole in (False, True):
            hasher = hashlib.blake2b()
            _hash_file(hasher, file, whole)
            digests[-1].append(hasher.hexdigest())
    (image, _), *changes, (elsewhere, _) = digests
    assert len({image, *(found for found, _ in changes)}) == 4
    assert elsewhere == image
    assert len({mask for _, mask in digests}) == 5


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


def test_names_in_two_unicode_forms_are_one_pair(tmp_path):
    train = own_scenes(tmp_path) / "source" / "train"
    for kind, form in (("images", "NFC"), ("masks", "NFD")):
        (train / kind / "0.png").rename(train / kind / unicodedata.normalize(form, "caf\u00e9.png"))
    assert "source train: 3 images, with masks" in heard(scenes_of(tmp_path)).text


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


def test_what_the_values_of_masks_mean_is_part_of_the_data(tmp_path):
    found = set()
    for class_map in ("road: 0\ncar: 1\n", "road: 0\nbus: 1\n", "road: 0\ncar: {ids: [1, 7]}\n"):
        own_scenes(tmp_path, class_map=class_map)
        found.add(loaded(scenes_of(tmp_path)).fingerprint)
    assert len(found) == 3


def test_pictures_beside_and_below_the_images_are_named(tmp_path):
    train = own_scenes(tmp_path) / "source" / "train"
    save(train / "photo.png")
    save(train / "images" / "day" / "x.png")
    (train / "masks" / "a.npy").write_bytes(b"")
    line = heard(scenes_of(tmp_path)).said[0]
    assert all(f" {name}" in line or f"({name}" in line for name in ("photo.png", "day", "a.npy"))
    assert "left out: 3" in line


def test_official_folders_name_what_they_do_not_read(tmp_path):
    city = tmp_path / "cityscapes" / "leftImg8bit" / "train" / "ulm"
    save(city / "ulm_0_leftImg8bit.png")
    save(city / "ulm_0.jpg")
    save(city.parent / "stray.png")
    found = segmentation_domains["cityscapes"]().images(tmp_path, "train")
    assert (found.names, sorted(Path(p).name for p in found.left_out)) == (
        ["ulm/ulm_0"],
        ["stray.png", "ulm_0.jpg"],
    )
    for name in ("00001.png", "00002.PNG", "00003.jpg"):
        save(tmp_path / "gta5" / "images" / name)
    found = segmentation_domains["gta5"]().images(tmp_path, "train")
    assert (found.names, [Path(p).name for p in found.left_out]) == (["00001", "00002"], ["00003.jpg"])


def test_a_target_of_two_folders_needs_no_partners(tmp_path):
    for name in ("0", "1", "2"):
        save(tmp_path / "photos" / f"{name}.png")
    save(tmp_path / "labels" / "0.png", value=0)
    save(tmp_path / "labels" / "9.png", value=0)
    both = ("photos", "labels")
    paired = segmentation_domains["paired"](
        train=both, test=both, show="left", labels="right", classes="cmp_facades"
    )
    found = paired.images(tmp_path, "train")
    assert (found.names, found.labelled) == (["0", "1", "2"], False)
    assert found.pair(2)[1] is None
    with pytest.raises(CycadaError, match="without a partner: 3"):
        paired.load(tmp_path, "train")


# Many classes.


@pytest.mark.parametrize("classes", [255, 256, 300])
def test_the_last_of_many_classes_counts(classes):
    labels = np.arange(classes)
    images = np.arange(classes * 16).reshape(classes, 4, 4) % 251
    np_images = images.astype(np.uint8)
    from cycada.data.labelled_images import make_image_dataset

    report = check_pairs(make_image_dataset(np_images, labels, classes, "x"), classes, list(range(classes)))
    assert report.ignored == 0
    assert report.counts.tolist() == [1] * classes


# Official files.


def test_damaged_official_files_are_called_damaged(tmp_path):
    def said(name):
        with pytest.raises(CycadaError) as found:
            domains[name]().load(tmp_path, "train", False)
        return str(found.value)

    assert "no data" in said("usps")
    rows = b"".join(
        b"%d %s\n" % (1 + i % 10, b" ".join(b"%d:-1" % (k + 1) for k in range(256))) for i in range(3)
    )
    whole = bz2.compress(rows)
    for content in (b"", whole[:50], rows, bz2.compress(b"1 1:0\n"), whole):
        (tmp_path / "usps.bz2").write_bytes(content)
        message = said("usps")
        assert f"{tmp_path / 'usps.bz2'} is damaged or another file: found {len(content):,} bytes" in message
        assert "expected 7,291 images of 16 x 16" in message
    assert "it holds 3 images" in message
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            bytes.fromhex("00000803 00000002 0000001c 0000001c") + bytes(2 * 28 * 28)
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes.fromhex("00000801 0000ea60") + bytes(60_000))
    assert "train-images-idx3-ubyte is damaged" in said("mnist")
    assert "it holds 2 images of 28 x 28 and 60,000 labels" in said("mnist")
    (raw / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01")
    assert "train-labels-idx1-ubyte is damaged" in said("mnist")
    (raw / "train-labels-idx1-ubyte").unlink()
    assert "no data" in said("mnist")
    assert "train-labels-idx1-ubyte is not there" in said("mnist")
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "train_32x32.mat").write_bytes(b"x")
    assert "train_32x32.mat is damaged" in said("svhn")
    (tmp_path / "svhn" / "train_32x32.mat").unlink()
    (tmp_path / "svhn" / "train.npz").write_bytes(b"PK")
    assert "train.npz: not a readable .npz file, it is damaged" in said("svhn")


# Through the command line.


def test_data_check_reads_what_a_run_reads_and_says_the_files_own_sizes(tmp_path, cycada, monkeypatch):
    root = class_folders(tmp_path, size=(40, 20))
    train = root / "target" / "train"
    (train / "cat").rename(
        train / "batch 1"
    )  # no class; the target's training folder may be arranged in any way
    monkeypatch.setenv("COLUMNS", "200")
    config = TINY | {"data": own(root, size=16).data.model_dump(mode="json")}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config | {"results": str(tmp_path / "results")}))
    code, out, err = cycada("data", "check", tmp_path / "my.yaml")
    assert (code, err) == (0, "")
    assert out.count("40 x 20 (12)") == 4
    code, out, err = cycada("run", tmp_path / "my.yaml", "stages.source.steps=1", "--json")
    assert code == 0, err
    assert "40 x 20 pixels, cut square and reduced to 16 x 16" in err
    assert json.loads(out.splitlines()[-1])["stages"]["source"]["scores"]
    oracle = [f"stages.oracle={json.dumps({'method': 'target_only', 'steps': 1})}"]
    code, out, err = cycada("run", tmp_path / "my.yaml", "stages.source.steps=1", *oracle)
    assert code == 2
    assert "batch 1" in err


def test_reasons_are_grouped():
    files = {f"x/{i}.gif": "its suffix is none of .png" for i in range(7)} | {
        "x/b.png": "beside the class folders"
    }
    assert (
        summarize_left_out(files)
        == "8 (0.gif, 1.gif, 2.gif and 4 more: its suffix is none of .png; b.png: beside the class folders)"
    )


def test_pictures_without_files_contradict_by_their_places():
    from cycada.data.labelled_images import make_image_dataset

    images = np.stack([np.arange(16).reshape(4, 4).astype(np.uint8)] * 2)
    found = make_image_dataset(images, np.array([0, 1]), 2, "x", Origin({"4 x 4": 2}))
    assert warn_of_contradictions(found, ("a", "b")) == [
        "2 pictures are the same in several classes, such as those at 0 and 1 (a, b)."
    ]


def test_a_domain_hears_what_is_wanted_before_it_is_read(tmp_path):
    class_folders(tmp_path)
    folder = domains["folder"](train="target/train", test="target/test")
    folder.prepare(Wanted(8, labels=False, classes=("cat", "dog", "emu")))
    assert folder.load(tmp_path, "train", False).labels is None
    assert folder.load(tmp_path, "test", False).labels.bincount().tolist() == [4, 4, 4]


def test_a_pair_of_unequal_sizes_is_refused_before_training_wherever_it_lies(tmp_path):
    own_scenes(tmp_path, count=150)
    masks = tmp_path / "source" / "train" / "masks"
    names = sorted(path.name for path in masks.iterdir())
    save(masks / names[76], size=(30, 20), value=0)  # none of the 64 masks that are looked at
    config = scenes_of(tmp_path)
    with pytest.raises(CycadaError, match=f"{names[76]}: found an image of .* and a mask of 30 x 20 pixels"):
        check_files(loaded(config), Heard())
    assert [fault for fault in check_config(config, 5).faults if names[76] in fault]
    (masks / names[76]).write_bytes(b"")
    with pytest.raises(CycadaError, match=f"{names[76]}: not a readable image"):
        check_files(loaded(config), Heard())


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("a.png", "a_mask.png", "b_mask.png"), "a_mask.png"),
        (("a (1).png", "a (1)_mask_1.png"), "a (1)_mask_1.png"),
        (("a.png", "a_L.png", "l.png"), "a_L.png"),
        (("x_leftImg8bit.png", "x_gtFine_labelIds.png"), "x_gtFine_labelIds.png"),
        (("image-7.png", "mask-7.png"), "mask-7.png"),
        (("mask.png", "label_1.png", "1_2.png", "maskB.png"), ""),
        (("images/a.png", "masks/a.png", "masks/b.png"), "masks/a.png"),
        (
            ("leftImg8bit/ulm/1_leftImg8bit.png", "gtFine/ulm/1_gtFine_color.png"),
            "gtFine/ulm/1_gtFine_color.png",
        ),
        (("mask/1.png", "no_mask/1.png"), ""),
    ],
)
def test_masks_among_pictures_are_named(tmp_path, names, named):
    files = [tmp_path / name for name in names]
    assert list(find_masks_among(files)) == ([str(tmp_path / named)] if named else [])


def test_masks_beside_images_of_a_class_or_of_none_are_named(tmp_path):
    class_folders(tmp_path)
    for folder in ("source/train/cat", "target/train"):
        save(tmp_path / folder / "1.png")
        save(tmp_path / folder / "1_mask.png")
    found = heard(own(tmp_path)).warned
    assert [line.partition(":")[0] for line in found if "the name of a mask of 1.png" in line] == [
        "source train",
        "target train",
    ]
    scenes = own_scenes(tmp_path / "scenes") / "target" / "train"
    save(scenes / "images" / "0_mask.png", size=(16, 16))
    first = min(path for path in (scenes / "images").iterdir())
    first.rename(scenes / "images" / "0.png")
    assert "the name of a mask of 0.png" in heard(scenes_of(tmp_path / "scenes")).text


def test_what_is_there_in_place_of_what_is_absent_is_said(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "target" / "test").rename(tmp_path / "target" / "Test")
    with pytest.raises(CycadaError, match=f"found in {tmp_path / 'target'}: Test, train"):
        loaded(own(tmp_path))
    with pytest.raises(CycadaError, match=r"there is no folder .*nowhere"):
        loaded(own(tmp_path / "nowhere"))
    masks = own_scenes(tmp_path / "scenes") / "source" / "train" / "masks"
    for path in list(masks.iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    with pytest.raises(CycadaError, match=r"No image has the name of a mask; .*_mask\.png\. Give both"):
        loaded(scenes_of(tmp_path / "scenes"))
    masks.rename(masks.with_name("Masks"))
    config = scenes_of(tmp_path / "scenes")
    assert "Give each image a mask." in heard(config).warned[0]
    (masks.parent / "images").rename(masks.with_name("Images"))
    with pytest.raises(CycadaError, match=r"There is no folder .*images; found in .*train: Images, Masks\."):
        loaded(config)
    (tmp_path / "scenes" / "c.yaml").unlink()
    with pytest.raises(CycadaError, match=r"c\.yaml: there is no such file, expected a YAML file"):
        loaded(scenes_of(tmp_path / "scenes"))
