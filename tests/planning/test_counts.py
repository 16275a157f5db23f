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
from helpers.own_data import Heard, class_folders, heard, loaded, own, own_scenes, save, scenes_of
from helpers.paths import REAL_DATA
from PIL import Image

from cycada.cli.data_check import check_config, print_checked
from cycada.config.schema import parse
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import override
from cycada.data import domains, segmentation_domains
from cycada.data.domain import Wanted
from cycada.data.doubts import find_masks_among, summarize_left_out
from cycada.data.inspect import check_pairs
from cycada.data.picture import list_pictures
from cycada.data.segmentation import WHOLE, _hash_file
from cycada.planning.counts import check_files
from cycada.planning.plan import plan

SHARED = REAL_DATA  # third-party data, where they are


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


# At data.size.


def test_folders_of_a_system_are_no_classes(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "source" / "train" / "__MACOSX").mkdir()
    save(tmp_path / "source" / "train" / "@eaDir" / "cat.jpg")
    screen = heard(own(tmp_path))
    assert "source train: 12 images, 3 of 3 classes" in screen.text
    assert "@eaDir: a hidden folder with 1 picture" in screen.text
    assert screen.warned == []


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


def test_names_in_two_unicode_forms_are_one_pair(tmp_path):
    train = own_scenes(tmp_path) / "source" / "train"
    for kind, form in (("images", "NFC"), ("masks", "NFD")):
        (train / kind / "0.png").rename(train / kind / unicodedata.normalize(form, "caf\u00e9.png"))
    assert "source train: 3 images, with masks" in heard(scenes_of(tmp_path)).text


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
    assert f"train-labels-idx1-ubyte is not there; found in {raw}: t10k-images" in said("mnist")
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
    with pytest.raises(
        CycadaError, match=r"the folder source/train/images .*; found in .*train: Images, Masks\."
    ):
        loaded(config)
    (tmp_path / "scenes" / "c.yaml").unlink()
    with pytest.raises(CycadaError, match=r"c\.yaml: there is no such file, expected a YAML file"):
        loaded(scenes_of(tmp_path / "scenes"))
