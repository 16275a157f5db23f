"""What the command line takes as a number or a path, and what becomes the name of a file."""

from pathlib import Path

import pytest
from helpers.experiments import tiny_config
from typer.testing import CliRunner

from cycada.cli.main import app
from cycada.core.errors import CycadaError
from cycada.core.files import shorten_name
from cycada.core.registry import check_options
from cycada.data import domains
from cycada.networks import NETWORKS
from cycada.report.gather import gather
from cycada.runs.reuse import find_run
from cycada.sweeps.schema import Sweep
from cycada.sweeps.variants import slug


@pytest.mark.parametrize(
    "words",
    [
        *(["sweep", "x.yaml", "--jobs", n] for n in ("0", "-1", "1.5", "10000000000000000000")),
        *(["style", "a", "b", "c", "--content-weight", n] for n in ("nan", "inf", "-1")),
        ["style", "a", "b", "c", "--steps", "0"],
        ["style", "a", "b", "c", "--seed", "-1"],
        ["translate", "a", "b", "c", "--tile", "15"],
        ["translate", "a", "b", "c", "--size", "99999999999999999999"],
        ["data", "check", "camvid", "--samples", "0"],
        *(
            ["study", "build", "o.html", "--real", "a", "--method", "m=b", f"--{key}", n]
            for key, n in (
                ("trials", "0"),
                ("practice", "-1"),
                ("pool", "0"),
                ("seconds", "nan"),
                ("seed", "-1"),
            )
        ),
        *(["study", "score", "a", "--min-practice", n] for n in ("nan", "-1", "1.1")),
        *(["study", "score", "a", "--exposure-off", n] for n in ("nan", "inf", "-1")),
    ],
)
def test_numbers_of_the_command_line_have_bounds(words: list[str]) -> None:
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 2 or isinstance(found.exception, CycadaError)
    said = found.stderr + str(found.exception)
    assert words[-2] in said
    assert words[-1] in said


def test_home_is_found_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    given = check_options(domains["folder"], {"train": "~/photos", "test": "photos"}, "data.source")
    assert given == {"train": str(tmp_path / "photos"), "test": "photos"}
    assert check_options(NETWORKS["f"]["drn26"], {"weights": "~/w.pth"}, "networks.f") == {
        "weights": str(tmp_path / "w.pth")
    }
    assert str(tmp_path / "none.yaml") in CliRunner().invoke(
        app, ["data", "list", "--root=~/none.yaml"]
    ).output.replace("\n", "")
    with pytest.raises(CycadaError, match="photos: found a folder without config"):
        find_run("~/photos")
    with pytest.raises(CycadaError, match="no such home folder"):
        find_run("~nobody_at_all/x")


def test_variables_are_found_in_the_paths_of_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_HERE", str(tmp_path))
    monkeypatch.delenv("NOT_SET", raising=False)
    config = tiny_config(results="${DATA_HERE}/r", data={"root": "$DATA_HERE/d"})
    assert (config.results, config.data.root) == (tmp_path / "r", tmp_path / "d")
    given = check_options(domains["folder"], {"train": "$DATA_HERE/a", "test": "cost$5"}, "data.source")
    assert given == {"train": str(tmp_path / "a"), "test": "cost$5"}
    with pytest.raises(CycadaError, match=r"results: found '\$NOT_SET/r', but the variable NOT_SET is"):
        tiny_config(results="$NOT_SET/r")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$NOT_SET").mkdir()
    assert tiny_config(results="$NOT_SET").results == Path("$NOT_SET")


def test_an_empty_path_is_not_the_working_directory() -> None:
    for words in (["predict", "run", "pictures", ""], ["report", "one", "--results", ""]):
        assert "found an empty text, expected a path" in " ".join(
            CliRunner().invoke(app, words).stderr.split()
        )
    with pytest.raises(CycadaError, match="found an empty text"):
        find_run("")


def test_a_folder_that_is_no_run_is_not_told_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "runs" / "abc").mkdir(parents=True)
    with pytest.raises(CycadaError, match=r"is no stage's; .* or an ID\. Known: abc"):
        find_run(tmp_path, tmp_path)
    (tmp_path / "one.yaml").touch()
    with pytest.raises(CycadaError, match="it is a file, and 0 ids"):
        find_run(tmp_path / "one.yaml", tmp_path)


def test_an_export_where_a_run_is_expected_is_called_so(tmp_path: Path) -> None:
    weights = tmp_path / "out" / "model.safetensors"
    weights.parent.mkdir()
    weights.touch()
    for given in (weights, weights.parent):
        with pytest.raises(CycadaError, match=r"found an exported network, which `cycada predict` or"):
            find_run(given, tmp_path)


@pytest.mark.parametrize("words", [["run", "demo", "--seed", "3"], ["data", "check", "demo", "--seed=3"]])
def test_a_setting_that_is_given_as_an_option_is_answered_with_its_form(words: list[str]) -> None:
    said = str(CliRunner().invoke(app, words).exception)
    assert "there is no option --seed. Settings are given without dashes, as KEY=VALUE" in said


def test_data_check_of_an_unknown_name_says_what_it_may_be() -> None:
    said = str(CliRunner().invoke(app, ["data", "check", "camvit"]).exception)
    assert "'camvit': found neither a config" in said
    assert "Did you mean 'camvid'?" in said


def test_a_long_label_names_a_file_and_two_long_ones_name_two() -> None:
    one, two = slug("vary=" + "ä" * 300 + "1"), slug("vary=" + "ä" * 300 + "2")
    assert one != two
    assert all(len(name.encode()) <= 90 for name in (one, two))
    assert slug("- cycle") == "minus_cycle"
    assert shorten_name("demo") == "demo"


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", ".x", "x" * 101, ""])
def test_a_sweep_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="results/sweeps"):
        Sweep(name=name, experiment="x.yaml")


def test_a_report_cannot_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "seed0.json").write_text("{}")
    for name in ("../away", str(tmp_path / "away")):
        with pytest.raises(CycadaError):
            gather([name], tmp_path / "results")
