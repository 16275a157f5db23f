"""The rule of imports, the size of a room, and that no function of the package raises NotImplementedError."""

import subprocess
import sys
from pathlib import Path

from helpers.paths import ROOT


def test_imports_only_go_down():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_runs_stays_a_small_room():
    assert len(list((ROOT / "cycada" / "runs").glob("*.py"))) <= 12


def test_nothing_is_left_unwritten():
    for path in (ROOT / "cycada").rglob("*.py"):
        assert "NotImplementedError" not in path.read_text(), path


def test_mlflow_is_imported_only_where_it_is_used():
    code = "import sys, cycada.cli.main, cycada.runs.run; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
