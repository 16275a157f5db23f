"""MLflow mirrors the run folder, and no run fails because of it."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.experiments import CYCADA, tiny_config, write_config
from helpers.paths import ROOT

from cycada.cli.tracked_run import run
from cycada.core.progress import Progress
from cycada.image_quality.quality import quality
from cycada.tracking import mlflow_tracker as tracking
from cycada.tracking.mlflow_tracker import MlflowTracker, call_within
from cycada.tracking.open_tracker import open_tracker

pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


class Listening(Progress):
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
    assert set(children) == {f"{stage}, tiny seed 0" for stage in CYCADA}
    for stage in summary.stages:
        child = children[f"{stage.name}, tiny seed 0"]
        assert child.data.tags["cycada.stage_id"] == stage.id
        assert child.data.tags["git"]
        assert child.data.metrics["final/target/accuracy"] == pytest.approx(
            stage.scores["target"]["accuracy"]
        )
        rows = [json.loads(line) for line in (stage.folder / "metrics.jsonl").read_text().splitlines()]
        name = next(k for k in rows[0] if k.startswith("loss/"))
        history = client.get_metric_history(child.info.run_id, name)
        assert [(m.step, m.value) for m in history] == [(r["step"], pytest.approx(r[name])) for r in rows], (
            "every step once"
        )
        assert "target/class_accuracy/3" in child.data.metrics
    files = {f.path for f in client.list_artifacts(children["pixel, tiny seed 0"].info.run_id)}
    assert {"config.yaml", "scores.json", "confusion_target.png", "grid_0000004.png"} <= files
    pixel = children["pixel, tiny seed 0"]
    assert pixel.data.params["optimizers.generators.lr"] == "0.0002"
    assert pixel.data.metrics["learning_rate/generators"] < 0.0002, "it has fallen"
    assert pixel.data.metrics["images_per_second"] > 0
    assert {i.dataset.name for i in pixel.inputs.dataset_inputs} >= {"optdigits (target train)"}
    (parent,) = (r for r in runs if "mlflow.parentRunId" not in r.data.tags)
    assert parent.info.run_name == "tiny seed 0"
    assert (
        parent.data.params["stages.pixel.losses.semantic_t.weight"]
        == pixel.data.params["losses.semantic_t.weight"]
    )
    assert parent.data.metrics["final/target/accuracy"] == summary.stages[-1].scores["target"]["accuracy"]
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} >= {"report.html", "table.md", "pixel"}
    assert [f.path for f in client.list_artifacts(parent.info.run_id, "pixel")] == ["pixel/grid_0000004.png"]
    for tag in ("mlflow.note.content", "mlflow.source.name", "mlflow.source.git.commit", "mlflow.user"):
        assert parent.data.tags[tag]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert summary.tracking.endswith("runs?workflowType=machine_learning")


@pytest.mark.parametrize("away", [False, True])
def test_quality_measured_later_goes_to_the_stages_run(tmp_path, away):
    tracked = tiny_config(CYCADA, results=str(tmp_path), tracking={"kind": "mlflow"})
    first = tiny_config(CYCADA, results=str(tmp_path), tracking={"kind": "none"}) if away else tracked
    stages = run(first).stages
    source, pixel = (next(s for s in stages if s.name == name) for name in ("source", "pixel"))
    found = quality(pixel.folder, scorer=source.folder, results=tmp_path)
    if away:  # a tracker that comes later gets what was measured before
        run(tracked)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}")
    (child,) = client.search_runs(
        [client.get_experiment_by_name("tiny").experiment_id], f"tags.`cycada.stage_id` = '{pixel.id}'"
    )
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
    assert not open_tracker(["mlflow"], None, tmp_path, warnings.append).where
    assert "No tracking" in warnings[0]


def test_a_tracker_that_breaks_half_way_is_a_warning(tmp_path, monkeypatch):
    def broken(self, step, values):
        raise OSError("the disk is full")

    monkeypatch.setattr(MlflowTracker, "log", broken)
    screen = Listening()
    assert run(tiny_config(results=str(tmp_path), tracking={"kind": "mlflow"}), screen).stages[0].scores
    assert len(screen.warnings) == 1
    assert "disk is full" in screen.warnings[0]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow takes seconds to make one."""
    folder = tmp_path_factory.mktemp("database")
    MlflowTracker(None, folder)
    return folder / "mlflow.db"


