"""SegmentationDataset in files do not pile up: reading, training and scoring 2,000 of them take what 200
take."""

import json

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.memory import STATUS, growth, peak
from helpers.streets import STREETS
from PIL import Image
from torch import nn

from cycada.core.errors import CycadaError
from cycada.data import LoaderStream, ResizedDataset, StreamSettings, segmentation_domains
from cycada.data.crops import Crops
from cycada.evaluation.predict import count_pixels, eval_mode, max_batch
from cycada.planning.build import load_datasets
from cycada.planning.plan import plan
from cycada.runs.run import run
from cycada.train.device import Device

COUNT, SIZE = 2000, (64, 96)
KEPT = 1800 * 4 * SIZE[0] * SIZE[1] / 2**20
"""Megabytes that the scenes after the first 200 would take if they were kept: 42."""
pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(not STATUS.exists(), reason="the kernel's own count of memory is Linux's"),
]


def folder(root, count, size=SIZE, classes=3):
    """images/ and masks/ of `count` scenes: four files by many names."""
    rng = np.random.default_rng(0)
    for kind, shape, top in (("images", (*size, 3), 255), ("masks", size, classes)):
        (root / kind).mkdir(parents=True)
        for k in range(min(4, count)):
            Image.fromarray(rng.integers(0, top, shape).astype(np.uint8)).save(
                root / kind / f"{k:05d}.png", compress_level=1
            )
        for k in range(4, count):
            (root / kind / f"{k:05d}.png").hardlink_to(root / kind / f"{k % 4:05d}.png")
    (root / "classes.yaml").write_text("\n".join(f"class{k}: {k}" for k in range(classes)))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    root = tmp_path_factory.mktemp("town")
    folder(root, COUNT)
    return root


def load(root, split="train"):
    return segmentation_domains["mask_folder"](train=".", test=".", classes="classes.yaml").load(root, split)


def config(root, **over):
    domain = {
        "name": "mask_folder",
        "train": str(root),
        "test": str(root),
        "classes": str(root / "classes.yaml"),
    }
    data = {"source": domain, "target": domain, "size": list(SIZE), "channels": 3, "hold": 0}
    return tiny_config(
        {"source": {"method": "source_only", "crop": [32, 32]}}, **(STREETS | {"data": data} | over)
    )


def test_reading_for_training_stays_flat(town):
    found = config(town)
    datasets = load_datasets(found, plan(found), Device.find("cpu"))
    assert len(datasets.source["train"]) == len(datasets.target["train"]) == COUNT
    streams = [
        LoaderStream(Crops(sets["train"], (32, 32), seed=0), StreamSettings(1, 0, torch.device("cpu")))
        for sets in (datasets.source, datasets.target)
    ]
    assert growth(lambda k: [stream.draw(k) for stream in streams], 200, COUNT) < KEPT / 3


def test_what_is_held_is_seen(town):
    held = ResizedDataset(load(town), SIZE, cache=True)
    assert growth(held.read, 50, 1000) > KEPT / 3


def test_scoring_stays_flat(town):
    scenes = load(town, "test")
    tens = [
        ResizedDataset(scenes.subset(range(k, k + 10)), SIZE, full_resolution_masks=True)
        for k in range(0, COUNT, 10)
    ]
    net, device = nn.Conv2d(3, 3, 1), Device.find("cpu")
    with eval_mode(net):
        assert growth(lambda k: count_pixels(net, tens[k], 3, device), 20, COUNT // 10) < KEPT / 3


def test_masks_of_full_resolution_are_counted_one_after_the_other(tmp_path):
    """19 scores for every pixel of 1024 x 2048 take 160 MB: several scenes need no more than one does."""
    folder(tmp_path, 3, (1024, 2048), classes=19)
    scenes, net, device = load(tmp_path, "test"), nn.Conv2d(3, 19, 1), Device.find("cpu")

    def count(n, size):
        assert (
            count_pixels(
                net, ResizedDataset(scenes.subset(range(n)), size, full_resolution_masks=True), 19, device
            ).sum()
            == n * 1024 * 2048
        )

    assert max_batch((1024, 2048)) == 1
    with eval_mode(net):
        one = peak(lambda: count(1, (1024, 2048)))
        assert peak(lambda: count(3, (1024, 2048))) < one + 80
        assert peak(lambda: count(2, (64, 128))) < one + 80


# What is damaged.


def damaged(root):
    folder(root, 6, (32, 64), classes=9)
    for name in ("00002", "00005"):
        (root / "images" / f"{name}.png").unlink()
        (root / "images" / f"{name}.png").write_bytes(b"no image")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_scene_ends_a_training_with_its_name(tmp_path, workers):
    damaged(tmp_path)
    stream = LoaderStream(
        Crops(ResizedDataset(load(tmp_path), SIZE), (32, 32), seed=0),
        StreamSettings(6, 0, torch.device("cpu"), workers=workers),
    )
    with pytest.raises(
        CycadaError,
        match=r"^\S+/images/0000[25]\.png with \S+/masks/0000[25]\.png.*not readable.*Mend or remove it\.$",
    ):
        stream.draw(0)


def test_bad_scenes_are_skipped_and_counted_where_that_is_asked_for(tmp_path):
    damaged(tmp_path / "town")
    found = config(tmp_path / "town", results=str(tmp_path), defaults={"batch": 6, "steps": 2})
    skipping = found.data.model_copy(
        update={
            side: getattr(found.data, side).model_copy(update={"skip_bad": True})
            for side in ("source", "target")
        }
    )
    summary = run(found.model_copy(update={"data": skipping}))
    manifest = json.loads((summary.stages[0].folder / "manifest.json").read_text())
    assert manifest["images"]["source train"] == manifest["images"]["target test"] == 4
    assert manifest["skipped"] == dict.fromkeys(
        ("source train", "source test", "target train", "target test"), 2
    )
