"""How often a stage, and a chain of stages, updates the task network."""

import pytest
from helpers.experiments import CYCADA, TINY
from helpers.paths import CONFIGS

from cycada.config.schema import load, parse
from cycada.core.yaml_files import merge
from cycada.planning.plan import plan
from cycada.planning.updates import Updates, add_updates, count_updates


def chain(path, stage):
    """Updates of the stages that lead to a stage of a shipped config."""
    config = load(CONFIGS / path, ["data.root=nowhere"])
    return add_updates(count_updates(p) for p in plan(config) if p.name in config.ancestors(stage))


@pytest.mark.parametrize(
    ("stage", "task", "all_"), [("source", 4, 4), ("pixel", 0, 8), ("task", 4, 4), ("feature", 4, 8)]
)
def test_updates_of_cycadas_stages(stage, task, all_):
    plans = {p.name: p for p in plan(parse(merge(TINY, {"stages": CYCADA})))}
    assert count_updates(plans[stage]) == Updates(task, all_)


def test_updates_repeat_skip_and_move_no_weight():
    stages = {
        "source": {"method": "source_only", "steps": 5},
        "mcd": {"method": "mcd", "steps": 5},
        "adabn": {"method": "adabn", "steps": 5, "init": {"f_t": "source.f_t"}},
        "dann": {"method": "dann", "steps": 5, "every": {"task": 2}},
    }
    counts = {p.name: count_updates(p) for p in plan(parse(merge(TINY, {"stages": stages})))}
    assert counts["mcd"] == Updates(30, 30), "both heads, the heads, and four times the encoder"
    assert counts["adabn"] == Updates(0, 0)
    assert counts["dann"].task == 3


@pytest.mark.parametrize(
    ("baselines", "cycada", "full", "longest"),
    [
        ("demo_baselines.yaml", "demo.yaml", "feature", 1700),
        ("digits/mnist_usps/baselines.yaml", "digits/mnist_usps/quick.yaml", "feature", 6000),
        ("segmentation/streets/baselines.yaml", "segmentation/streets/quick.yaml", "feature", 2350),
        ("segmentation/camvid_dusk/baselines.yaml", "segmentation/camvid_dusk/quick.yaml", "feature", 1175),
    ],
)
def test_shipped_baselines_start_and_train_as_cycada_does(baselines, cycada, full, longest):
    config = load(CONFIGS / baselines, ["data.root=nowhere"])
    wanted = chain(cycada, full).task
    for name, stage in config.stages.items():
        if name in ("source", "cogan"):
            continue
        assert "source" in config.ancestors(name)
        found = chain(baselines, name).task
        if stage.method == "mcd":
            found = config.stages["source"].steps + stage.steps
        assert found == (longest if stage.method == "target_only" else wanted), name
