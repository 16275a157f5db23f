"""A finished experiment that MLflow's own database holds is reused without importing MLflow."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from helpers.experiments import tiny_config, write_config
from helpers.paths import ROOT

from cycada.cli.tracked_run import run
from cycada.core.progress import Progress
from cycada.runs import run as runs

pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SOURCE = {"source": {"method": "source_only", "steps": 2}}


@pytest.fixture
def config(tmp_path):
    return tiny_config(SOURCE, results=str(tmp_path), tracking={"kind": "mlflow"})


@pytest.fixture
def opened(monkeypatch):
    """The trackers that were opened, one entry for each time."""
    calls, real = [], runs.open_tracker

    def open_tracker(kinds, uri, results, warn):
        calls.append(kinds)
        return real(kinds, uri, results, warn)

    monkeypatch.setattr(runs, "open_tracker", open_tracker)
    return calls


def test_second_run_opens_no_tracker_and_shows_the_same_address(config, opened):
    first = run(config)
    again = run(config)
    assert opened == [("mlflow",)]
    assert again.tracking == first.tracking
    assert "mlflow ui" in again.tracking


def test_mlflow_is_not_imported(config, tmp_path):
    run(config)
    tracking = {"kind": "mlflow"}
    file = write_config(tmp_path / "tiny.yaml", SOURCE, results=str(tmp_path), tracking=tracking)
    code = (
        "import sys, cycada; summary = cycada.run(cycada.load_config(sys.argv[1]));"
        "assert summary.stages[0].reused and 'mlflow ui' in summary.tracking;"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, cwd=ROOT)


def test_memory_that_cannot_be_written_only_costs_time(config, tmp_path, opened):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tracking").write_text("a file is in the way")
    run(config)
    assert run(config, Progress(quiet=True)).tracking
    assert len(opened) == 2


def deleted_run(results):
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        database.commit()


def deleted_database(results):
    (results / "mlflow.db").unlink()


def deleted_files(results):
    shutil.rmtree(results / "mlflow")


def changed_scores(results):
    for file in results.glob("runs/*/quality.json"):
        file.unlink()
    next(results.glob("runs/*/done")).parent.joinpath("quality.json").write_text("{}")


@pytest.mark.parametrize("change", [deleted_run, deleted_database, deleted_files, changed_scores])
def test_what_mlflow_lacks_is_mirrored_again(change, config, tmp_path, opened):
    run(config)
    change(tmp_path)
    run(config)
    assert len(opened) == 2
    run(config)
    assert len(opened) == 2, "now it is held again"


def test_another_name_is_mirrored(config, opened):
    run(config)
    run(config.model_copy(update={"name": "other"}))
    assert len(opened) == 2
