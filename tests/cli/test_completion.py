"""What a shell completes."""

import pytest
import typer
from click import Context

from cycada.cli.completion import config_files, recipe_names, run_ids, settings
from cycada.cli.main import app


def test_recipes_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo_of_mine.yaml").touch()
    assert config_files("demo") == ["demo_of_mine.yaml", "demo", "demo_baselines"]
    assert dict(recipe_names("own_"))["own_scenes"].startswith("your own images and masks")


def test_keys():
    assert settings("data.s") == ["data.source=", "data.size.source=", "data.size.target=", "data.size="]
    assert "stages.pixel.optimizer.lr=" in settings("stages.pixel.opt")


@pytest.fixture
def one_run(tmp_path, monkeypatch):
    """A working folder with one stage, and one folder that is no run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "runs" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("stage: pixel\nexperiment: {name: demo}\n")
    (tmp_path / "results" / "runs" / "01empty").mkdir()


def test_run_ids(one_run):
    assert run_ids("01") == [("0123456789ab", "demo: pixel")]
    assert run_ids("2") == []


@pytest.mark.parametrize(
    ("command", "parameter"),
    [
        ("evaluate", "run"),
        ("verify", "runs"),
        ("predict", "run"),
        ("translate", "run"),
        ("export", "run"),
        ("quality", "runs"),
        ("quality", "scorer"),
        ("quality", "extractor"),
        ("style", "run"),
    ],
)
def test_run_ids_are_completed_wherever_a_run_is_named(one_run, command, parameter):
    named = typer.main.get_command(app).commands[command]
    (found,) = (p for p in named.params if p.name == parameter)
    assert [item.value for item in found.shell_complete(Context(named), "01")] == ["0123456789ab"]
