"""Folders of pictures and pix2pix's pairs: read right or refused by name, trained on without labels, partners
under one window."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.experiments import tiny_config, write_config
from helpers.streets import streets
from PIL import Image
from torch.nn import functional

from cycada.core.errors import CycadaError
from cycada.data import ResizedDataset, segmentation_domains, to_float
from cycada.data.palettes import CMP_FACADES, colour_scores, nearest_colour
from cycada.data.picture import picture_size, read_picture
from cycada.data.readers.paired import LabelMap
from cycada.losses import losses
from cycada.methods import Method, PhaseSpec, methods
from cycada.methods.cyclegan import CycleGANTensors, CycleOptions
from cycada.planning.build import build_training, load_datasets, true_translations
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.storage.identity import stage_id
from cycada.storage.store import RunFolder
from cycada.train.device import Device
from cycada.train.loop import train

CPU = Device.find("cpu")
FACADES = Path(os.environ.get("CYCADA_DATA", "data")) / "facades"
RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)
TABLE = {"wall": list(RED), "hole": [list(BLUE), [0, 0, 100]], "ignore": list(GREEN)}


def noise(seed, height=12, width=16):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(path, array, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(path, **how)
    return path


# Pictures.


def test_every_kind_of_picture_is_read_as_one_sees_it(tmp_path):
    colour = noise(0)
    grey, alpha = colour[..., 0], colour[..., 1]
    palette = Image.fromarray(colour).quantize(16)
    shown = np.asarray(palette.convert("RGB"))
    share = alpha[..., None] / 255
    over_white = colour * share + 255 * (1 - share)
    both = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    holes = shown.copy()
    holes[np.asarray(palette) == 3] = 255
    turn = Image.Exif()
    turn[0x0112] = 6  # to be turned a quarter clockwise
    known = {
        "colour.png": (colour, colour, {}),
        "grey.png": (grey, np.stack([grey] * 3, -1), {}),
        "deep.png": (grey.astype(np.uint16) * 257, np.stack([grey] * 3, -1), {}),
        "deep.tif": (grey.astype(np.int32) * 257, np.stack([grey] * 3, -1), {}),
        "two.png": (grey > 99, np.stack([255 * (grey > 99)] * 3, -1), {}),
        "palette.png": (palette, shown, {}),
        "hole.png": (palette, holes, {"transparency": 3}),
        "alpha.png": (np.dstack([colour, alpha]), over_white, {}),
        "grey_alpha.png": (
            both,
            np.stack([grey * share[..., 0] + 255 - alpha] * 3, -1),
            {},
        ),
        "turned.png": (colour, np.rot90(colour, -1), {"exif": turn}),
    }
    for name, (pixels, expected, how) in known.items():
        path = saved(tmp_path / name, pixels, **how)
        found = read_picture(path)
        assert found.dtype == np.uint8
        assert found.shape == expected.shape, name
        assert np.abs(found - expected.astype(float)).max() <= 1, name
        assert read_picture(path, channels=1).shape == (*expected.shape[:2], 1)
        assert picture_size(path) == (expected.shape[1], expected.shape[0])
    assert np.array_equal(read_picture(tmp_path / "turned.png", upright=False), colour)
    assert read_picture(saved(tmp_path / "ink.jpg", Image.fromarray(colour).convert("CMYK"))).shape == (
        12,
        16,
        3,
    )


def bad_files(folder):
    """File -> what is said of it."""
    whole = saved(folder / "whole.png", noise(0)).read_bytes()
    jpeg = saved(folder / "whole.jpg", noise(1, 64, 64)).read_bytes()
    contents = {
        "empty.png": b"",
        "text.jpg": b"no picture",
        "cut.png": whole[: len(whole) // 2],
        "cut.jpg": jpeg[: len(jpeg) // 2],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    saved(folder / "dot.png", noise(0, 1, 1))
    saved(folder / "line.png", noise(0, 1, 9))
    saved(folder / "floats.tif", np.zeros((4, 4), np.float32))
    saved(folder / "bomb.png", Image.new("1", (18000, 10000)))
    small = "expected at least 2 x 2"
    return dict.fromkeys(contents, "not a readable image") | {
        "dot.png": small,
        "line.png": small,
        "floats.tif": "floating-point",
        "bomb.png": "decompression bomb",
    }


def test_bad_pictures_are_named_or_skipped_and_counted(tmp_path):
    for name, said in bad_files(tmp_path / "a").items():
        with pytest.raises(CycadaError, match=said) as found:
            read_picture(tmp_path / "a" / name)
        assert str(tmp_path / "a" / name) in str(found.value)
    (tmp_path / "a" / "._whole.jpg").write_bytes(b"what another system leaves behind")
    of = {"train": "a", "test": "a"}
    scenes = segmentation_domains["images"](**of, skip_bad=True).load(tmp_path, "train")
    assert scenes.names == ["whole.jpg", "whole.png"]
    assert len(scenes.skipped) == 8
    whole = segmentation_domains["images"](**of).load(tmp_path, "train")
    assert len(whole) == 10
    with pytest.raises(CycadaError, match=r"bomb\.png"):
        whole.pair(0)


# Colours.


def test_nearest_colour_is_that_of_a_naive_loop():
    palette = list(CMP_FACADES.values())
    image = np.concatenate(
        [noise(0, 30, 40), np.array(palette, np.uint8).repeat(40, 0)[:480].reshape(12, 40, 3)]
    )
    image[0, :3] = [
        (0, 88, 255),
        (0, 0, 0),
        (255, 255, 255),
    ]  # the first is as far from two colours: the first of them has it
    naive = np.array(
        [
            [
                min(
                    range(12),
                    key=lambda k: sum((int(p) - c) ** 2 for p, c in zip(at, palette[k], strict=True)),
                )
                for at in row
            ]
            for row in image
        ]
    )
    found = nearest_colour(image, palette)
    assert found.dtype == np.uint8
    assert np.array_equal(found, naive)
    assert found[0, 0] == 1
    scores = colour_scores(to_float(torch.from_numpy(image.copy()).permute(2, 0, 1)[None]), palette)
    assert scores.shape == (1, 12, 42, 40)
    assert torch.equal(scores.argmax(1)[0], torch.from_numpy(naive))
    assert scores.max() == 0
    assert torch.isclose(colour_scores(-torch.ones(1, 3, 1, 1), [(255, 255, 255)]), torch.tensor(-12.0)).all()


def test_many_pixels_are_the_same_as_few():
    image = noise(3, 300, 500)
    rows = np.concatenate([nearest_colour(row[None], [RED, BLUE, GREEN]) for row in image])
    assert np.array_equal(nearest_colour(image, [RED, BLUE, GREEN]), rows)


# Pairs.


def label_map(seed, height=12, width=16):
    """Blocks of RED, BLUE and GREEN, and their classes by `TABLE`."""
    places = np.random.default_rng(seed).integers(0, 3, (height // 4, width // 4)).repeat(4, 0).repeat(4, 1)
    return np.array([RED, BLUE, GREEN], np.uint8)[places], np.array([0, 1, 255], np.uint8)[places]


def paired_tree(root, count=5, height=12, width=16):
    """The same pairs as files side by side, and as two folders: photo left, labels right."""
    for split in ("train", "test"):
        for i in range(count):
            photo, labels = noise(i + 50 * (split == "test"), height, width), label_map(i, height, width)[0]
            saved(root / "ab" / split / f"{i}.png", np.concatenate([photo, labels], 1))
            saved(root / "photos" / split / f"{i}.bmp", photo)
            saved(root / "labels" / split / f"{i}.png", labels)
    (root / "classes.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    return root


def paired(show, folders=False, **how):
    where = {
        split: [f"photos/{split}", f"labels/{split}"] if folders else f"ab/{split}"
        for split in ("train", "test")
    }
    labels = {"labels": "right", "classes": "classes.yaml"} if how.pop("labelled", True) else {}
    return {"name": "paired", **where, "show": show, **labels, **how}


def domain(spec):
    options = dict(spec)
    return segmentation_domains[options.pop("name")](
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    )


@pytest.mark.parametrize("folders", [False, True])
def test_a_pair_of_unequal_sizes_is_known_from_its_headers(tmp_path, folders):
    paired_tree(tmp_path)
    other = tmp_path / ("labels" if folders else "ab") / "train" / "3.png"
    saved(other, noise(1, 12, 15))
    for show in ("left", "right"):
        pairs = domain(paired(show, folders)).load(tmp_path, "train")
        pairs.check_headers(2)
        with pytest.raises(
            CycadaError, match=r"16 x 12 and 15 x 12 pixels" if folders else "15 pixels across"
        ):
            pairs.check_headers(3)
    alone = domain(paired("left", folders)).images(tmp_path, "train")  # of two folders one is read
    if folders:
        alone.check_headers(3)


@pytest.mark.parametrize("folders", [False, True])
def test_pairs_side_by_side_and_in_two_folders_are_the_same(tmp_path, folders):
    paired_tree(tmp_path)
    photos, maps = (domain(paired(show, folders)) for show in ("left", "right"))
    left, right = photos.load(tmp_path, "train"), maps.load(tmp_path, "train")
    assert photos.classes == maps.classes == ("wall", "hole")
    assert maps.palette == (RED, BLUE)
    assert len(left) == len(right) == 5
    truth = right.true_translation(left.without_labels())
    assert left.true_translation(left) is None
    for i in range(5):
        expected, mask = label_map(i)
        assert np.array_equal(left.pair(i)[0], noise(i))
        assert np.array_equal(right.pair(i)[0], expected)
        assert np.array_equal(left.pair(i)[1], mask)
        assert np.array_equal(right.pair(i)[1], mask)
        assert np.array_equal(truth.pair(i)[0], noise(i))
    assert left.without_labels().pair(0)[1] is None
    assert [n.split(".")[0] for n in right.subset([3, 1]).true_translation(left).names] == ["3", "1"]
    assert np.array_equal(right.subset([3, 1]).true_translation(left).pair(0)[0], noise(3))
    plain = domain(paired("left", folders, labelled=False)).load(tmp_path, "test")
    assert not plain.labelled
    assert plain.pair(0)[1] is None
    assert right.true_translation(plain) is None  # other folders


def test_blurred_colours_are_still_classes(tmp_path):
    for i in range(3):
        both = np.concatenate([noise(i, 48, 64), np.kron(label_map(i)[0], np.ones((4, 4, 1), np.uint8))], 1)
        for split in ("train", "test"):
            saved(tmp_path / "ab" / split / f"{i}.jpg", both, quality=80)
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    scenes = domain(paired("left")).load(tmp_path, "train")
    for i in range(3):
        truth = np.kron(label_map(i)[1], np.ones((4, 4), np.uint8))
        assert (scenes.pair(i)[1] == truth).mean() > 0.97


def test_parts_of_the_training_pairs_are_disjoint_and_whole(tmp_path):
    paired_tree(tmp_path)
    even, odd = (domain(paired("left", part=part)).load(tmp_path, "train").names for part in ("even", "odd"))
    assert (even, odd) == (["0.png", "2.png", "4.png"], ["1.png", "3.png"])
    assert len(domain(paired("left", part="odd")).load(tmp_path, "test")) == 5


def test_what_is_no_pair_is_named(tmp_path):
    paired_tree(tmp_path)
    saved(tmp_path / "ab" / "train" / "9.png", noise(0, 12, 33))
    scenes = domain(paired("left")).load(tmp_path, "train")
    with pytest.raises(CycadaError, match=r"9\.png: found 33 pixels across, expected an even number"):
        scenes.pair(5)
    assert list(domain(paired("left", skip_bad=True)).load(tmp_path, "train").skipped) == ["9.png"]
    saved(tmp_path / "photos" / "train" / "2.bmp", noise(0, 12, 20))
    for show in ("left", "right"):
        with pytest.raises(
            CycadaError, match=r"2\.bmp with .*2\.png: found pictures of 20 x 12 and 16 x 12 pixels"
        ):
            domain(paired(show, folders=True, labelled=False)).load(tmp_path, "train").pair(2)
    saved(tmp_path / "photos" / "train" / "alone.bmp", noise(0))
    with pytest.raises(CycadaError, match=r"alone\.bmp: found nothing of this name in .*labels.train"):
        domain(paired("left", folders=True)).load(tmp_path, "train")
    good = domain(paired("left", folders=True, skip_bad=True)).load(tmp_path, "train")
    assert good.names == ["0", "1", "3", "4"]
    assert set(good.skipped) == {"2", "alone"}
    for file in list((tmp_path / "photos" / "train").iterdir()):
        file.rename(file.with_stem(f"{file.stem}_photo"))
    with pytest.raises(CycadaError, match=r"called 0_photo\.\w+ and 0\.\w+\. Give both pictures of a pair"):
        domain(paired("left", folders=True)).load(tmp_path, "train")


@pytest.mark.parametrize("panels", [2, 3])
def test_three_pictures_side_by_side_are_no_pair(tmp_path, panels):
    """A pair of pictures of 3 : 2 has the same shape, but meets in its middle."""
    greys = np.linspace(20, 220, panels).astype(np.uint8).repeat(72 // panels)
    for name in ("a.png", "b.png"):
        saved(tmp_path / "ab" / "train" / name, np.tile(greys[None, :, None], (24, 1, 3)))
    said = domain(paired("left", labelled=False)).load(tmp_path, "train").doubts([0, 1])
    assert sum("three pictures side by side" in " ".join(doubts) for doubts in said.values()) == (
        2 if panels == 3 else 0
    )


def test_a_label_map_of_other_colours_is_doubted(tmp_path):
    paired_tree(tmp_path)

    def doubts(**how):
        scenes = domain(paired("left", folders=True, **how)).load(tmp_path, "train")
        return [sentence for found in scenes.doubts(range(len(scenes))).values() for sentence in found]

    assert doubts() == []
    ids = saved(tmp_path / "labels" / "train" / "1.png", np.eye(12, 16, dtype=np.uint8))
    assert doubts() == ["its label map is grey, and the classes have colours; it may hold class ids"]
    ids.unlink()
    saved(ids, np.full((12, 16, 3), (255, 120, 255), np.uint8))
    assert [d.partition(" of the pixels")[0] for d in doubts()] == ["100%"]
    scenes = domain(paired("left", folders=True)).load(tmp_path, "train")
    assert not scenes.without_labels().doubts(range(len(scenes)))
    if FACADES.is_dir():
        sides = {"train": "facades/train", "test": "facades/val", "show": "left", "classes": "cmp_facades"}
        for side, wrong in (("right", 0), ("left", 20)):
            facades = segmentation_domains["paired"](**sides, labels=side).load(FACADES.parent, "train")
            found = [d for ds in facades.doubts(range(20)).values() for d in ds if "label map" in d]
            assert len(found) == wrong


def test_mistakes_in_options_are_answered(tmp_path):
    paired_tree(tmp_path)
    (tmp_path / "ids.yaml").write_text("a: 0\nb: 1\n")
    (tmp_path / "twice.yaml").write_text("a: [1, 2, 3]\nb: [[0, 0, 0], [1, 2, 3]]\n")
    many = {"a": [[0, 0, 0]], "b": [[1, i // 256, i % 256] for i in range(300)]}
    (tmp_path / "many.yaml").write_text(yaml.safe_dump(many))
    of = {"train": "ab/train", "test": "ab/test", "show": "left"}
    for options, message in (
        ({"labels": "right"}, "expected both or neither"),
        ({"labels": "right", "classes": "cmp_facade"}, "Did you mean 'cmp_facades'"),
        ({"labels": "right", "classes": "ids.yaml"}, "found class ids, expected colours"),
        ({"labels": "right", "classes": "twice.yaml"}, r"(\[1, 2, 3\] twice|1, 2, 3)"),
        ({"labels": "right", "classes": "many.yaml"}, "found 301 colours of classes, expected at most 256"),
        ({"train": "ab/nowhere"}, "the folder ab/nowhere"),
        ({"train": "ab"}, "Expected there: pictures"),
    ):
        with pytest.raises(CycadaError, match=message):
            segmentation_domains["paired"](**{**of, **options}).load(tmp_path, "train")
    for name in ("images", "paired"):
        with pytest.raises(CycadaError, match="option 'train' is missing"):
            plan(
                streets(
                    STAGES,
                    data={
                        "source": {"name": name},
                        "target": {"name": name},
                        "channels": 3,
                        "size": [16, 16],
                    },
                )
            )


@pytest.mark.skipif(
    not FACADES.is_dir(), reason="needs the CMP facades of pix2pix under the data root (CYCADA_DATA)"
)
def test_the_colours_of_facades_are_those_of_the_files():
    """Where a label map is flat, its pixels are within JPEG's error of a colour, and every class is
    somewhere."""
    both = domain(
        {
            "name": "paired",
            "train": "facades/train",
            "test": "facades/val",
            "show": "right",
            "labels": "right",
            "classes": "cmp_facades",
        }
    )
    scenes = both.load(FACADES.parent, "train")
    assert (len(scenes), len(both.load(FACADES.parent, "test"))) == (400, 100)
    near, flat_pixels, seen = 0, 0, set()
    for i in range(0, 400, 5):
        image, mask = scenes.pair(i)
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float()
        spread = functional.max_pool2d(pixels, 5, 1) + functional.max_pool2d(-pixels, 5, 1)
        flat = spread.amax(0).numpy() <= 6
        off = np.abs(image[2:-2, 2:-2].astype(int) - np.array(both.palette)[mask[2:-2, 2:-2]]).max(-1)[flat]
        near, flat_pixels = near + (off <= 8).sum(), flat_pixels + off.size
        seen |= set(np.unique(mask[2:-2, 2:-2][flat]))
    assert near / flat_pixels > 0.99
    assert len(seen) == 12


# Training.

CYCLE = {"cycle": {"method": "cyclegan", "crop": [16, 16], "options": {"pool": 4}}}
STAGES = CYCLE


def unpaired(root):
    """Pictures of any size and aspect in four folders."""
    for side in "AB":
        for split in ("train", "test"):
            for i, (height, width) in enumerate([(20, 60), (50, 18), (31, 31)]):
                saved(root / f"{split}{side}" / f"{i}.{'png' if i else 'jpg'}", noise(i, height, width))
    return {
        side: {"name": "images", "train": f"train{letter}", "test": f"test{letter}"}
        for side, letter in (("source", "A"), ("target", "B"))
    }


def settings(root, data, size=(20, 20), **over):
    """Overrides of the tiny experiment."""
    small = {"batch": 2, "steps": 2, "augment": {"flip": True}}
    return {
        "data": {**data, "channels": 3, "size": list(size), "root": str(root)},
        "defaults": small,
        "results": str(root / "out"),
    } | over


def test_unlabelled_pictures_train_a_cycle_from_check_to_translation(tmp_path, cycada):
    data = unpaired(tmp_path)
    (tmp_path / "trainA" / "bad.png").write_bytes(b"")
    data["source"]["skip_bad"] = True
    stages = {"cycle": {**CYCLE["cycle"], "load_size": 23}}
    config = str(write_config(tmp_path / "it.yaml", stages, **settings(tmp_path, data)))
    code, out, _ = cycada("check", config)
    assert code == 0, out
    code, out, err = cycada("data", "check", config)
    assert code == 0, out + err
    assert "source train" in out
    assert "60 x 20" in out
    code, out, err = cycada("run", config)
    assert code == 0, err
    assert "accuracy" not in out
    assert "Image grid" in out
    (done,) = (p for p in (tmp_path / "out" / "runs").iterdir() if p.is_dir())
    folder = RunFolder(done)
    assert folder.read_json("scores.json") == {}
    assert folder.read_json("manifest.json")["skipped"] == {"source train": 1}
    assert folder.read_json("drift.json")["cycle_l1"] > 0
    assert list(folder.images.glob("grid_*.png"))
    code, out, err = cycada("report", "tiny", "--results", str(tmp_path / "out"))
    assert code == 2
    assert "Nothing to report on" in err
    code, _, err = cycada("evaluate", folder.id, "--results", str(tmp_path / "out"))
    assert code == 2
    assert "no classifier" in err
    code, out, err = cycada("run", config)
    assert code == 0
    assert "reused" in out


def training(config, last="it"):
    plans = plan(config)
    datasets = load_datasets(config, plans, CPU)
    found = next(p for p in plans if p.name == last)
    return build_training(config, found, datasets, CPU, {}), datasets, found


def test_windows_are_cut_of_scenes_at_load_size_and_all_else_is_at_data_size(tmp_path):
    data = unpaired(tmp_path)
    stage = {"it": {"method": "cyclegan", "options": {"pool": 4}}}
    plain = tiny_config(stage, **settings(tmp_path, data))
    loaded = tiny_config({"it": {**stage["it"], "load_size": [23, 27]}}, **settings(tmp_path, data))
    t, datasets, _ = training(loaded)
    batch = t.batch(0)
    assert batch.real_s.shape == batch.real_t.shape == (2, 3, 20, 20)
    assert batch.label_s.shape == (0,)
    for stream in (t.source, t.target):
        assert stream.samples.dataset.read(0)[0].shape == (3, 23, 27)
    assert datasets.source["train"].read(0)[0].shape == (3, 20, 20)
    assert plan(plain)[0].identity() | {"load_size": [23, 27]} == plan(loaded)[0].identity()
    with pytest.raises(
        CycadaError, match=r"crop: found \[20, 20\], expected at most stages.it.load_size, \[16, 16\]"
    ):
        plan(tiny_config({"it": {**stage["it"], "load_size": 16}}, **settings(tmp_path, data)))
    with pytest.raises(CycadaError, match="load_size: only segmentation images"):
        plan(tiny_config({"it": {"method": "source_only", "load_size": 16}}))


def test_labels_that_are_not_there_are_asked_for_in_vain(tmp_path):
    data = unpaired(tmp_path)
    over = settings(tmp_path, data)
    with pytest.raises(
        CycadaError, match=r"stages.it.losses.task_source: it needs labels, and the source 'images' has none"
    ):
        plan(tiny_config({"it": {"method": "source_only"}}, **over))
    with pytest.raises(CycadaError, match="the target 'images' has none"):
        plan(tiny_config({"it": {"method": "target_only"}}, **over))
    for split in ("train", "test"):
        saved(tmp_path / "own" / split / "images" / "0.png", noise(0))
    saved(tmp_path / "own" / "test" / "masks" / "0.png", np.zeros((12, 16), np.uint8))
    (tmp_path / "own.yaml").write_text("road: 0\ncar: 1\n")
    own = {"name": "mask_folder", "train": "own/train", "test": "own/test", "classes": "own.yaml"}
    half = settings(tmp_path, {"source": own, "target": data["target"]})
    networks = {"networks": {"f": {"name": "small_segmenter", "channels": 4, "width": 8}}}
    with pytest.raises(
        CycadaError, match="the loss task_source needs labels, and the source's training images have none"
    ):
        training(tiny_config({"it": {"method": "source_only", **networks}}, **half))
    t, datasets, _ = training(tiny_config({"it": CYCLE["cycle"]}, **half))
    assert datasets.classes == ("road", "car")
    list(train(t))
    with pytest.raises(CycadaError, match=r"needs a classifier \(f_t\), but the domains have no classes"):
        training(tiny_config({"it": {"method": "dann", "losses": {"task_source": 0}, **networks}}, **over))


@pytest.fixture
def toy():
    """A method of paired data: |G_st(x_s) - what x_s truly looks like|."""
    with methods.temporary(), losses.temporary():

        @losses("toy_pair")
        def toy_pair(fake_t: torch.Tensor, pair_t: torch.Tensor) -> torch.Tensor:
            return functional.l1_loss(fake_t, pair_t)

        phases = (PhaseSpec("generators", ("g_st",), {"toy_pair": 1.0}),)
        grid = ("real_s", "fake_t", "pair_t")
        methods.add("toy", Method(CycleGANTensors, phases, "toy", "", options=CycleOptions, preview=grid))
        yield


def pairs_of(batch, scenes, truths):
    """Every row of a batch, found again in the scenes: (scene, mirrored) -> whether its partner is the same
    window of the truth."""
    height, width = batch.real_s.shape[2:]
    for image, partner in zip(batch.real_s, batch.pair_t, strict=True):
        hits = []
        for i in range(len(scenes)):
            whole, truth = (to_float(s.read(i)[0]) for s in (scenes, truths))
            for mirrored in (False, True):
                one, two = (x.flip(-1) if mirrored else x for x in (whole, truth))
                for y in range(whole.shape[1] - height + 1):
                    for x in range(whole.shape[2] - width + 1):
                        place = (slice(None), slice(y, y + height), slice(x, x + width))
                        if torch.equal(one[place], image):
                            hits.append(((i, mirrored), torch.equal(two[place], partner)))
        yield hits


@pytest.mark.parametrize("folders", [False, True])
def test_partners_come_under_the_same_window_and_mirror(tmp_path, toy, folders):
    data = {
        "source": paired("right", folders, labelled=False, part="even"),
        "target": paired("left", folders, labelled=False, part="odd"),
    }
    over = settings(paired_tree(tmp_path), data, (16, 20))
    t, datasets, p = training(
        tiny_config({"it": {"method": "toy", "crop": [12, 16], "load_size": [15, 18]}}, **over)
    )
    assert t.target is None
    scenes = datasets.source["train"].resized_to((15, 18))
    truths = true_translations(p, datasets).resized_to((15, 18))
    raw = ResizedDataset(domain(data["target"] | {"part": "even"}).load(tmp_path, "train"), (15, 18))
    for i in range(3):
        assert torch.equal(truths.read(i)[0], raw.read(i)[0])
    seen = set()
    for step in range(4):
        batch = t.batch(step)
        assert batch.pair_t.shape == batch.real_s.shape == (2, 3, 12, 16)
        for hits in pairs_of(batch, scenes, truths):
            assert hits
            assert any(same for _, same in hits)
            seen |= {mirrored for (_, mirrored), same in hits if same}
    assert seen == {False, True}
    assert all(np.isfinite(list(r.values.values())).all() for r in train(t))


def test_drawn_streets_have_partners_and_the_grid_shows_them(tmp_path, toy):
    config = streets({"it": {"method": "toy"}}, results=str(tmp_path))
    (stage,) = run(config).stages
    (grid,) = sorted((stage.folder / "images").glob("grid_*.png"))
    with Image.open(grid) as image:
        shown = np.asarray(image.convert("RGB")).astype(float)
    wide = (shown.shape[1] + 4) // 3
    real, pair = (shown[18:, k * wide : (k + 1) * wide - 4] for k in (0, 2))
    assert pair.std() > 20
    assert np.abs(real - pair).mean() > 10
    t, _, _ = training(config)
    batch = t.batch(0)
    assert (batch.real_s - batch.pair_t).abs().mean() > 0.05
    assert batch.label_s.shape == (2, *batch.real_s.shape[2:])  # masks are there all the same
    assert t.nets.g_st(batch.real_s).shape == batch.pair_t.shape


def test_partners_are_there_only_where_a_loss_asks_for_them(tmp_path, toy):
    assert training(streets({"it": {"method": "cyclegan"}}))[0].batch(0).pair_t is None
    assert training(streets({"it": {"method": "toy"}}))[0].batch(0).pair_t is not None


def test_the_id_knows_the_partners(tmp_path, toy):
    data = {
        "source": paired("right", True, labelled=False),
        "target": paired("left", True, labelled=False, part="odd"),
    }
    config = tiny_config({"it": {"method": "toy"}}, **settings(paired_tree(tmp_path), data, (12, 16)))

    def identity():
        plans = plan(config)
        return stage_id(config, plans[0], {}, load_datasets(config, plans, CPU), CPU)

    before = identity()
    assert identity() == before
    saved(
        tmp_path / "photos" / "train" / "2.bmp", noise(99)
    )  # of a pair that the target itself does not look at
    assert identity() != before


def test_where_nobody_knows_the_partners_it_is_refused(tmp_path, toy):
    over = settings(tmp_path, unpaired(tmp_path))
    with pytest.raises(
        CycadaError, match=r"the loss toy_pair needs the true translation of every source image.*Use 'paired'"
    ):
        training(tiny_config({"it": {"method": "toy"}}, **over))
    data = {"source": paired("right", labelled=False), "target": paired("right", labelled=False)}
    with pytest.raises(CycadaError, match="showing the two sides"):
        run(tiny_config({"it": {"method": "toy"}}, **settings(paired_tree(tmp_path), data)))
    with pytest.raises(
        CycadaError, match=r"needs true translations .*which only domains for segmentation can have"
    ):
        plan(tiny_config({"it": {"method": "toy"}}))
    with pytest.raises(
        CycadaError, match="found 'once' beside the loss toy_pair, which needs true translations"
    ):
        plan(streets({"it": {"method": "toy", "translate": "once"}}))


def test_label_maps_and_photos_are_scored_where_they_have_masks(tmp_path):
    """A segmenter of photos, trained on the target's masks, is an ordinary oracle: what an FCN score is
    measured with."""
    data = {"source": paired("right", part="even"), "target": paired("left", part="odd")}
    networks = {"f": {"name": "small_segmenter", "channels": 4, "width": 8}}
    stages = {"scorer": {"method": "target_only", "networks": networks}}
    (stage,) = run(tiny_config(stages, **settings(paired_tree(tmp_path), data, (12, 16)))).stages
    assert len(stage.scores["target"]["class_iou"]) == 2
    assert set(stage.scores) == {"source", "target"}


def test_more_classes_than_a_mask_can_tell_apart_are_refused():
    """The class 255 was taken for pixels that do not count, and the class 254 for an unknown value."""
    classes = {f"class {k}": [(k, 0, 0)] for k in range(256)}
    most = dict(list(classes.items())[:254])
    assert LabelMap.of("left", most).table(np.array([[0, 253]])).tolist() == [[0, 253]]
    for count in (255, 256):
        with pytest.raises(CycadaError, match="expected at most 254"):
            LabelMap.of("left", dict(list(classes.items())[:count]))
