"""A tiny experiment that trains in seconds, and variants of it."""

import copy
from pathlib import Path

import yaml
from PIL import Image

from cycada.config.schema import parse
from cycada.core.yaml_files import merge

TINY = {
    "name": "tiny",
    "data": {
        "source": {"name": "rendered_digits", "train": 120, "test": 40},
        "target": "optdigits",
        "size": 16,
        "channels": 1,
    },
    "networks": {
        "f": {"name": "convnet", "channels": 4, "width": 16},
        "g": {"name": "resnet", "channels": 4, "blocks": 1},
        "d": {"name": "patchgan", "channels": 4, "layers": 2},
        "d_feat": {"name": "mlp", "width": 16},
        "h": {"name": "mlp", "width": 16},
        "pair_g": {"name": "coupled", "channels": 4},
        "pair_d": {"name": "coupled", "channels": 4, "width": 16},
    },
    "defaults": {"batch": 8, "steps": 4},
    "stages": {"source": {"method": "source_only"}},
    "logging": {"report_every": 2, "evaluate_every": 4, "checkpoint_every": 2},
    "tracking": {"kind": "none"},
    "device": "cpu",
}


CYCADA = {
    "source": {"method": "source_only"},
    "pixel": {
        "method": "cycada_pixel",
        "init": {"f_s": "source.f_t"},
        "options": {"pool": 10},
        "ema": {"g_st": 0.9},
    },
    "task": {"method": "cycada_task", "init": {"g_st": "pixel.g_st"}},
    "feature": {
        "method": "cycada_feature",
        "init": {"f_s": "task.f_t", "f_t": "task.f_t", "g_st": "pixel.g_st"},
        "options": {"gate": 0.5},
        "losses": {"task_translated": 1, "feature_gan": 0.1},
    },
}


INIT = {
    "cycada_pixel": {"f_s": "source.f_t"},
    "cycada": {"f_s": "source.f_t"},
    "adda": {"f_s": "source.f_t", "f_t": "source.f_t"},
    "cycada_task": {"g_st": "cycle.g_st"},
    "cycada_feature": {"f_s": "source.f_t", "g_st": "cycle.g_st"},
    "cycada_feature_tied": {"f_t": "source.f_t", "g_st": "cycle.g_st"},
    "adabn": {"f_t": "source.f_t"},
    "self_training": {"f_t": "source.f_t", "g_st": "cycle.g_st"},
    "dual_path": {"f_t": "source.f_t", "f_s": "source.f_t", "g_st": "cycle.g_st", "g_ts": "cycle.g_ts"},
    "feature_gan": {"f_s": "source.f_t"},
}
"""Where the frozen or trained networks of a method start from, given the stages `source` and `cycle`."""


DRAWN = {
    "data": {
        "source": {"name": "streets", "look": "game", "width": 32, "height": 16, "train": 6, "test": 3},
        "target": {"name": "streets", "look": "photo", "width": 32, "height": 16, "train": 5, "test": 3},
        "size": [16, 32],
        "channels": 3,
    },
    "networks": {"f": {"name": "small_segmenter", "channels": 4, "width": 8}},
    "defaults": {"batch": 2},
}
"""Laid over the tiny experiment: scenes whose true translation is known."""


PAIRED = {"pix2pix"}
"""The methods that learn from true translations."""


SEGMENTERS = {"drn26", "fcn8s", "segmenter", "small_segmenter"}
"""The task networks that name every pixel; all others name an image."""


FEATURES = {"vgg16_features", "vgg19_features"}
"""The networks of kind f that name nothing: features alone."""


SPATIAL_CRITICS = {"patch", "pixel_mlp"}
"""The feature discriminators that look at maps of features; all others look at vectors."""


def tiny_config(stages=None, **over):
    """The tiny experiment as a Config; `stages` replaces its stages, `over` is merged over the rest."""
    data = copy.deepcopy(TINY)
    if stages is not None:
        data["stages"] = stages
    return parse(merge(data, over))


def method_stages(method, **stage):
    """Stages that end with `method`, after those that it needs."""
    before = {"source": {"method": "source_only", "steps": 1}, "cycle": {"method": "cyclegan", "steps": 1}}
    taught = {"ema": {"f_t": 0.9}} if method in ("self_training", "dual_path") else {}
    return {**before, "it": {"method": method, "init": INIT.get(method, {}), **taught, **stage}}


def write_config(path: Path, stages=None, **over) -> Path:
    """The same as a YAML file."""
    data = merge(copy.deepcopy(TINY), over)
    if stages is not None:
        data["stages"] = stages
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def size_of(path):
    with Image.open(path) as image:
        return image.size
