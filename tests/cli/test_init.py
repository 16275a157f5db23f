"""`cycada init`: a recipe's copy works in any folder."""

import pytest

from cycada.cli.init import write_from_recipe
from cycada.config.schema import load_config
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import read
from cycada.sweeps.schema import load_sweep


@pytest.mark.parametrize(
    "name", ["demo", "own_images", "digits/mnist_usps/quick", "translation/facades/cyclegan_full"]
)
def test_a_copy_says_the_same_as_its_recipe(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_from_recipe(tmp_path / "new" / "mine.yaml", name) == name
    assert load_config("new/mine.yaml") == load_config(name)


def test_a_copy_of_a_sweep_finds_its_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_from_recipe(tmp_path / "mine.yaml", "sweeps/demo_methods")
    sweep = load_sweep("mine.yaml")
    assert read(sweep.experiment)["name"] == "demo_baselines"
    assert read(sweep.variants["CyCADA"].experiment)["name"] == "demo"


def test_a_file_is_never_overwritten(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    with pytest.raises(CycadaError, match="exists already"):
        write_from_recipe(tmp_path / "mine.yaml", "demo")
    with pytest.raises(CycadaError, match="Did you mean own_images"):
        write_from_recipe(tmp_path / "other.yaml", "own_image")
