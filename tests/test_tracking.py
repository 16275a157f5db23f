"""MLflow mirrors the run folder, and no run fails because of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CYCADA, tiny_config

from cycada.runs.progress import Screen
from cycada.runs.quality import quality
from cycada.runs.run import run
from cycada.runs.tracking import MlflowTracker, NoTracker, tracker

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


class Listening(Screen):
    def __init__(self):
        super().__init__()
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def test_mlflow_holds_what_the_folders_hold(tmp_path):
    summary = run(tiny_config(CYCADA, results=str(tmp_path), tracking={"kind": "mlflow"}))
    again = run(tiny_config(CYCADA, results=str(tmp_path), tracking={"kind": "mlflow"}))
    assert all(s.reused for s in again.stages)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    children = {r.info.run_name: r for r in runs if "mlflow.parentRunId" in r.data.tags}
    assert len(runs) == 1 + len(CYCADA), "the second run found the first one's"
    assert set(children) == set(CYCADA)
    for stage in summary.stages:
        child = children[stage.name]
        assert child.data.tags["cycada.stage_id"] == stage.id
        assert child.data.tags["git"]
        assert child.data.metrics["final/target/accuracy"] == pytest.approx(stage.scores["target"]["accuracy"])
        rows = [json.loads(line) for line in (stage.folder / "metrics.jsonl").read_text().splitlines()]
        name = next(k for k in rows[0] if k.startswith("loss/"))
        history = client.get_metric_history(child.info.run_id, name)
        assert [(m.step, m.value) for m in history] == [(r["step"], pytest.approx(r[name])) for r in rows], "every step once"
        assert "target/class_accuracy/3" in child.data.metrics
    files = {f.path for f in client.list_artifacts(children["pixel"].info.run_id)}
    assert {"config.yaml", "scores.json", "confusion_target.png", "grid_0000004.png"} <= files
    assert children["pixel"].data.params["phases.generators.optimizer.lr"] == "0.0002"


def test_quality_measured_later_goes_to_the_stages_run(tmp_path):
    stages = run(tiny_config(CYCADA, results=str(tmp_path), tracking={"kind": "mlflow"})).stages
    source, pixel = (next(s for s in stages if s.name == name) for name in ("source", "pixel"))
    found = quality(pixel.folder, scorer=source.folder, results=tmp_path)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}")
    (child,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id], f"tags.`cycada.stage_id` = '{pixel.id}'")
    assert child.data.metrics["quality/fcn/st/accuracy"] == pytest.approx(found["fcn"]["st"]["accuracy"])
    assert "quality.json" in {f.path for f in client.list_artifacts(child.info.run_id)}


def test_a_tracker_that_cannot_be_reached_is_a_warning(tmp_path):
    screen = Listening()
    config = tiny_config(results=str(tmp_path), tracking={"kind": "mlflow", "uri": "http://127.0.0.1:9"})
    assert run(config, screen).stages[0].scores
    assert len(screen.warnings) == 1
    assert "racking" in screen.warnings[0]


def test_mlflow_not_installed_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    warnings = []
    assert type(tracker("mlflow", None, tmp_path, warnings.append)) is NoTracker
    assert "No tracking" in warnings[0]


def test_a_tracker_that_breaks_half_way_is_a_warning(tmp_path, monkeypatch):
    def broken(self, step, values):
        raise OSError("the disk is full")

    monkeypatch.setattr(MlflowTracker, "log", broken)
    screen = Listening()
    assert run(tiny_config(results=str(tmp_path), tracking={"kind": "mlflow"}), screen).stages[0].scores
    assert len(screen.warnings) == 1
    assert "disk is full" in screen.warnings[0]


WRITER = """
import sys
from pathlib import Path
from cycada.runs.tracking import MlflowTracker
t = MlflowTracker(None, Path(sys.argv[1]))
t.begin("shared", int(sys.argv[2]), sys.argv[2], {})
t.begin_stage("source", sys.argv[2], {"a": 1}, {})
for step in range(5):
    t.log(step, {"loss": float(step)})
t.end_stage([], {"target/accuracy": 0.5})
t.end({})
"""


def test_processes_that_start_at_once_on_no_database_all_write(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    cwd = Path(__file__).parents[1]
    writers = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True, cwd=cwd) for i in range(3)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("shared").experiment_id])
    assert len(runs) == 6
    assert all(r.info.status == "FINISHED" for r in runs)
