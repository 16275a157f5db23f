"""ImageFiles: class folders that are read at every step give what they give in memory, and do not pile up."""

from functools import partial

import numpy as np
import pytest
import torch
from helpers.experiments import CYCADA, TINY
from helpers.memory import STATUS, growth
from PIL import Image

from cycada.config.schema import parse
from cycada.core.errors import CycadaError
from cycada.data import ImageDataset, ImageFiles, to_bytes
from cycada.planning.build import build_training, load_datasets
from cycada.planning.idle import find_idle_settings
from cycada.planning.plan import plan
from cycada.runs.pretranslate import translate_once
from cycada.runs.run import run
from cycada.train.device import Device

CPU = Device.find("cpu")
AUGMENT = {"rotate": 15, "scale": 0.2, "shift": 0.1}


def save(path, seed, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two class folders of five pictures in both splits of both domains."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(40):
        side, split, name = (
            ("st"[number % 2]),
            ("train", "test")[number // 2 % 2],
            ("cat", "dog")[number // 4 % 2],
        )
        save(root / side / split / name / f"{number}.png", number)
    return root


def config(root, stages=None, channels=3, **data):
    folders = {
        name: {"name": "folder", "train": f"{side}/train", "test": f"{side}/test"}
        for name, side in (("source", "s"), ("target", "t"))
    }
    stages = stages or {"source": {"method": "source_only"}, "dann": {"method": "dann"}}
    return parse(
        TINY
        | {"stages": stages, "data": {**folders, "size": 16, "channels": channels, "root": str(root)} | data}
    )


def loaded(found):
    return load_datasets(found, plan(found), CPU)


def batches(found, datasets, name, steps=5):
    """The batches of a stage, with the random numbers that its steps have."""
    stage = next(p for p in plan(found) if p.name == name)
    training = build_training(found, stage, datasets, CPU, {})
    drawn = []
    for step in range(steps):
        CPU.seed(0, "step", step)
        drawn.append(training.batch(step))
    return drawn


@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_the_images_that_memory_would_hold(root, channels):
    held, read = loaded(config(root, channels=channels)), loaded(config(root, channels=channels, hold=0))
    assert held.fingerprint == read.fingerprint
    for side in ("source", "target"):
        for split in ("train", "test"):
            memory, files = getattr(held, side)[split], getattr(read, side)[split]
            assert isinstance(memory, ImageDataset)
            assert isinstance(files, ImageFiles)
            assert len(memory) == len(files) == 10
            assert (memory.size, memory.labelled) == (files.size, files.labelled)
            assert torch.equal(memory.images, files.take(range(10))[0])
            assert torch.equal(memory.sample(3), files.sample(3))
            assert torch.equal(memory.read(7).image, files.read(7).image)
            assert list(memory.identities()) == list(files.identities())
            assert memory.image_paths == files.image_paths
            if memory.labelled:
                assert torch.equal(memory.labels, files.labels)
                assert torch.equal(memory.take([7, 2])[1], files.take([7, 2])[1])
    assert not read.target["train"].labelled


@pytest.mark.parametrize("hold", [0, 2000])
def test_black_pictures_are_refused(root, hold):
    dark = root / "dark" / "a.png"
    dark.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(dark)
    folders = {"name": "folder", "train": "dark", "test": "dark"}
    with pytest.raises(CycadaError, match="no value above 1"):
        loaded(config(root, target=folders, hold=hold))


@pytest.mark.trains
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_from_memory(root, workers):
    stages = {"dann": {"method": "dann", "augment": AUGMENT, "batch": 4}}
    held, read = config(root, stages), config(root, stages, hold=0, workers=workers)
    for one, two in zip(
        batches(held, loaded(held), "dann"), batches(read, loaded(read), "dann"), strict=True
    ):
        assert torch.equal(one.real_s, two.real_s)
        assert torch.equal(one.label_s, two.label_s)
        assert torch.equal(one.real_t, two.real_t)


@pytest.mark.trains
def test_a_run_ends_with_the_same_weights_and_scores(root, tmp_path):
    one, two = (
        run(config(root, **data).model_copy(update={"results": tmp_path / name}))
        for name, data in (("held", {}), ("read", {"hold": 0}))
    )
    for held, read in zip(one.stages, two.stages, strict=True):
        assert (held.id, held.scores) == (read.id, read.scores)
        (weights,) = held.folder.glob("*.safetensors")
        assert weights.read_bytes() == (read.folder / weights.name).read_bytes()


@pytest.mark.trains
@pytest.mark.parametrize("channels", [1, 3])
def test_translations_are_kept_in_files_and_are_those_of_memory(root, tmp_path, channels):
    class Screen:
        def info(self, text): ...
        def begin(self, *of): ...
        def update(self, *of): ...
        def end(self): ...

    stages = {
        name: {**CYCADA[name], **({"translate": "once", "augment": AUGMENT} if name == "task" else {})}
        for name in ("source", "pixel", "task")
    }
    drawn = []
    for data in ({}, {"hold": 0}):
        found = config(root, stages, channels, **data)
        plans = {p.name: p for p in plan(found)}
        datasets = loaded(found)
        g_st = build_training(found, plans["pixel"], datasets, CPU, {}).nets.g_st.state_dict()
        once = partial(translate_once, tmp_path, plans["task"], CPU, Screen())
        training = build_training(found, plans["task"], datasets, CPU, {"g_st": g_st}, once)
        CPU.seed(0, 1)
        drawn.append(training.batch(1))
    assert torch.equal(drawn[0].real_s, drawn[1].real_s)
    assert (to_bytes(drawn[0].fake_t).int() - to_bytes(drawn[1].fake_t).int()).abs().max() <= 1
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == sorted(
        f"{p.name}.png" for p in (root / "s" / "train").rglob("*.png")
    )


def test_a_cap_and_workers_have_an_effect_on_folders_alone(root):
    for settings, idle in (({"hold": 1}, 0), ({"workers": 1}, 0), ({"hold": 1, "workers": 1}, 1)):
        folders = config(root, **settings)
        found = [line for line in find_idle_settings(folders, plan(folders)) if "data." in line]
        assert len(found) == idle
    digits = parse(TINY | {"stages": {"source": {"method": "source_only"}}})
    digits = digits.model_copy(update={"data": digits.data.model_copy(update={"hold": 1.0})})
    digits.data.model_fields_set.add("hold")
    assert any("data.hold: the images" in line for line in find_idle_settings(digits, plan(digits)))


def test_a_picture_that_is_damaged_later_is_named(root, tmp_path):
    for number in range(4):
        save(tmp_path / "a" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    folders = {"name": "folder", "train": "a", "test": "a"}
    found = config(tmp_path, {"source": {"method": "source_only"}}, source=folders, target=folders, hold=0)
    datasets = loaded(found)
    for file in (tmp_path / "a").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(CycadaError, match=r"/a/(cat|dog)/\d\.png"):
        batches(found, datasets, "source", 1)


@pytest.mark.trains
@pytest.mark.skipif(not STATUS.exists(), reason="the kernel's own count of memory is Linux's")
def test_memory_stays_flat_over_a_large_folder(tmp_path):
    """1,500 pictures of 64 x 64 would take 18 MB, and 200 of them 2.4."""
    count, size = 1500, 64
    for name in ("cat", "dog"):
        save(tmp_path / "few" / name / "0.png", 2, (size, size))
        for number in range(count // 2):
            file = tmp_path / "a" / name / f"{number:05d}.png"
            if number < 2:
                save(file, number, (size, size))
            else:
                file.hardlink_to(tmp_path / "a" / name / f"{number % 2:05d}.png")
    few = {"name": "folder", "train": "few", "test": "few"}
    found = config(
        tmp_path,
        {"source": {"method": "source_only"}},
        source={**few, "train": "a"},
        target=few,
        size=size,
        hold=1,
    )
    datasets = loaded(found)
    stage = build_training(found, plan(found)[0], datasets, CPU, {})
    images = datasets.source["train"]
    assert isinstance(images, ImageFiles)
    would_take = (count - 200) * 3 * size**2 / 2**20
    assert growth(lambda k: (images.read(k), k % 10 or stage.source.draw(k)), 200, count) < would_take / 3
