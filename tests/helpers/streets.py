"""Tiny experiments on drawn streets."""

from helpers.experiments import tiny_config

STREETS = {
    "data": {
        "source": {"name": "streets", "look": "game", "train": 6, "test": 3},
        "target": {"name": "streets", "look": "photo", "train": 5, "test": 3},
        "size": [32, 64],
        "channels": 3,
    },
    "networks": {
        "f": {"name": "small_segmenter", "channels": 8, "width": 16},
        "d_feat": {"name": "pixel_mlp", "width": 8},
    },
    "defaults": {"batch": 2, "steps": 3, "augment": {"flip": True}},
}


STAGES = {
    "source": {"method": "source_only"},
    "pixel": {
        "method": "cycada_pixel",
        "crop": [16, 32],
        "init": {"f_s": "source.f_t"},
        "options": {"pool": 4},
    },
    "task": {"method": "cycada_task", "init": {"g_st": "pixel.g_st"}},
    "feature": {
        "method": "cycada_feature",
        "init": {"f_s": "task.f_t", "f_t": "task.f_t", "g_st": "pixel.g_st"},
        "losses": {"task_translated": 1, "feature_gan": 0.1},
    },
    "self": {
        "method": "self_training",
        "init": {"f_t": "task.f_t", "g_st": "pixel.g_st"},
        "ema": {"f_t": 0.9},
        "losses": {
            "class_mix_translated": 1,
            "class_mix_source": 1,
            "masked_consistency": 1,
            "class_balance": {"prior": "source"},
        },
    },
    "dann": {"method": "dann"},
    "oracle": {"method": "target_only"},
}


def streets(stages=STAGES, **over):
    return tiny_config(stages, **(STREETS | over))


def once_stages(**task):
    return {**STAGES, "task": {**STAGES["task"], "translate": "once", **task}}