@pytest.fixture
def results(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path)
    return tmp_path


def test_an_address_may_be_that_of_a_variable(results, monkeypatch):
    monkeypatch.setenv("MY_SERVER", f"sqlite:///{results / 'mlflow.db'}")
    assert str(results / "mlflow.db") in MlflowTracker("$MY_SERVER", results).where
    monkeypatch.delenv("MY_SERVER")
    with pytest.raises(ValueError, match=r"found tracking\.uri: \$MY_SERVER, but this variable is not set"):
        MlflowTracker("$MY_SERVER", results)


def mirror(
    results,
    name="it",
    rows=((1, {"loss": 1.0}), (2, {"loss": 0.5})),
    files=(),
    scores=(("accuracy", 0.5),),
    params=None,
):
    """What a run tells a tracker, from its beginning to its end. -> the tracker, the warnings."""
    warnings = []
    it = MlflowTracker(None, results, warnings.append)
    it.begin(name, 0, "abc", {})
    it.begin_stage("source", "s1", params or {"a": 1}, {})
    for step, values in rows:
        it.log(step, {"step": step, **values})
    it.end_stage(files, dict(scores))
    it.end(dict(scores))
    return it, warnings


def stored(results):
    """All that the database holds, without the machine's counters."""
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        tables = ("experiments", "runs", "metrics", "latest_metrics", "params", "tags")
        return {t: sorted(map(str, database.execute(f"SELECT * FROM {t}"))) for t in tables}


def points(results):
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        return sorted(database.execute("SELECT key, step, value FROM metrics").fetchall())


ONCE = sorted([("loss", 1, 1.0), ("loss", 2, 0.5), ("final/accuracy", 2, 0.5), ("accuracy", 0, 0.5)])


def test_mirroring_again_changes_nothing_at_all(results):
    file = results / "config.yaml"
    file.write_text("a: 1")
    mirror(results, files=[file])
    before = stored(results)
    for _ in range(3):
        mirror(results, files=[file])
    assert stored(results) == before, "not even the time at which it ended"
    assert points(results) == ONCE


def test_a_row_and_a_file_that_a_killed_process_wrote_in_part_are_completed(results):
    from mlflow import entities

    file = results / "scores.json"
    file.write_text("whole")
    it = MlflowTracker(None, results)
    it.begin("it", 0, "abc", {})
    it.begin_stage("source", "s1", {}, {})
    it.log(1, {"a": 1.0, "b": 1.0})
    it.client.log_batch(it.stage, metrics=[entities.Metric("a", 2.0, 1, 2)])
    part = results / "part" / "scores.json"
    part.parent.mkdir()
    part.write_text("wh")
    it.client.log_artifact(it.stage, str(part))
    rows = [(1, {"a": 1.0, "b": 1.0}), (2, {"a": 2.0, "b": 2.0})]
    again, _ = mirror(results, rows=rows, files=[file], scores=())
    assert points(results) == [("a", 1, 1.0), ("a", 2, 2.0), ("b", 1, 1.0), ("b", 2, 2.0)]
    (run,) = again.client.search_runs([again.experiment], "tags.`cycada.stage_id` = 's1'")
    (item,) = again.client.list_artifacts(run.info.run_id)
    assert item.file_size == len("whole")


def test_other_values_of_parameters_and_rows_without_numbers_stop_nothing(results):
    mirror(results, rows=[(1, {"loss": 1.0})])
    rows = [(1, {"loss": 1.0}), (2, {"loss": float("nan"), "x": float("inf")})]
    it, warnings = mirror(results, rows=rows, params={"a": 2, "b": 3})
    (run,) = it.client.search_runs([it.experiment], "tags.`cycada.stage_id` = 's1'")
    assert run.data.params == {"a": "1", "b": "3"}
    assert run.data.tags["cycada.not_finite"] == "2"
    assert not warnings
    assert {step for key, step, _ in points(results) if key == "loss"} == {1}


