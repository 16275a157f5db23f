"""Where the project, its recipes and the real data are."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
CONFIGS = ROOT / "configs"
REAL_DATA = Path(os.environ.get("CYCADA_DATA") or ROOT.parent / "shared" / "data")
"""Tests that need real data skip where this folder is absent."""
