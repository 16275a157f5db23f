"""At its end a run names a stage that a label-free criterion prefers to the last one."""

import json

import pytest

from cycada.report.preferred_stage import preferred_stage
from cycada.runs.stage_context import StageResult


def stages(tmp_path, *given):
    """Results of stages: name, method, parent, updates of the task network and criterion of each."""
    results = []
    for name, method, parent, updates, value in given:
        folder = tmp_path / name
        folder.mkdir()
        manifest = {"stage": name, "method": method, "seed": 0, "steps": 1, "batch": 1, "seconds": 1.0}
        manifest |= {"parents": {"f_t": parent} if parent else {}, "updates": {"task": updates, "all": 9}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        row = {"step": 1} | ({} if value is None else {"selection/information_maximisation": value})
        (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        results.append(StageResult(name, method, name, name, folder, 1.0, {}, False))
    return results


SOURCE = ("source", "source_only", None, 5, 0.35)
ALIGN = ("align", "dann", "source", 5, 0.82)


@pytest.mark.parametrize(
    ("given", "preferred"),
    [
        ([SOURCE, ALIGN, ("self", "self_training", "align", 5, 0.75)], "align"),
        ([SOURCE, ALIGN, ("self", "self_training", "align", 5, 0.9)], None),
        ([SOURCE, ALIGN, ("self", "self_training", "align", 5, 0.815)], None),  # as good as equal
        ([SOURCE, ALIGN, ("entropy", "entropy", "source", 5, 0.5)], None),  # it does not start from align
        ([SOURCE, ALIGN, ("oracle", "target_only", "align", 5, 0.1)], None),  # has seen the target's labels
        (
            [SOURCE, ("pixel", "cycada_pixel", "source", 0, 0.9), ("task", "cycada_task", "pixel", 5, 0.5)],
            None,
        ),
        ([("pixel", "cyclegan", None, 0, None)], None),
    ],
)
def test_a_stage_is_named_only_if_the_last_one_starts_from_it(tmp_path, given, preferred):
    advice = preferred_stage(stages(tmp_path, *given))
    assert (
        advice == ""
        if preferred is None
        else f"prefers stage '{preferred}' (0.820) to 'self' (0.750)" in advice
    )