def test_names_that_mlflow_does_not_take_stay_apart(results):
    odd = [
        "loss/a[1]",
        "loss/a(1)",
        "loss/a@1@",
        "a//b",
        "../up",
        "/root",
        ".",
        "a/../b",
        "x" * 300,
        "x" * 299 + "y",
        "end/",
        "\u00e9 \u2192",
    ]
    mirror(
        results,
        rows=[(1, dict.fromkeys(odd, 1.0)), (2, dict.fromkeys(odd[1:], 2.0))],
        params=dict.fromkeys(odd, 1),
    )
    rows = [p for p in points(results) if "accuracy" not in p[0]]
    assert len({key for key, _, _ in rows}) == len(odd)
    assert [step for _, step, _ in rows].count(2) == len(odd) - 1
    assert not {key for key, step, _ in rows if step == 2} - {key for key, step, _ in rows if step == 1}


def test_a_stage_that_is_done_stays_so_when_a_later_one_fails(results):
    it, _ = mirror(results)
    it.begin("it", 0, "abc", {})
    it.begin_stage("source", "s1", {}, {})
    it.end_stage([], {"accuracy": 0.5})
    it.end({}, failed=True)
    runs = {r.info.run_name: r.info.status for r in it.client.search_runs([it.experiment])}
    assert runs == {"it seed 0": "FAILED", "source, it seed 0": "FINISHED"}


def test_files_follow_a_results_folder_that_is_moved(results, tmp_path_factory, monkeypatch):
    from mlflow.tracking._tracking_service import utils

    file = results / "config.yaml"
    file.write_text("a: 1")
    mirror(results, files=[file])
    moved = tmp_path_factory.mktemp("elsewhere") / "50% of it #1"
    shutil.move(results, moved)
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())  # as in another process
    file = moved / "scores.json"
    file.write_text("{}")
    it, warnings = mirror(moved, files=[moved / "config.yaml", file])
    assert not warnings
    assert not results.exists()
    (run,) = it.client.search_runs([it.experiment], "tags.`cycada.stage_id` = 's1'")
    assert {f.path for f in it.client.list_artifacts(run.info.run_id)} == {"config.yaml", "scores.json"}
    assert (
        Path(it.client.download_artifacts(run.info.run_id, "config.yaml", str(moved))).read_text() == "a: 1"
    )
    assert points(moved) == ONCE


