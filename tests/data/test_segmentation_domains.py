"""SegmentationDataset in files: the official layouts on tiny trees, and what is said of every kind of
damage."""

import struct
import zlib

import numpy as np
import pytest
import torch
from helpers.broken_files import broken, noise, refused
from helpers.paths import REAL_DATA
from PIL import Image
from scipy.io import savemat

from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE
from cycada.data import domains, segmentation_domains
from cycada.data.masks import MaskTable
from cycada.data.readers.cityscapes import CLASSES, LABEL_IDS, WITHOUT
from cycada.data.readers.synthia import IDS

W, H = 12, 8


def save(path, pixels, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **how)
    return path


def photo(path, seed=0, size=(H, W)):
    return save(path, noise(*size, 3, seed=seed))


def ids(values, size=(H, W)):
    """A mask that shows the values in columns, as many as there is room for, the last one to the end."""
    mask = np.full(size, values[-1], np.uint8)
    mask[:, : len(values)] = np.array(values[: size[1]], np.uint8)
    return mask


def palette_png(mask):
    image = Image.fromarray(mask, "P") if mask.dtype == np.uint8 else mask
    image.putpalette([(7 * k) % 256 for k in range(768)])
    return image


def png16(path, channels):
    """A 16-bit colour PNG, which PIL cannot write. channels: (H, W, 3)."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    size = struct.pack(">IIBBBBB", channels.shape[1], channels.shape[0], 16, 2, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    )


def load(name, root, split="train", **options):
    return segmentation_domains[name](**options).load(root, split)


# All of them.


def test_every_scene_domain_has_a_card():
    for name, entry in segmentation_domains.items():
        assert entry.__doc__, name
        assert name not in domains, "a config names either kind by one word"
        if name not in ("images", "mask_folder", "paired"):  # what these hold, their options say
            domain = entry()
            assert len(domain.classes) == len(domain.palette) == len(set(domain.classes)), name
            assert "train" in domain.splits, name


def test_an_unknown_split_is_answered_with_the_known_ones(tmp_path):
    with refused("'cityscapes'", "'val'", "train, test, train_extra, official_test"):
        load("cityscapes", tmp_path, "val")


@pytest.mark.parametrize("name", ["cityscapes", "gta5", "synthia", "camvid"])
def test_missing_scenes_say_where_what_and_how(tmp_path, name):
    with refused(f"'{name}'", str(tmp_path), r"png", "data.root", "CYCADA_DATA"):
        load(name, tmp_path)


# Cityscapes.


def cityscapes(
    root, part="train", mask=True, frames=("aachen/aachen_000000_000019", "bochum/bochum_000000_000313")
):
    for k, frame in enumerate(frames):
        photo(root / "cityscapes" / "leftImg8bit" / part / f"{frame}_leftImg8bit.png", k)
        if mask:
            save(
                root / "cityscapes" / "gtFine" / part / f"{frame}_gtFine_labelIds.png",
                ids((*LABEL_IDS[:11], 0)),
            )
            save(root / "cityscapes" / "gtFine" / part / f"{frame}_gtFine_color.png", noise(H, W, 3))


def test_cityscapes_ids_become_train_ids(tmp_path):
    cityscapes(tmp_path)
    scenes = load("cityscapes", tmp_path)
    image, mask, _ = scenes.read(1)
    assert len(scenes) == 2
    assert scenes.names[0] == "aachen/aachen_000000_000019"
    assert scenes.paths[0][1].name == "aachen_000000_000019_gtFine_labelIds.png"
    assert (image.dtype, image.shape, mask.dtype, mask.shape) == (torch.uint8, (3, H, W), torch.uint8, (H, W))
    assert torch.equal(image, torch.from_numpy(noise(H, W, 3, seed=1)).permute(2, 0, 1))
    assert mask[0].tolist() == [*range(11), IGNORE]


def test_cityscapes_files_of_macos_are_no_frames_and_endings_may_be_capital(tmp_path):
    cityscapes(tmp_path)
    for file in (tmp_path / "cityscapes").rglob("*/aachen/*.png"):
        file.with_name(f"._{file.name}").write_bytes(b"junk")
        file.rename(file.with_suffix(".PNG"))
    assert load("cityscapes", tmp_path).names == [
        "aachen/aachen_000000_000019",
        "bochum/bochum_000000_000313",
    ]


def test_all_ids_of_cityscapes_are_known_and_those_of_no_class_are_ignored(tmp_path):
    photo(tmp_path / "cityscapes/leftImg8bit/val/ulm/a_leftImg8bit.png", size=(4, 34))
    save(tmp_path / "cityscapes/gtFine/val/ulm/a_gtFine_labelIds.png", ids(range(34), (4, 34)))
    mask = load("cityscapes", tmp_path, "test").read(0)[1][0].tolist()
    assert [k for k in range(34) if mask[k] != IGNORE] == list(LABEL_IDS)
    assert [v for v in mask if v != IGNORE] == list(range(19))


@pytest.mark.parametrize("count", [19, 16, 13])
def test_fewer_classes_close_ranks(tmp_path, count):
    photo(tmp_path / "cityscapes/leftImg8bit/train/ulm/a_leftImg8bit.png", size=(4, 19))
    save(tmp_path / "cityscapes/gtFine/train/ulm/a_gtFine_labelIds.png", ids(LABEL_IDS, (4, 19)))
    domain = segmentation_domains["cityscapes"](classes=count)
    mask = domain.load(tmp_path, "train").read(0)[1][0].tolist()
    assert len(domain.classes) == count
    for name, value in zip(CLASSES, mask, strict=True):
        assert value == (IGNORE if name in WITHOUT[count] else domain.classes.index(name))


@pytest.mark.parametrize(("split", "part"), [("train_extra", "train_extra"), ("official_test", "test")])
def test_cityscapes_without_masks(tmp_path, split, part):
    cityscapes(tmp_path, part, mask=False)
    scenes = load("cityscapes", tmp_path, split)
    assert (len(scenes), scenes.labelled, scenes.read(0)[1]) == (2, False, None)


# GTA5.


def gta5(root, frames=(1, 2, 3, 4), grey=False):
    for frame in frames:
        photo(root / "gta5" / "images" / f"{frame:05d}.png", frame)
        mask = ids((7, 11, 23, 34, 0))
        save(root / "gta5" / "labels" / f"{frame:05d}.png", mask if grey else palette_png(mask))


@pytest.mark.parametrize("grey", [False, True])
def test_gta5_masks_with_a_palette_and_in_grey_say_the_same(tmp_path, grey):
    gta5(tmp_path, grey=grey)
    scenes = load("gta5", tmp_path)
    assert scenes.names == ["00001", "00002", "00003", "00004"]
    assert scenes.read(2)[1][0, :6].tolist() == [0, 2, 10, IGNORE, IGNORE, IGNORE]


def test_gta5_by_split_mat(tmp_path):
    gta5(tmp_path)
    savemat(tmp_path / "gta5" / "split.mat", {"trainIds": [[1], [4]], "valIds": [[2]], "testIds": [[3]]})
    domain = segmentation_domains["gta5"](lists="split.mat")
    assert [list(domain.load(tmp_path, s).names) for s in domain.splits] == [
        ["00001", "00004"],
        ["00002"],
        ["00003"],
    ]


def test_gta5_by_text_lists(tmp_path):
    gta5(tmp_path)
    (tmp_path / "gta5" / "train.txt").write_text("00002.png\nimages/00001.png\n4\n")
    assert load("gta5", tmp_path, lists="{split}.txt").names == ["00001", "00002", "00004"]
    with refused(r"test\.txt", "not a readable list"):
        load("gta5", tmp_path, "test", lists="{split}.txt")
    (tmp_path / "gta5" / "test.txt").write_bytes("\ufeff00002.png\r\n00001.png\r\n".encode())  # from Windows
    assert load("gta5", tmp_path, "test", lists="{split}.txt").names == ["00001", "00002"]


def test_gta5_lists_are_checked(tmp_path):
    gta5(tmp_path)
    with refused("no test split", "split.mat"):
        load("gta5", tmp_path, "test")
    (tmp_path / "gta5" / "train.txt").write_text("1\n77\n")
    with refused("train.txt", "2 frames", "1 are not there", "00077.png"):
        load("gta5", tmp_path, lists="train.txt")
    savemat(tmp_path / "gta5" / "split.mat", {"other": [1]})
    with refused("split.mat", "'other'", "'trainIds'"):
        load("gta5", tmp_path, lists="split.mat")
    (tmp_path / "gta5" / "split.mat").write_bytes(b"no mat file at all")
    with refused("split.mat", "not a readable"):
        load("gta5", tmp_path, lists="split.mat")


def test_a_pair_of_unequal_sizes_is_named_or_skipped(tmp_path):
    gta5(tmp_path)
    save(tmp_path / "gta5" / "labels" / "00003.png", palette_png(ids((7, 8), (H + 2, W))))
    scenes = load("gta5", tmp_path)
    with refused(r"images/00003\.png", r"labels/00003\.png", "12 x 8", "12 x 10", "same size"):
        scenes.read(2)
    scenes = load("gta5", tmp_path, skip_bad=True)
    assert scenes.names == ["00001", "00002", "00004"]
    assert list(scenes.skipped) == ["00003"]
    assert "12 x 10" in scenes.skipped["00003"]


# SYNTHIA.


def synthia(root, count=3):
    for k in range(count):
        photo(root / "RAND_CITYSCAPES" / "RGB" / f"{k:07d}.png", k, (4, 23))
        labels = np.zeros((4, 23, 3), np.uint16)
        labels[..., 0], labels[..., 1] = np.arange(23), 300 + k  # the class, the instance
        png16(root / "RAND_CITYSCAPES" / "GT" / "LABELS" / f"{k:07d}.png", labels)


@pytest.mark.parametrize("count", [16, 13])
def test_synthia_reads_the_class_from_sixteen_bits(tmp_path, count):
    synthia(tmp_path)
    domain = segmentation_domains["synthia"](classes=count, test=1)
    assert domain.classes == segmentation_domains["cityscapes"](classes=count).classes
    mask = domain.load(tmp_path, "train").read(1)[1][0].tolist()
    of = {value: name for name, value in IDS.items()}
    for value, found in enumerate(mask):
        assert found == (domain.classes.index(of[value]) if of.get(value) in domain.classes else IGNORE)


def test_synthia_keeps_its_last_frames_for_testing(tmp_path):
    synthia(tmp_path)
    assert load("synthia", tmp_path, test=1).names == ["0000000", "0000001"]
    assert load("synthia", tmp_path, "test", test=1).names == ["0000002"]
    with refused("RGB", "3 frames", "400"):
        load("synthia", tmp_path)


# CamVid.


def camvid(root, dusk=5):
    for part, names in {
        "train": [f"0001TP_{k:06d}" for k in range(dusk)] + ["0006R0_f00930", "0016E5_00390"],
        "val": ["0016E5_07959"],
    }.items():
        for name in names:
            photo(root / "CamVid" / part / f"{name}.png")
            save(root / "CamVid" / f"{part}annot" / f"{name}.png", ids(range(12)))


def test_camvid_by_drive_and_time(tmp_path):
    camvid(tmp_path)
    assert len(load("camvid", tmp_path)) == 7
    assert load("camvid", tmp_path, drive="day").names == ["0006R0_f00930", "0016E5_00390"]
    assert load("camvid", tmp_path, "test", drive="day").names == ["0016E5_07959"]
    dusk = {"drive": "dusk", "first": 2, "last": 1}
    assert load("camvid", tmp_path, **dusk).names == ["0001TP_000000", "0001TP_000001"]
    assert load("camvid", tmp_path, "test", **dusk).names == ["0001TP_000004"]
    assert load("camvid", tmp_path).read(0)[1][0].tolist() == [*range(11), IGNORE]
    # sky building pole road pavement tree sign fence car pedestrian bicyclist void, among the nine of
    # `streets`
    assert load("camvid", tmp_path, classes=9).read(0)[1][0].tolist() == [
        3,
        2,
        7,
        0,
        1,
        4,
        8,
        IGNORE,
        5,
        6,
        IGNORE,
        IGNORE,
    ]
    assert segmentation_domains["camvid"](classes=9).classes == segmentation_domains["streets"]().classes
    with refused("5 frames", "first . last = 42 . 20"):
        load("camvid", tmp_path, drive="dusk")


REAL = REAL_DATA  # third-party data, where they are


@pytest.mark.skipif(not (REAL / "CamVid").exists(), reason=f"no CamVid in {REAL.name} (CYCADA_DATA)")
def test_the_real_camvid():
    found = {
        (d, s): load("camvid", REAL, s, drive=d) for d in ("all", "day", "dusk") for s in ("train", "test")
    }
    assert [len(scenes) for scenes in found.values()] == [367, 101, 305, 101, 42, 20]
    assert not set(found["dusk", "train"].names) & set(found["dusk", "test"].names)
    brightness = {}
    for (drive, split), scenes in found.items():
        image, mask, _ = scenes.read(len(scenes) // 2)
        assert image.shape == (3, 360, 480)
        assert set(mask.unique().tolist()) <= {*range(11), IGNORE}
        brightness[drive, split] = image.float().mean()
    assert brightness["day", "train"] > 1.5 * brightness["dusk", "train"]


# One's own.


def own(root, class_map, mask, images=2):
    for k in range(images):
        photo(root / "town" / "images" / f"{k}.jpg", k)
        save(root / "town" / "masks" / f"{k}.png", mask)
    (root / "classes.yaml").write_text(class_map)
    return segmentation_domains["mask_folder"](train="town", test="town", classes="classes.yaml")


def test_own_masks_with_ids(tmp_path):
    domain = own(tmp_path, "road: 4\ncar: {ids: [13, 14]}\nignore: 255\n", ids((4, 13, 14, 255)))
    assert domain.load(tmp_path, "train").read(0)[1][0, :4].tolist() == [0, 1, 1, IGNORE]
    assert domain.classes == ("road", "car")
    assert len(set(domain.palette)) == 2


def test_own_masks_in_folders_of_any_name(tmp_path):
    own(tmp_path, "road: 4\ncar: 13\n", ids((4, 13)))
    both, alone = ["town/images", "town/masks"], ["town/images"]

    def given(train, test):
        return segmentation_domains["mask_folder"](train=train, test=test, classes="classes.yaml")

    scenes = given(alone, both).load(tmp_path, "test")
    assert scenes.labelled
    assert scenes.read(0)[1][0, :2].tolist() == [0, 1]
    assert not scenes.left_out
    assert not given(alone, both).load(tmp_path, "train").labelled
    assert len(given(both, both).images(tmp_path, "train")) == 2
    with refused("found one folder, town/images", "expected two"):
        given(alone, alone).load(tmp_path, "test")
    with refused("the folder town/labels", "images, masks"):
        given(["town/images", "town/labels"], both).load(tmp_path, "train")
    with refused("the folder town/images/images", r"train: \[IMAGES, MASKS\]"):
        given("town/images", both).load(tmp_path, "train")
    (tmp_path / "town" / "masks" / "1.png").unlink()
    with refused(r"1\.jpg"):
        given(both, both).load(tmp_path, "train")


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_own_masks_with_colours(tmp_path, mode):
    colours = np.zeros((H, W, 3), np.uint8)
    colours[:, 1], colours[:, 2] = (128, 64, 128), (0, 0, 142)
    mask = Image.fromarray(colours)
    domain = own(
        tmp_path,
        "car: [0, 0, 142]\nroad: [[128, 64, 128], [1, 2, 3]]\nignore: [0, 0, 0]\n",
        mask.quantize() if mode == "P" else mask,
    )
    assert domain.load(tmp_path, "train").read(1)[1][0, :4].tolist() == [IGNORE, 1, 0, IGNORE]
    assert domain.palette == ((0, 0, 142), (128, 64, 128))


def test_own_sixteen_bit_ids(tmp_path):
    domain = own(
        tmp_path,
        "road: 4000\nother: 1\n",
        np.where(np.arange(W) < 3, 4000, 1).astype(np.uint16)[None].repeat(H, 0),
    )
    assert domain.load(tmp_path, "train").read(0)[1][0, :4].tolist() == [0, 0, 0, 1]


def test_own_images_without_masks_are_an_unlabelled_target(tmp_path):
    domain = own(tmp_path, "road: 0", ids((0,)))
    for mask in (tmp_path / "town" / "masks").iterdir():
        mask.unlink()
    (tmp_path / "town" / "masks").rmdir()
    assert domain.load(tmp_path, "train").read(0)[1] is None
    with refused("town/masks", "2 images"):
        domain.load(tmp_path, "test")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("None", "mapping")),
        ("ignore: 0", ("ignore", "mapping of class names")),
        ("road: grey", ("road", "'grey'", "an id from 0")),
        ("road: [1, 2]", ("road", "colour")),
        ("road: [1, 2, 300]", ("road", "0..255")),
        ("road: {ids: []}", ("road", "ids")),
        ("road: true", ("road", "True")),
        ("road: 70000", ("70000", "65535")),
        ("road: 1\ncar: [0, 0, 1]", ("ids and colours", "'road' has ids, 'car' colours", "one kind")),
        ("0: road\n1: car", ("the id 0 before its class", "`road: 0`")),
        ("road: 1\ncar: 1", ("value 1 twice", "'car'")),
        ("road: 1\nIgnore: 255", ("'Ignore'", "`ignore`, in small letters")),
        ("road: [", ("not valid YAML",)),
    ],
)
def test_wrong_class_maps_are_refused_by_file(tmp_path, text, words):
    with refused(r"classes\.yaml", *words):
        own(tmp_path, text, ids((0,))).load(tmp_path, "train")


def test_an_absent_class_map_and_an_absent_folder(tmp_path):
    domain = own(tmp_path, "road: 0", ids((0,)))
    (tmp_path / "classes.yaml").unlink()
    with refused(r"classes\.yaml", "there is no such file", "town"):
        domain.load(tmp_path, "train")
    (tmp_path / "classes.yaml").write_text("road: 0", encoding="utf-16")
    with refused(r"classes\.yaml", "no text in UTF-8", "Save it so"):
        domain.load(tmp_path, "train")
    (tmp_path / "classes.yaml").write_text("road: 0")
    with refused("elsewhere", "option 'train'"):
        load("mask_folder", tmp_path, train="elsewhere", test="town", classes="classes.yaml")


# Damage.


def damaged(root, **options):
    return own(root, "road: 0\ncar: 1\nignore: 255\n", ids((0, 1, 255))), options


@pytest.mark.parametrize(
    ("kind", "folder"), [(k, f) for k in ("text", "empty", "cut") for f in ("images", "masks")]
)
def test_an_unreadable_file_is_named_with_its_partner(tmp_path, kind, folder):
    domain, _ = damaged(tmp_path)
    path = next(p for p in (tmp_path / "town" / folder).iterdir() if p.stem == "1")
    path.write_bytes(broken(kind, path.read_bytes()))
    with refused(
        r"images/1\.jpg",
        r"masks/1\.png",
        "an image" if folder == "images" else "a mask",
        "not readable",
        "Mend",
    ):
        domain.load(tmp_path, "train").read(1)


def test_an_unreadable_synthia_mask_is_named(tmp_path):
    synthia(tmp_path)
    path = tmp_path / "RAND_CITYSCAPES" / "GT" / "LABELS" / "0000000.png"
    path.write_bytes(b"hello")
    with refused(r"0000000\.png", "not readable"):
        load("synthia", tmp_path, test=1).read(0)


def test_unknown_values_are_listed_with_the_known_ones(tmp_path):
    domain, _ = damaged(tmp_path)
    save(tmp_path / "town" / "masks" / "0.png", ids((0, 9, 7, 1)))
    with refused(r"images/0\.jpg", r"masks/0\.png", r"7 \(8 pixels\), 9 \(8 pixels\)", "only 0, 1, 255"):
        domain.load(tmp_path, "train").read(0)


def test_unknown_colours_are_shown_as_colours(tmp_path):
    domain = own(tmp_path, "road: [1, 2, 3]", np.full((H, W, 3), 9, np.uint8))
    with refused(r"\(9, 9, 9\)", r"only \(1, 2, 3\)"):
        domain.load(tmp_path, "train").read(0)


def test_a_coloured_mask_where_ids_are_expected(tmp_path):
    domain, _ = damaged(tmp_path)
    save(tmp_path / "town" / "masks" / "0.png", noise(H, W, 3))
    with refused(r"masks/0\.png", "channels RGB", "one channel"):
        domain.load(tmp_path, "train").read(0)


@pytest.mark.parametrize(
    ("gone", "words"),
    [("masks", ("image without a mask", r"images/1\.jpg")), ("images", ("mask without an image", "1"))],
)
def test_a_lonely_file_is_named_or_skipped(tmp_path, gone, words):
    domain, _ = damaged(tmp_path)
    next(p for p in (tmp_path / "town" / gone).iterdir() if p.stem == "1").unlink()
    with refused(*words, "without a partner: 1", "skip_bad"):
        domain.load(tmp_path, "train")
    domain.skip_bad = True
    scenes = domain.load(tmp_path, "train")
    assert (scenes.names, list(scenes.skipped)) == (["0"], ["1"])


def test_a_value_of_no_class_is_named_with_the_file_that_gives_it_one(tmp_path):
    domain = own(tmp_path, "road: 0\ncar: 1\n", ids((0, 255)))
    with refused(r"values 255", "expected only 0, 1", r"a class in classes\.yaml, .*under `ignore` there"):
        domain.load(tmp_path, "train").read(0)


def test_what_may_be_the_partner_of_a_lonely_file_is_named(tmp_path):
    domain, _ = damaged(tmp_path)
    mask = next(p for p in (tmp_path / "town" / "masks").iterdir() if p.stem == "1")
    other = mask.rename(mask.with_name("1_mask.png"))
    with refused(r"called 1\.jpg and 1_mask\.png: give both the same name"):
        domain.load(tmp_path, "train")
    other.rename(other.with_name("1.gif"))
    with refused(r"1\.gif is not read: its suffix is none of"):
        domain.load(tmp_path, "train")


def test_skipping_counts_every_kind_of_damage(tmp_path):
    domain = own(tmp_path, "road: 0\ncar: 1\n", ids((0, 1)), images=6)
    town = tmp_path / "town"
    (town / "images" / "1.jpg").write_bytes(b"")
    save(town / "masks" / "2.png", ids((0, 5)))
    save(town / "masks" / "3.png", ids((0,), (H, W + 1)))
    (town / "masks" / "4.png").unlink()
    domain.skip_bad = True
    scenes = domain.load(tmp_path, "train")
    assert scenes.names == ["0", "5"]
    assert sorted(scenes.skipped) == ["1", "2", "3", "4"]
    for path in (town / "images").iterdir():
        path.write_bytes(b"")
    with refused("no pair", "6 are bad"):
        domain.load(tmp_path, "train")


def test_two_files_of_one_name_are_refused(tmp_path):
    domain, _ = damaged(tmp_path)
    photo(tmp_path / "town" / "images" / "1.png")
    with refused(r"1\.jpg", r"1\.png", "two files of one name"):
        domain.load(tmp_path, "train")


def test_an_empty_folder_is_named(tmp_path):
    domain, _ = damaged(tmp_path)
    for path in (tmp_path / "town" / "images").iterdir():
        path.unlink()
    with refused("town/images", "Expected there: images"):
        domain.load(tmp_path, "train")


def test_a_table_knows_its_values_alone():
    table = MaskTable({0: 3, 70_000: IGNORE})
    assert table(np.array([[0, 70_000]])).tolist() == [[3, IGNORE]]
    for wrong in (1, 69_999, 70_001, 2**31, -1):
        with pytest.raises(ValueError, match=str(wrong)):
            table(np.array([[0, wrong]]))


# Parts of a set.


def test_without_masks_no_mask_is_opened(tmp_path):
    gta5(tmp_path)
    scenes = load("gta5", tmp_path).without_labels()
    for path in (tmp_path / "gta5" / "labels").iterdir():
        path.unlink()
    assert [sample.label for sample in map(scenes.read, range(len(scenes)))] == [None] * 4
    assert {mask for _, mask in scenes.paths} == {None}


def test_some_rows_in_another_order(tmp_path):
    gta5(tmp_path)
    scenes = load("gta5", tmp_path)
    part = scenes.subset([3, 0])
    assert part.names == ["00004", "00001"]
    assert torch.equal(part.read(0)[0], scenes.read(3)[0])
    assert torch.equal(part.read(1)[1], scenes.read(0)[1])


def test_errors_are_the_users_kind(tmp_path):
    assert issubclass(CycadaError, Exception)
    with refused("Unknown segmentation domain 'camvit'", "Did you mean 'camvid'"):
        segmentation_domains["camvit"]
