"""When a stage is evaluated: at step 0 and about ten times, which changes no weights."""

import pytest
from helpers.experiments import tiny_config

from cycada.runs.run import run
from cycada.storage.store import RunFolder

pytestmark = pytest.mark.trains

STAGES = {
    "source": {"method": "source_only", "steps": 20},
    "short": {"method": "source_only", "steps": 2},
}


def test_a_stage_is_evaluated_at_step_0_and_ten_times_and_learns_the_same(tmp_path):
    folders = {}
    for every in (None, 1000):
        logging = {"report_every": 1, "evaluate_every": every}
        summary = run(tiny_config(STAGES, results=str(tmp_path / str(every)), logging=logging))
        folders[every] = [RunFolder(stage.folder) for stage in summary.stages]
    for often, once in zip(folders[None], folders[1000], strict=True):
        assert often.id == once.id
        assert (often.path / "weights.safetensors").read_bytes() == (
            once.path / "weights.safetensors"
        ).read_bytes()
    evaluated = [
        [row["step"] for row in folder.metrics() if "target/accuracy" in row] for folder in folders[None]
    ]
    assert evaluated == [[0, *range(2, 21, 2)], [0, 1, 2]]
    assert [row["step"] for row in folders[1000][0].metrics() if "target/accuracy" in row] == [20]


def test_before_the_last_step_a_sample_is_scored_and_then_all_test_images(tmp_path):
    folders = {}
    for images in (7, 1000):
        logging = {"report_every": 1, "evaluate_every": 1, "evaluation_images": images}
        stages = {"short": STAGES["short"]}
        summary = run(tiny_config(stages, results=str(tmp_path / str(images)), logging=logging))
        folders[images] = RunFolder(summary.stages[0].folder)
    few, all_images = ([row for row in folders[n].metrics() if "target/accuracy" in row] for n in (7, 1000))
    scores = ("source/accuracy", "target/accuracy")
    assert all(few[0][score] * 7 == pytest.approx(round(few[0][score] * 7), abs=1e-4) for score in scores)
    assert any(few[0][score] != all_images[0][score] for score in scores)
    assert [few[-1][score] for score in scores] == [all_images[-1][score] for score in scores]
    assert folders[7].read_json("confusion.json") == folders[1000].read_json("confusion.json")
    assert folders[7].id == folders[1000].id


def test_label_free_criteria_are_of_the_same_images_at_every_step(tmp_path):
    logging = {"report_every": 1, "evaluate_every": 1, "evaluation_images": 7}
    frozen = {"method": "source_only", "steps": 2, "optimizer": {"name": "sgd", "lr": 1e-12}}
    summary = run(tiny_config({"frozen": frozen}, results=str(tmp_path), logging=logging))
    folder = RunFolder(summary.stages[0].folder)
    rows = [row for row in folder.metrics() if "selection/snd" in row]
    for name in ("snd", "bnm", "certainty", "information_maximisation", "source_accuracy"):
        first, last = (row[f"selection/{name}"] for row in rows)
        assert first == pytest.approx(last, abs=0.01), name
    assert folder.read_json("manifest.json")["criteria_images"] == 7
