"""Versions: the commit of this code, and whether its files are those of the commit."""

import subprocess

import pytest

from cycada.core import versions


@pytest.mark.parametrize("changed", ["losses/task.py", "storage/store.py", "__init__.py"])
def test_a_changed_file_in_any_folder_marks_the_commit(tmp_path, monkeypatch, changed):
    def git(*words):
        user = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        return subprocess.run(
            ["git", *user, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    file = tmp_path / "cycada" / changed
    file.parent.mkdir(parents=True)
    file.write_text("a = 1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(versions, "TOOLKIT", tmp_path / "cycada")
    assert versions.git_revision() == git("rev-parse", "HEAD")
    file.write_text("a = 2\n")
    assert versions.git_revision() == git("rev-parse", "HEAD") + "+"


def test_code_outside_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "TOOLKIT", tmp_path)
    assert versions.git_revision() == "unknown"


def test_a_package_that_is_not_there_is_said():
    assert versions.installed_version("numpy")[0].isdigit()
    assert versions.installed_version("no_such_package") == "not installed"
