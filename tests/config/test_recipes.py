"""Shipped recipes: found by name, after files, and described."""

import pytest
import yaml
from helpers.paths import ROOT

from cycada.config import recipes as recipes_module
from cycada.config.recipes import descriptions, find_config, recipes
from cycada.config.schema import load_config
from cycada.core.errors import CycadaError
from cycada.planning.plan import load_plugins


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("demo", "demo"),
        ("demo.yaml", "demo"),
        ("configs/demo.yaml", "demo"),
        ("digits/quick", "digits/quick"),
        ("cyclegan", "translation/cyclegan"),
        ("facades/cyclegan", "translation/facades/cyclegan"),
        ("sweeps/demo_methods", "sweeps/demo_methods"),
    ],
)
def test_a_recipe_is_found_by_its_name(word, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(word).resolve() == ROOT / "configs" / f"{name}.yaml"


def test_a_file_comes_before_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = tmp_path / "beside"
    beside.mkdir()
    for folder in (tmp_path, beside):
        (folder / "demo.yaml").write_text("name: mine\n")
    assert find_config("demo", beside) == beside / "demo.yaml"
    (beside / "demo.yaml").unlink()
    assert find_config("demo.yaml", beside).resolve() == tmp_path / "demo.yaml"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("demoo", r"neither a file nor a shipped recipe.* Did you mean demo\?.*cycada list recipes"),
        ("quick", "several recipes, digits/quick, segmentation/quick"),
    ],
)
def test_a_word_that_is_neither_is_refused(word, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CycadaError, match=said):
        find_config(word)


def test_uses_may_name_a_recipe_and_says_which_file_was_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("uses: digits/mnist_usps/quick\nname: mine\n")
    recipes_module._tell.cache_clear()  # it says so once in a process
    config = load_config(tmp_path / "mine.yaml")
    assert (config.name, config.data.source.name) == ("mine", "mnist")
    assert "configs/digits/mnist_usps/quick.yaml" in capsys.readouterr().err


def test_every_recipe_has_a_description():
    found = descriptions()
    assert list(found) == list(recipes())
    assert [name for name, line in found.items() if not line] == []


def test_plug_ins_are_found_beside_the_config_and_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "none")  # and so puts sys.path back afterwards
    monkeypatch.chdir(tmp_path)
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "plugin_beside_the_config.py").write_text("")
    (tmp_path / "plugin_in_the_working_directory.py").write_text("")
    (beside / "mine.yaml").write_text(
        "uses: demo\nplugins: [plugin_beside_the_config, plugin_in_the_working_directory]\n"
    )
    load_plugins(load_config("beside/mine.yaml"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("has_a_slip", "x = (", "SyntaxError.*It was found, and its code raised this error"),
        ("needs_another", "import no_such_package", "no_such_package.*It was found, and its code"),
        ("ends_the_program", "raise SystemExit", "It ends the program when it is imported"),
        ("code", "", "which Python finds before .*code.py. Give that file another name"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_with_the_reason(tmp_path, monkeypatch, name, text, why):
    monkeypatch.syspath_prepend(tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "mine.yaml").write_text(f"uses: demo\nplugins: [{name}]\n")
    with pytest.raises(CycadaError, match=why):
        load_plugins(load_config("mine.yaml"))


def test_every_pair_has_the_one_recipe_and_sets_its_data_alone():
    pairs = sorted((ROOT / "configs").glob("*/*/recipe.yaml"))
    assert len(pairs) == 9
    own_images = ROOT / "configs" / "own_images.yaml"
    for path in [*pairs, own_images, ROOT / "configs" / "own_scenes.yaml"]:
        written = yaml.safe_load(path.read_text())
        assert set(written) == {"uses", "name", "data"}, path
        expected = "recipe_cycada.yaml" if path == own_images else "recipe.yaml"
        assert (path.parent / written["uses"]).name == expected, path
        assert set(written["data"]) <= {"source", "target", "size", "channels"}, path


def test_both_forms_of_the_recipe_begin_alike():
    plain, translating = (
        yaml.safe_load((ROOT / "configs" / name).read_text())
        for name in ("recipe.yaml", "recipe_cycada.yaml")
    )
    assert plain["defaults"] == translating["defaults"]
    assert plain["networks"].items() <= translating["networks"].items()
    for stage in ("source", "align"):
        assert plain["stages"][stage] == translating["stages"][stage]
