"""What a shell completes."""

from cycada.cli.completion import config_files, recipe_names, run_ids, settings


def test_recipes_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo_of_mine.yaml").touch()
    assert config_files("demo") == ["demo_of_mine.yaml", "demo", "demo_baselines"]
    assert dict(recipe_names("own_"))["own_scenes"].startswith("your own images and masks")


def test_keys():
    assert settings("data.s") == ["data.source=", "data.size.source=", "data.size.target=", "data.size="]
    assert "stages.pixel.optimizer.lr=" in settings("stages.pixel.opt")


def test_run_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "runs" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("stage: pixel\nexperiment: {name: demo}\n")
    (tmp_path / "results" / "runs" / "01empty").mkdir()
    assert run_ids("01") == [("0123456789ab", "demo: pixel")]
    assert run_ids("2") == []
