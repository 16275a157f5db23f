"""A profiled run learns what any run learns, and says where its seconds went."""

import json

import pytest
import torch
from helpers.experiments import CYCADA, write_config
from safetensors.torch import load_file

pytestmark = pytest.mark.trains

STAGES = {name: CYCADA[name] for name in ("source", "pixel")}


def test_profile_changes_no_weight_and_adds_up(cycada, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    found = {}
    for folder, words in (("plain", []), ("profiled", ["--profile"])):
        config = write_config(tmp_path / f"{folder}.yaml", STAGES, results=str(tmp_path / folder))
        code, out, err = cycada("run", config, "--json", *words)
        assert code == 0, err
        found[folder] = tmp_path / folder / "runs" / json.loads(out.splitlines()[-1])["stages"]["pixel"]["id"]
    weights = [load_file(folder / "weights.safetensors") for folder in found.values()]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not (found["plain"] / "profile.json").exists()

    profile = json.loads((found["profiled"] / "profile.json").read_text())
    parts = profile["parts"]
    assert sum(part["seconds"] for part in parts.values()) == pytest.approx(profile["seconds"])
    assert {"data", "optimizer steps", "evaluation", "pictures", "analysis", "checkpoints", "other"} <= set(
        parts
    )
    for phase in ("generators", "discriminators"):
        assert parts[f"{phase}: forward"]["times"] == parts[f"{phase}: backward"]["times"] == 4
    assert parts["moving averages"]["times"] == 4
    for word in ("pixel", "generators: forward", "other"):
        assert word in err

    code, out, err = cycada("run", config, "--profile")
    assert code == 0, err
    assert "no stage was trained" in out
    assert json.loads((found["profiled"] / "profile.json").read_text()) == profile