def half_made(path):
    """As a kill leaves it: the first tables, or all of them with the version of some step on the way."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ff01da956556'")
        database.commit()


def without_a_table(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE alembic_version")
        database.commit()


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


@pytest.mark.parametrize(
    "damage",
    [
        half_made,
        without_a_table,
        truncated,
        lambda p: p.write_bytes(b""),
        lambda p: p.write_text("no database\n" * 500),
    ],
)
def test_a_broken_database_is_put_aside_and_made_anew(results, empty_database, damage, monkeypatch):
    damage(results / "mlflow.db")
    from mlflow.store.db import utils

    def copied(engine):
        shutil.copy(empty_database, engine.url.database)

    if damage is not half_made and damage is not without_a_table:
        monkeypatch.setattr(utils, "_initialize_tables", copied)
    _, warnings = mirror(results)
    assert len(warnings) == 1
    assert "mlflow.db.broken-1" in warnings[0]
    assert (results / "mlflow.db.broken-1").exists()
    assert points(results) == ONCE
    assert not mirror(results)[1]


def test_a_database_of_an_older_mlflow_with_runs_is_kept(results):
    mirror(results)
    older = results / "older"
    older.mkdir()
    shutil.copy(results / "mlflow.db", older)
    half_made(older / "mlflow.db")
    warnings = []
    assert not open_tracker(["mlflow"], None, older, warnings.append).where
    assert "upgrade" in warnings[0]
    assert points(older) == ONCE


def test_a_folder_in_the_place_of_the_database_is_named(tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    warnings = []
    assert not open_tracker(["mlflow"], None, tmp_path, warnings.append).where
    assert f"{tmp_path / 'mlflow.db'}: found a folder" in warnings[0]


def test_addresses_that_cannot_be_used_cost_seconds_and_one_warning(tmp_path):
    import mlflow  # noqa: F401 -- which takes seconds itself

    with socket.create_server(("127.0.0.1", 0)) as silent:
        for uri in (
            "sqlite:////proc/x.db",
            "http://127.0.0.1:9",
            "http://name.invalid",
            f"http://127.0.0.1:{silent.getsockname()[1]}",
        ):
            began, warnings = time.monotonic(), []
            assert not open_tracker(["mlflow"], uri, tmp_path, warnings.append).where
            assert time.monotonic() - began < 6
            assert len(warnings) == 1


def test_waiting_has_an_end():
    with pytest.raises(TimeoutError, match=r"within 0\.1 seconds"):
        call_within(0.1, lambda: time.sleep(1))


def test_a_lock_that_nobody_gives_back_is_said_once_and_waited_for_so_long(results, monkeypatch):
    monkeypatch.setattr(tracking, "QUIET_WAIT", 0.1)
    monkeypatch.setattr(tracking, "LONGEST_WAIT", 1)
    warnings = []
    with FileLock(results / "mlflow.lock", is_singleton=False):
        assert not open_tracker(["mlflow"], None, results, warnings.append).where
    assert ["waits for it" in w for w in warnings] == [True, False]
    assert "still held" in warnings[1]


STARTERS = """
import os, sys, traceback
from pathlib import Path
import mlflow
from cycada.tracking import mlflow_tracker as tracking

tracking.LONGEST_WAIT = 300  # on a busy machine, where the first one makes the database
for turn in range(3):
    hear, tell = os.pipe()
    started = []
    for i in range(5):
        started.append(os.fork())
        if not started[-1]:
            os.close(tell)
            os.read(hear, 1)
            code = 1
            try:
                t = tracking.MlflowTracker(None, Path(sys.argv[1]))
                t.begin(f"shared {turn}", i % 2, f"{i % 2}", {})
                t.begin_stage("source", f"{i % 2}", {"a": 1}, {})
                for step in range(5):
                    t.log(step, {"loss": float(step)})
                t.end_stage([], {"target/accuracy": 0.5})
                t.end({})
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
    os.close(hear)
    os.close(tell)
    assert [os.waitpid(pid, 0)[1] for pid in started] == [0] * 5, turn
"""


def test_processes_that_start_at_once_make_no_run_twice(tmp_path):
    """Five of two seeds, in several turns, the first of which finds no database."""
    command = [sys.executable, "-c", STARTERS, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        asked = (
            "SELECT e.name, r.name, r.status, COUNT(*) "
            "FROM runs r JOIN experiments e USING (experiment_id) GROUP BY 1, 2, 3"
        )
        found = database.execute(asked).fetchall()
    expected = [
        (f"shared {i}", *of)
        for i in range(3)
        for of in (
            *((f"shared {{i}} seed {seed}", 1) for seed in (0, 1)),
            *((f"source, shared {{i}} seed {seed}", 1) for seed in (0, 1)),
        )
    ]
    assert sorted(found) == sorted(
        (name, run.format(i=name[-1]), "FINISHED", count) for name, run, count in expected
    )


def test_a_sweep_waits_once_for_a_server_that_is_not_there(tmp_path, cycada):
    write_config(
        tmp_path / "tiny.yaml",
        results=str(tmp_path),
        tracking={"kind": "mlflow", "uri": "http://127.0.0.1:9"},
    )
    (tmp_path / "s.yaml").write_text("name: s\nexperiment: tiny.yaml\nseeds: [0, 1]\n")
    for _ in range(2):
        code, _, said = cycada("sweep", tmp_path / "s.yaml")
        assert (code, said.count("No tracking")) == (0, 1), said
