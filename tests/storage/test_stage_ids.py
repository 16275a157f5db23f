"""The ids of every stage of every shipped config are frozen.

A change here means that everybody's finished stages train anew. The data are not read: their fingerprint is a
constant, epochs are those of the official sets, and the processor is one with instructions for bf16. Where an
id has to change, run `PYTHONPATH=tests python tests/storage/test_stage_ids.py` and say in the commit why.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.paths import CONFIGS

from cycada.config.schema import load
from cycada.core import cpu
from cycada.core.yaml_files import read
from cycada.planning.plan import plan
from cycada.storage import identity

FROZEN = Path(__file__).with_name("stage_ids.json")
EXPERIMENTS = sorted(
    str(p.relative_to(CONFIGS)) for p in CONFIGS.rglob("*.yaml") if {"name", "stages", "data"} <= set(read(p))
)


def stage_ids(path):
    """Stage -> id of a shipped config, seed 0, one process, for data whose fingerprint is 16 zeros."""
    config = load(path, ["data.root=nowhere"])
    datasets, device = SimpleNamespace(fingerprint="0" * 16), SimpleNamespace(world=1)
    ids = {}
    for stage in plan(config):
        ids[stage.name] = identity.stage_id(config, stage, ids, datasets, device)
    return ids


@pytest.fixture(autouse=True)
def the_processor_computes_bf16(monkeypatch):
    monkeypatch.setattr(cpu, "computes_bf16", lambda: True)


@pytest.fixture(autouse=True)
def no_pairs_are_read(monkeypatch):
    monkeypatch.setattr(
        identity,
        "true_translations",
        lambda plan, datasets: SimpleNamespace(fingerprint=lambda labels: "1" * 16),
    )


def test_every_experiment_is_frozen():
    assert sorted(json.loads(FROZEN.read_text())) == EXPERIMENTS


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stage_ids_are_those_that_were_frozen(name):
    assert stage_ids(CONFIGS / name) == json.loads(FROZEN.read_text())[name]


if __name__ == "__main__":
    cpu.computes_bf16 = lambda: True
    identity.true_translations = lambda plan, datasets: SimpleNamespace(fingerprint=lambda labels: "1" * 16)
    FROZEN.write_text(json.dumps({name: stage_ids(CONFIGS / name) for name in EXPERIMENTS}, indent=1) + "\n")
