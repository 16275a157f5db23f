"""Two processes with a batch each are one process with both: same data, same gradients, same weights."""

import json
import os
import subprocess
import sys

import pytest
import torch
from helpers.experiments import tiny_config, write_config
from helpers.paths import ROOT
from safetensors.torch import load_file
from torch import nn

from cycada.methods import Networks
from cycada.networks import ImagePool
from cycada.runs.run import run
from cycada.train.device import Device

pytestmark = pytest.mark.trains

# Exact only where nothing mixes the images of a batch or draws per process: no batch norm, dropout or pool.
SAME = {
    "seed": 1,
    "networks": {"f": {"name": "lenet", "dropout": 0.0}},
    "threads": 1,
    "logging": {"report_every": 2, "evaluate_every": 3, "checkpoint_every": 3},
}
STAGES = {
    "source": {"method": "source_only", "steps": 2},
    "joint": {
        "method": "cycada",
        "steps": 3,
        "init": {"f_s": "source.f_t"},
        "options": {"pool": 0, "gate": 0.5, "semantic_gate": 9.0},
        # soft, since an argmax of an untrained f_s may tip over by rounding
        "losses": {"identity_s": 1, "semantic_t": {"anchor": "soft"}, "semantic_s": {"anchor": "soft"}},
        # not Adam: it makes whole steps of the rounding noise that is the gradient of a bias before an
        # instance norm. Slow, since the
        # gradient of L1 is a sign, which rounding turns round for single pixels: at 0.01 that alone is 6e-6
        # after three steps
        "optimizer": {"name": "sgd", "lr": 0.002},
    },
}


def weights(results):
    """Of all finished stages by name."""
    folders = [f for f in (results / "runs").iterdir() if f.is_dir()]
    assert len(folders) == len(STAGES)
    return {
        json.loads((f / "manifest.json").read_text())["stage"]: load_file(f / "weights.safetensors")
        for f in folders
    }


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    def over(name, batch):
        return {**SAME, "results": str(tmp_path / name), "defaults": {"batch": batch, "steps": 4}}

    run(tiny_config(STAGES, **over("one", 8)))
    config = write_config(tmp_path / "two.yaml", STAGES, **over("two", 4))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *launch, "-m", "cycada", "run", str(config), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("{") for line in done.stdout.splitlines()) == 1, "only rank 0 prints"
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for stage, values in one.items():
        for name, value in values.items():
            assert torch.allclose(value, two[stage][name], atol=5e-6, rtol=1e-4), (stage, name)


def test_processes_share_statistics_and_keep_their_own_pools(monkeypatch, tmp_path):
    nets = Networks({"g_st": nn.BatchNorm2d(1), "pool_t": ImagePool(1, (1, 1, 1))})
    with monkeypatch.context() as patched:
        patched.setattr(Device, "average", lambda self, value: value + 1)  # the others have more
        Device(torch.device("cpu"), world=2).average_buffers(nets)
    assert (float(nets.g_st.running_mean), float(nets.pool_t.images)) == (1, 0)
    averaged = []  # by the roles: a pool by itself does not say what it is
    monkeypatch.setattr(Device, "average_buffers", lambda self, nets: averaged.append(type(nets)))
    run(tiny_config({"it": {"method": "cyclegan", "steps": 1}}, results=str(tmp_path)))
    assert averaged
    assert set(averaged) == {Networks}
