"""`precision: auto` becomes what the machine computes fast, before anything is named after it."""

import pytest
from helpers.experiments import tiny_config

from cycada.config import precision


@pytest.mark.parametrize(("fast", "found"), [(True, "bf16"), (False, "fp32")])
def test_replace_auto_takes_bf16_where_there_are_instructions_for_it(monkeypatch, fast, found):
    monkeypatch.setattr("cycada.core.cpu.computes_bf16", lambda: fast)
    config = tiny_config(defaults={"precision": "auto"}, device="cpu")
    assert {stage.precision for stage in config.stages.values()} == {found}
    same = tiny_config(defaults={"precision": found}, device="cpu")
    assert config == same


def test_replace_auto_takes_bf16_on_a_gpu_and_fp32_on_a_mac(monkeypatch):
    monkeypatch.setattr("cycada.core.cpu.computes_bf16", lambda: False)
    stage = {"precision": "auto", "steps": 1}
    assert precision.replace_auto(stage, "cuda:1") == {"precision": "bf16", "steps": 1}
    assert precision.replace_auto(stage, "mps")["precision"] == "fp32"


def test_replace_auto_leaves_what_was_given():
    stage = {"precision": "bf16"}
    assert precision.replace_auto(stage, "cpu") is stage
