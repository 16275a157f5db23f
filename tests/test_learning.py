"""Does it learn? Minutes, so only with -m slow."""

from pathlib import Path

import pytest

from cycada import config
from cycada.runs.run import run


@pytest.mark.slow
def test_the_demo_adapts(tmp_path):
    demo = config.load(Path(__file__).parents[1] / "configs/demo.yaml", [f"results={tmp_path}", "tracking.kind=none"])
    scores = {s.name: s.scores for s in run(demo).stages}
    assert scores["feature"]["target"]["accuracy"] >= scores["source"]["target"]["accuracy"] + 0.25
