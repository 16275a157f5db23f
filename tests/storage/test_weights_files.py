"""Files of weights that networks start from: their bytes count, and trained weights replace them."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from helpers.experiments import method_stages, tiny_config

from cycada.core.errors import CycadaError
from cycada.planning.build import build_networks
from cycada.planning.plan import plan
from cycada.storage.identity import stage_id
from cycada.train.device import Device


def stage_with(weights):
    """The config and plan of a stage whose classifier starts from a file."""
    f = {"name": "timm", "model": "test_resnet", "weights": str(weights)}
    config = tiny_config(method_stages("source_only"), networks={"f": f})
    return config, plan(config)[-1]


def id_with(weights):
    config, stage = stage_with(weights)
    return stage_id(config, stage, {}, SimpleNamespace(fingerprint="0" * 16), SimpleNamespace(world=1))


def test_a_stage_id_depends_on_the_bytes_of_the_file_and_not_on_its_place(tmp_path):
    file, moved = tmp_path / "backbone.pth", tmp_path / "elsewhere.pth"
    file.write_bytes(b"one")
    first = id_with(file)
    assert id_with(shutil.copy(file, moved)) == first
    file.write_bytes(b"two")
    assert id_with(file) != first
    file.unlink()
    with pytest.raises(CycadaError, match=r"networks\.f_t\.weights: cannot read .*backbone\.pth"):
        id_with(file)


def test_a_trained_network_needs_no_file_of_first_weights(tmp_path):
    config, stage = stage_with(tmp_path / "gone.pth")
    device = Device.find("cpu")
    with pytest.raises(CycadaError, match=r"there is no file .*gone\.pth"):
        build_networks(config, stage, 10, device, {})
    plain, plain_stage = stage_with("")
    trained = build_networks(plain, plain_stage, 10, device, {}).f_t.state_dict()
    nets = build_networks(config, stage, 10, device, {"f_t": trained})
    assert all(torch.equal(value, trained[key]) for key, value in nets.f_t.state_dict().items())
