"""What the command line imports: a command waits for no library that it does not use."""

import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.trains

HEAVY = (
    "torchvision",
    "timm",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "mlflow",
    "onnx",
    "huggingface_hub",
    "joblib",
    "torch._dynamo",
)
SCRIPT = f"""
import sys
from cycada.cli.main import app

def imported(*words):
    try:
        app(list(words))
    except SystemExit as ended:
        assert not ended.code, words
    return [name for name in ("torch", *{HEAVY}) if name in sys.modules]

print("imports of --help:", imported("--help"))
print("imports of list:", imported("list", "domains"))
print("imports of check:", imported("check", "configs/demo.yaml"))
"""


def test_commands_import_torch_at_most():
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = dict(line.split(": ") for line in ended.stdout.splitlines() if line.startswith("imports of"))
    assert found == {
        "imports of --help": "[]",
        "imports of list": "['torch']",
        "imports of check": "['torch']",
    }
