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
    return present()

def present():
    return [name for name in ("torch", *{HEAVY}) if name in sys.modules]

def step():
    from torch import nn
    from cycada.train.moving_average import MovingAverage
    from cycada.train.optimizers import build_optimizer

    network = nn.Linear(2, 2)
    optimizer, average = build_optimizer({{"lr": 0.1}}, [network], "task"), MovingAverage(network, 0.9)
    network(network.weight).sum().backward()
    optimizer.step()
    average.update(network, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
    return present()

print("imports of --help:", imported("--help"))
print("imports of list:", imported("list", "domains"))
print("imports of check:", imported("check", "configs/demo.yaml"))
print("imports of a step:", step())
"""


def test_commands_and_steps_import_torch_at_most():
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = dict(line.split(": ") for line in ended.stdout.splitlines() if line.startswith("imports of"))
    assert found == {
        "imports of --help": "[]",
        "imports of list": "['torch']",
        "imports of check": "['torch']",
        "imports of a step": "['torch']",
    }
