"""Folders of a user's own images and masks, experiments on them, and what a run says of them."""

import numpy as np
from PIL import Image

from cycada.config.schema import parse
from cycada.planning.build import load_datasets
from cycada.planning.counts import check_files, report_sets
from cycada.planning.plan import plan
from cycada.train.device import Device
from helpers.experiments import TINY


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
