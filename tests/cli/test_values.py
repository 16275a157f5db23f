"""What the command line takes as a number or a path, and what becomes the name of a file."""

from pathlib import Path

import pytest
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
    with pytest.raises(CycadaError, match="not finished"):
        find_run("~/photos")
    with pytest.raises(CycadaError, match="no such home folder"):
        find_run("~nobody_at_all/x")


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
