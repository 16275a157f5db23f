"""Settings that are slow on this machine are named, and no others."""

import pytest
from helpers.experiments import tiny_config

from cycada.planning import slow
from cycada.planning.plan import plan


def find(**changes):
    config = tiny_config(**{"device": "cpu", **changes})
    return slow.find_slow_settings(config, plan(config))


@pytest.fixture
def old_processor(monkeypatch):
    monkeypatch.setattr(slow, "computes_bf16", lambda: False)


def test_find_slow_settings_names_the_stages_in_bf16_and_the_setting_that_helps(old_processor):
    (sentence,) = find(defaults={"precision": "bf16"})
    assert f"bf16 in {', '.join(tiny_config().stages)}," in sentence
    assert "`precision: auto`" in sentence
    assert find(defaults={"precision": "fp32"}) == []


def test_find_slow_settings_is_silent_on_a_gpu_and_on_a_newer_processor(old_processor, monkeypatch):
    monkeypatch.setattr(slow.torch.cuda, "is_available", lambda: True)
    assert find(defaults={"precision": "bf16"}, device="auto") == []
    assert find(defaults={"precision": "bf16"}, device="cuda") == []
    monkeypatch.setattr(slow, "computes_bf16", lambda: True)
    assert find(defaults={"precision": "bf16"}) == []
