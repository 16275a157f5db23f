"""`cycada doctor`: what is there, and what is missing."""

import pytest

from cycada.cli.doctor import examine


def findings(results, root):
    return {finding.name: finding for finding in examine(results, root)}


def test_every_part_of_the_machine_is_named(tmp_path):
    (tmp_path / "data" / "svhn").mkdir(parents=True)
    (tmp_path / "data" / "svhn" / "train.npz").touch()
    found = findings(tmp_path / "results", tmp_path / "data")
    assert list(found) == [
        "cycada",
        "python",
        "torch",
        "device",
        "bf16",
        "threads",
        "memory",
        "disk",
        "writing",
        "data",
        "tracker",
        "extras",
    ]
    assert [finding.fault for finding in found.values() if finding.fault] == []
    assert found["data"].value.startswith("svhn under")
    assert found["data"].value.endswith("without files: optdigits, rendered_digits, streets")
    assert not (tmp_path / "results").exists()


def test_a_place_that_takes_no_files_is_a_fault(tmp_path):
    (tmp_path / "results").write_text("no folder")
    found = findings(tmp_path / "results", tmp_path)
    assert "--results" in found["writing"].fault


@pytest.mark.parametrize("words", [["--version"], ["doctor", "--help"]])
def test_the_command_line_has_it(cycada, words):
    code, out, _ = cycada(*words)
    assert code == 0
    assert "cycada" in out
