"""Does it learn? Minutes, so only with -m slow."""

import pytest
from helpers.experiments import tiny_config
from helpers.paths import ROOT
from helpers.streets import STREETS

from cycada.config import schema as config
from cycada.core.yaml_files import merge
from cycada.runs.run import run

pytestmark = pytest.mark.trains


@pytest.mark.slow
def test_the_demo_adapts(tmp_path):
    demo = config.load(ROOT / "configs/demo.yaml", [f"results={tmp_path}", "tracking.kind=none"])
    accuracy = {s.name: s.scores["target"]["accuracy"] for s in run(demo).stages}
    assert accuracy["self"] >= 0.92, accuracy
    assert accuracy["feature"] >= 0.85, accuracy
    assert 1 - accuracy["self"] <= (1 - accuracy["source"]) / 3, accuracy


@pytest.mark.slow
def test_mixing_classes_into_target_scenes_helps_more_than_the_same_steps_on_the_source(tmp_path):
    """Over seeds 0 to 2: a mIoU of 0.28 to 0.30 against 0.19 to 0.21."""
    after = {"init": {"f_t": "source.f_t"}, "ema": {"f_t": 0.95}}
    losses = {"task_translated": 0, "task_source": 1, "self_training": 0, "class_mix_source": 1}
    stages = {
        "source": {"method": "source_only", "ema": {"f_t": 0.95}},
        "longer": {"method": "source_only", **after},
        "mixed": {"method": "self_training", "losses": losses, **after},
    }
    over = {
        "data": {"source": {"train": 24, "test": 6}, "target": {"train": 24, "test": 8}},
        "defaults": {"batch": 4, "steps": 150, "optimizer": {"lr": 2e-3}},
        "results": str(tmp_path),
    }
    _, longer, mixed = (
        s.scores["target"]["miou"] for s in run(tiny_config(stages, **merge(STREETS, over))).stages
    )
    assert mixed > longer + 0.05
