"""How waiting threads are told to sleep, and that OpenMP reads it."""

import os
import subprocess
import sys

import pytest

from cycada.core.waiting import TURNS, wait_briefly


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": TURNS}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_what_the_user_has_chosen_stays(given, expected):
    wait_briefly(given)
    assert given == expected


@pytest.mark.parametrize("module", ["cycada", "experiments.waiting"])
def test_the_command_line_sets_it_before_torch_is_imported(module):
    """OpenMP prints its settings when it is loaded."""
    chosen = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    environment["OMP_DISPLAY_ENV"] = "VERBOSE"
    words = ["-m", module, "doctor"] if module == "cycada" else ["-m", module, "--help"]
    found = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=True
    )
    if "GOMP_SPINCOUNT" not in found.stderr:
        pytest.skip("torch does not use GNU OpenMP here")
    assert f"GOMP_SPINCOUNT = '{TURNS}'" in found.stderr
