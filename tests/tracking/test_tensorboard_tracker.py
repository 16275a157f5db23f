"""TensorBoard's event files, read by TensorBoard itself."""

import numpy as np
import pytest
from PIL import Image

from cycada.tracking.tracker import Details, TrackedDataset

pytest.importorskip("tensorboard")
pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

DETAILS = Details(
    "", {"seed": 0}, "**it**", [TrackedDataset("svhn (source train)", "ab", "source train", 5, {})]
)


def mirror(results, rows=(1, 2), ended=True):
    from cycada.tracking.tensorboard_tracker import TensorBoardTracker

    it = TensorBoardTracker(None, results)
    grid = results / "grid_0000002.png"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(grid)
    it.begin("group/it", 0, "abc", {"git": "1"}, DETAILS)
    it.begin_stage("source", "s1", {"lr": 0.1, "size": [2, 3], "a|b": "c|d"}, {})
    for step in rows:
        it.log(step, {"loss": 1.0 / step})
    if ended:
        it.end_stage([grid], {"target/accuracy": 0.5})
        it.end({"final/target/accuracy": 0.5})
    else:
        it._close()
    return it


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def scalars(folder, tag):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return [
        event.step
        for file in folder.glob("events*")
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.tag == tag
    ]


def test_tensorboard_has_each_step_once_however_often_it_is_mirrored(tmp_path):
    mirror(tmp_path, rows=[1, 2], ended=False)
    for _ in range(3):
        mirror(tmp_path, rows=[1, 2, 3, 4])
    stage = tmp_path / "tensorboard" / "group/it" / "group/it_seed_0-abc" / "source-s1"
    assert sorted(scalars(stage, "loss")) == [1, 2, 3, 4]
    for tag in (
        "final/target/accuracy",
        "images/grid",
        "params/text_summary",
        "_hparams_/session_start_info",
    ):
        assert len(scalars(stage, tag)) == 1, tag
    assert scalars(stage.parent, "final/target/accuracy") == [0]


def test_tensorboard_gets_the_scores_of_other_data(tmp_path):
    it = mirror(tmp_path)
    for score in (0.25, 0.25, 0.5):
        it.end({"final/target/accuracy": score})
        it.measured("s1", tmp_path / "quality.json", {"quality/fid": score})
    experiment = tmp_path / "tensorboard" / "group/it" / "group/it_seed_0-abc"
    assert sorted(scalars(experiment, "final/target/accuracy")) == [0, 1, 2]
    for folder, tag, values in (
        (experiment, "final/target/accuracy", [0.5, 0.25, 0.5]),
        (experiment / "source-s1", "quality/fid", [0.25, 0.5]),
    ):
        assert [v for _, v in sorted((e.step, e.value) for e in events(folder).Scalars(tag))] == values


def test_tensorboard_shows_metrics_parameters_and_pictures(tmp_path):
    it = mirror(tmp_path)
    (tmp_path / "quality.json").write_text("{}")
    it.measured("s1", tmp_path / "quality.json", {"quality/fcn/st/miou": 0.25})
    (stage,) = (tmp_path / "tensorboard").glob("**/source-s1")
    found = events(stage)
    assert [(e.step, e.value) for e in found.Scalars("quality/fcn/st/miou")] == [(2, 0.25)]
    assert found.Tensors("params/text_summary")[0].tensor_proto.string_val[0].decode().count("\\|") == 2
    assert "_hparams_/session_start_info" in found.summary_metadata
    assert set(events(stage.parent).Tags()["tensors"]) >= {
        "description/text_summary",
        "datasets/text_summary",
    }
    assert str(tmp_path) in it.where
