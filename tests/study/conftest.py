"""A study, its images and its server."""

import re
import subprocess
import sys

import pytest
from helpers.study_images import write_scenes
from helpers.study_key import TASK

from cycada import build_study


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return write_scenes(tmp_path_factory.mktemp("scenes"), 12, 48)


@pytest.fixture
def built(scenes, tmp_path):
    return build_study(tmp_path / "study.html", *scenes, **TASK)


@pytest.fixture
def server(built, tmp_path):
    """A running `cycada study serve`: -> address, process, answers folder."""
    out = tmp_path / "answers"
    words = [
        sys.executable,
        "-m",
        "cycada",
        "study",
        "serve",
        str(built.page),
        "--out",
        str(out),
        "--port",
        "0",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    yield re.search(r"http://127\.0\.0\.1:\d+/", line)[0], process, out
    process.kill()
    process.communicate()
