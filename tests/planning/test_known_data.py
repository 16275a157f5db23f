"""What was read once is known while nothing changes that the data depend on."""

import os

import numpy as np
import pytest
from helpers.experiments import tiny_config
from PIL import Image

from cycada.data import domains
from cycada.data.domain import Domain
from cycada.planning.known_data import DataMemory, KnownData
from cycada.planning.plan import plan

KNOWN = KnownData(("a", "b"), "0123456789abcdef", {"source train": 3})


def memory(config):
    return DataMemory(config, plan(config))


def write_images(path, value=0):
    np.savez(path, images=np.full((4, 8, 8), 200 + value, np.uint8), labels=np.arange(4))


@pytest.fixture
def config(tmp_path):
    """An experiment on the user's own arrays."""
    for name in ("train.npz", "test.npz"):
        write_images(tmp_path / name)
    spec = {"name": "npz", "train": "train.npz", "test": "test.npz", "classes": 4}
    data = {"source": spec, "target": "optdigits", "root": str(tmp_path)}
    return tiny_config(data=data, results=str(tmp_path / "results"))


def test_memory_recalls_what_it_was_given(config):
    assert memory(config).recall() is None
    memory(config).remember(KNOWN)
    assert memory(config).recall() == KNOWN
    assert memory(config.model_copy(update={"seed": 5})).recall() == KNOWN


def test_memory_forgets_when_a_file_was_written_again(config, tmp_path):
    memory(config).remember(KNOWN)
    write_images(tmp_path / "test.npz", value=1)
    assert memory(config).recall() is None


def test_memory_forgets_other_settings(config):
    memory(config).remember(KNOWN)
    other = config.model_copy(update={"data": config.data.model_copy(update={"size": 20})})
    assert memory(other).recall() is None


def test_memory_of_a_damaged_file_is_none(config, tmp_path):
    memory(config).remember(KNOWN)
    (file,) = (tmp_path / "results" / "cache" / "data").iterdir()
    file.write_text(file.read_text()[:20])
    assert memory(config).recall() is None


def test_memory_sees_new_pictures_in_a_folder(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / split / "cat" / "a.png")
    spec = {"name": "folder", "train": "train", "test": "test"}
    data = {"source": spec, "target": spec, "root": str(tmp_path), "channels": 3}
    config = tiny_config(data=data, results=str(tmp_path / "results"))
    memory(config).remember(KNOWN)
    assert memory(config).recall() == KNOWN
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "test" / "cat" / "b.png")
    assert memory(config).recall() is None
    os.remove(tmp_path / "test" / "cat" / "b.png")
    assert memory(config).recall() is None, "the folder was written to"


def test_memory_keeps_nothing_of_a_domain_that_does_not_name_its_files(config, tmp_path, monkeypatch):
    monkeypatch.setattr(domains["optdigits"], "stored_files", Domain.stored_files)
    memory(config).remember(KNOWN)
    assert not (tmp_path / "results" / "cache").exists()


def test_memory_forgets_when_a_picture_behind_a_link_was_written_again(tmp_path):
    picture = tmp_path / "elsewhere" / "cat" / "below" / "0.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8), "red").save(picture)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (picture.parent / "back").symlink_to(tmp_path / "elsewhere")
    spec = {"name": "folder", "train": "photos", "test": "photos", "classes": list("0123456789")}
    config = tiny_config(
        data={"source": spec, "target": "optdigits", "root": str(tmp_path)},
        results=str(tmp_path / "results"),
    )
    memory(config).remember(KNOWN)
    assert memory(config).recall() == KNOWN
    Image.new("RGB", (8, 8), "blue").save(picture)
    assert memory(config).recall() is None


def test_memory_of_scenes_forgets_a_mask_that_was_written_again(tmp_path):
    """Masks of the target's training images are not read, and so not looked at."""
    for split in ("source/train", "source/test", "target/train", "target/test"):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
            Image.new("RGB" if kind == "images" else "L", (16, 16)).save(tmp_path / split / kind / "a.png")
    (tmp_path / "c.yaml").write_text("road: 0\ncar: 1\n")
    sides = {
        side: {"name": "mask_folder", "train": f"{side}/train", "test": f"{side}/test", "classes": "c.yaml"}
        for side in ("source", "target")
    }
    scenes = tiny_config(
        data={**sides, "root": str(tmp_path), "size": [16, 16], "channels": 3},
        results=str(tmp_path / "results"),
        networks={"f": "small_segmenter"},
    )
    memory(scenes).remember(KNOWN)
    assert memory(scenes).recall() == KNOWN
    Image.new("L", (16, 16), 1).save(tmp_path / "target" / "train" / "masks" / "a.png")
    assert memory(scenes).recall() == KNOWN
    Image.new("L", (16, 16), 1).save(tmp_path / "source" / "train" / "masks" / "a.png")
    assert memory(scenes).recall() is None
