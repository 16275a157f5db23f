"""The installed package: a wheel holds the recipes, which run in an empty folder."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.trains

SHORT = (
    "stages.pixel=null",
    "stages.task=null",
    "stages.feature=null",
    "stages.self=null",
    "stages.source.steps=2",
    "tracking.kind=none",
    "data.source={name: rendered_digits, train: 64, test: 32}",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel was installed, without what the package depends on."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    for folder in ("cycada", "configs"):
        shutil.copytree(
            ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "-w", place, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = place.glob("*.whl")
    subprocess.run(
        [*pip, "install", *offline, "--target", place / "site", wheel], check=True, capture_output=True
    )
    return place / "site"


def test_an_installed_package_runs_a_recipe_in_an_empty_folder(installed, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "cycada", "run", "demo", *SHORT, "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"{installed / 'cycada' / 'configs' / 'demo.yaml'}" in ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["name"] == "demo"
    assert (tmp_path / "results" / "runs").is_dir()


def test_the_wheel_holds_every_recipe(installed):
    def recipes(folder):
        return {file.relative_to(folder) for file in folder.rglob("*.yaml")}

    assert recipes(installed / "cycada" / "configs") == recipes(ROOT / "configs")
