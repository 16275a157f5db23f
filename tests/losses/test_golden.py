"""Golden losses: the mean of every loss over 20 steps of every method. A change here is a change of the mathematics.

python tests/test_golden.py    writes the numbers anew
"""

import json
from pathlib import Path

import pytest
from helpers.training import training

from cycada.methods import methods
from cycada.train.loop import train

pytestmark = pytest.mark.trains

GOLDEN = Path(__file__).with_name("golden.json")


def losses_of(method):
    report = list(train(training(method, steps=20), report_every=20, gradients=False))[-1]
    return {name: value for name, value in report.values.items() if name.startswith("loss/")}


@pytest.mark.parametrize("method", methods)
def test_twenty_steps(method):
    golden = json.loads(GOLDEN.read_text())
    assert method in golden, "run this file as a script to add the new method"
    # loose enough for another processor's rounding, tight enough for another sign, mean or weight
    assert losses_of(method) == pytest.approx(golden[method], rel=0.02, abs=0.01)


if __name__ == "__main__":
    GOLDEN.write_text(
        json.dumps({m: {k: round(v, 5) for k, v in losses_of(m).items()} for m in methods}, indent=1) + "\n"
    )
