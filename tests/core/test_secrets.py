"""A tracker's password is for the tracker alone: no file, message or table has it."""

from pathlib import Path

import pytest
from helpers.experiments import tiny_config
from typer.testing import CliRunner

from cycada.cli.main import app
from cycada.core.errors import CycadaError, os_message
from cycada.core.progress import Progress
from cycada.core.secrets import HIDDEN
from cycada.runs.run import run
from cycada.tracking.open_tracker import open_tracker

ADDRESS = "http://alice:hunter2@127.0.0.1:9/?access_token=hunter2"


def test_nothing_that_is_written_or_said_holds_a_password(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    stages = {"source": {"method": "source_only", "steps": 1}, "pixel": {"method": "cyclegan", "steps": 1}}
    config = tiny_config(stages, results=str(results), tracking={"kind": "mlflow", "uri": ADDRESS})
    summary = run(config, Progress())
    folders = [str(stage.folder) for stage in summary.stages]
    where = ["--results", str(results)]
    for words in (
        ["report", "tiny"],
        ["quality", folders[1]],
        ["verify", "--no-score", *folders],
        ["evaluate", folders[0]],
    ):
        found = CliRunner().invoke(app, [*words, *where])
        assert found.exit_code == 0, found.output
        print(found.output, found.stderr)
    pictures = tmp_path / "in"
    pictures.mkdir()
    for words in (
        ["export", folders[1], str(tmp_path / "out")],
        ["translate", folders[1], str(pictures), str(tmp_path / "none")],
    ):
        print(CliRunner().invoke(app, [*words, *where]).output)
    out, err = capfd.readouterr()
    assert "No tracking" in out + err
    assert "hunter2" not in f"{config!r} {config} {summary} {out} {err}"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "manifest.json" for file in files)
    assert any(file.name == "report.html" for file in files)
    assert [file for file in files if b"hunter2" in file.read_bytes()] == []


def test_an_address_without_its_password_is_no_address(tmp_path: Path) -> None:
    said: list[str] = []
    assert not open_tracker(["mlflow"], f"http://{HIDDEN}@host/x", tmp_path, said.append).where
    assert "stored without its password" in said[0]


def test_errors_hide_passwords() -> None:
    assert "hunter2" not in str(CycadaError(f"cannot reach {ADDRESS}"))
    for part in ("?key=hunter2", "?a=b&sig=hunter2", "#access_token=hunter2"):
        assert "hunter2" not in str(CycadaError(f"cannot reach http://host/{part}"))
    assert "turkey=1" in str(CycadaError("cannot reach http://host/?turkey=1"))
    assert "hunter2" not in os_message(OSError(2, "No such file", ADDRESS))
