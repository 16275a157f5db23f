"""A finished experiment that is run again reads no data and draws no report, unless something changed."""

import numpy as np
import pytest
from helpers.experiments import tiny_config

from cycada.cli.tracked_run import run
from cycada.core.progress import Progress
from cycada.data import domains
from cycada.report import report as report_module
from cycada.tracking.tracker import trackers

pytestmark = pytest.mark.trains


class Told(Progress):
    """A screen that keeps what it is told."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, text):
        self.lines.append(text)


class Files:
    """A tracker that keeps the files of the experiment alone."""

    where = "nowhere"
    files = ()

    def __init__(self, uri, results, warn):
        pass

    def end(self, scores, failed=False, files=None):
        type(self).files = [file.name for file in (files or {}).get("", ())]

    def _ignore(self, *_):
        pass

    begin = begin_stage = log = end_stage = log_model = measured = _ignore


@pytest.fixture
def config(tmp_path):
    """A tracked experiment on the user's own arrays."""
    random = np.random.default_rng(0)
    for name in ("train.npz", "test.npz"):
        images = random.integers(0, 255, (40, 16, 16), np.uint8)
        np.savez(tmp_path / name, images=images, labels=np.arange(40) % 10)
    spec = {"name": "npz", "train": "train.npz", "test": "test.npz"}
    with trackers.temporary():
        trackers.add("files", Files)
        yield tiny_config(
            data={"source": spec, "target": spec, "root": str(tmp_path)},
            results=str(tmp_path / "results"),
            tracking={"kind": "files"},
        )


def test_finished_experiment_reads_no_data_and_keeps_its_report(config, tmp_path, monkeypatch):
    first = run(config)
    expected = Files.files
    assert "report.html" in expected

    def read(*_):
        raise AssertionError("it was read or drawn again")

    with monkeypatch.context() as patch:
        patch.setattr(domains["npz"], "load", read)
        patch.setattr(report_module, "report", read)
        screen = Told()
        again = run(config, screen)
    assert [stage.scores for stage in again.stages] == [stage.scores for stage in first.stages]
    assert all(stage.reused for stage in again.stages)
    assert Files.files == expected
    assert any("no image is read" in line for line in screen.lines)
    assert any("report is up to date" in line for line in screen.lines)

    (report,) = (tmp_path / "results" / "experiments" / "tiny").glob("report-seed0/report.html")
    report.unlink()
    run(config)
    assert report.is_file(), "it is written again where it is gone"


def test_changed_data_are_read_and_trained_on(config, tmp_path):
    first = run(config)
    images = np.random.default_rng(1).integers(0, 255, (40, 16, 16), np.uint8)
    np.savez(tmp_path / "train.npz", images=images, labels=np.arange(40) % 10)
    again = run(config)
    assert not again.stages[0].reused
    assert again.stages[0].id != first.stages[0].id
