"""Pictures that stand in several sets, and batches larger than a set, are said before training."""

import shutil

import pytest
from helpers.own_data import Heard, class_folders, heard, loaded, own, own_scenes, scenes_of

from cycada.planning.counts import report_sets
from cycada.planning.plan import plan


@pytest.mark.parametrize(
    ("to", "warning"),
    [
        ("source/test", "source test: 1 of 13 pictures are also among the training pictures."),
        ("target/train", "target train: 1 of 13 pictures are also among the source's training pictures."),
        (
            "target/test",
            "target test: 1 of 13 pictures are also among the source's training pictures, whose labels are "
            "learnt.",
        ),
    ],
)
def test_a_source_training_picture_elsewhere_is_warned_of(tmp_path, to, warning):
    root = class_folders(tmp_path)
    shutil.copy(root / "source/train/cat/cat0.png", root / to / "cat" / "again.png")
    assert heard(own(tmp_path)).warned == [warning]


def test_copies_of_scenes_are_found_by_their_content(tmp_path):
    root = own_scenes(tmp_path)
    assert heard(scenes_of(tmp_path)).warned == []
    shutil.copy(root / "source/train/images/0.png", root / "source/test/images/1.png")
    shutil.copy(root / "source/train/images/2.png", root / "target/test/images/0.png")
    first, second = heard(scenes_of(tmp_path)).warned
    assert first == "source test: 1 of 3 pictures are also among the training pictures."
    assert second.startswith("target test: 1 of 3 pictures are also among the source's training pictures")


def test_a_batch_larger_than_a_set_is_warned_of(tmp_path):
    class_folders(tmp_path)
    adapted = {"a": {"method": "source_only", "batch": 13}, "b": {"method": "entropy", "batch": 12}}
    assert warned_by_batches(own(tmp_path, stages=adapted)) == [
        "source train: a batch of a has 13 images and the set 12, so that images stand in a batch several "
        "times. Lower the batch."
    ]
    adapted["b"]["batch"] = 20
    first, second = warned_by_batches(own(tmp_path, stages=adapted))
    assert "a batch of a, b has 20 images" in first
    assert second.startswith("target train: a batch of b has 20 images and the set 12")


def test_a_queue_of_features_larger_than_the_target_is_told(tmp_path):
    class_folders(tmp_path)
    teaching = {
        "method": "self_training",
        "batch": 4,
        "ema": {"f_t": 0.9},
        "losses": {"task_translated": 0, "task_source": 1},
        "options": {"propagation": 1},
    }
    config = own(tmp_path, stages={"a": {"method": "source_only", "batch": 4}, "b": teaching})
    screen = Heard()
    report_sets(config, loaded(config), screen, plan(config))
    told = "target train: stages.b.options.propagation_queue is 1024; labels are propagated over 12 images."
    assert told in screen.said
    teaching["options"]["propagation_queue"] = 8
    report_sets(config, loaded(config), screen := Heard(), plan(own(tmp_path, stages={"b": teaching})))
    assert not any("propagat" in line for line in screen.said)


def warned_by_batches(config):
    screen = Heard()
    report_sets(config, loaded(config), screen, plan(config))
    return screen.warned
