"""Golden losses: the mean of every loss over 20 steps of every method.

A change here is a change of the mathematics.

PYTHONPATH=tests python tests/losses/test_golden.py    writes the numbers anew
"""

import json
from pathlib import Path

import pytest
from helpers.training import training

from cycada.methods import methods
from cycada.train.loop import train

pytestmark = pytest.mark.trains

GOLDEN = Path(__file__).with_name("golden.json")


CONFIDENT = {"losses": {"self_training": {"weight": 1.0, "threshold": 0.0}}}
SETTINGS = {"self_training": CONFIDENT, "dual_path": CONFIDENT}
"""Without these a loss would be 0: no untrained teacher is as confident as the default threshold asks."""


def losses_of(method):
    stage = training(method, steps=20, **SETTINGS.get(method, {}))
    report = list(train(stage, report_every=20, gradients=False))[-1]
    return {name: value for name, value in report.values.items() if name.startswith("loss/")}


@pytest.mark.parametrize("method", methods)
def test_twenty_steps(method):
    golden = json.loads(GOLDEN.read_text())
    assert method in golden, "run this file as a script to add the new method"
    # loose enough for the rounding of another processor, tight enough for half a small loss, a sign or a
    # weight
    assert 0.0 not in golden[method].values(), "a loss that is 0 shows no change"
    assert losses_of(method) == pytest.approx(golden[method], rel=0.02, abs=2e-4)


if __name__ == "__main__":
    GOLDEN.write_text(
        json.dumps({m: {k: round(v, 5) for k, v in losses_of(m).items()} for m in methods}, indent=1) + "\n"
    )
