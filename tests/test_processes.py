"""Two processes with a batch each are one process with both: same data, same gradients, same weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import write_config
from safetensors.torch import load_file

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
        "method": "cycada", "steps": 3, "init": {"f_s": "source.f_t"}, "options": {"pool": 0, "gate": 0.5, "semantic_gate": 9.0},
        # soft, since an argmax of an untrained f_s may tip over by rounding
        "losses": {"identity_s": 1, "semantic_t": {"anchor": "soft"}, "semantic_s": {"anchor": "soft"}},
        # not Adam: it makes whole steps of the rounding noise that is the gradient of a bias before an instance norm. Slow, since the
        # gradient of L1 is a sign, which rounding turns round for single pixels: at 0.01 that alone is 6e-6 after three steps
        "optimizer": {"name": "sgd", "lr": 0.002},
    },
}  # fmt: skip


def train(tmp_path, processes, batch):
    """Weights of all finished stages by name."""
    name = f"{processes}x{batch}"
    over = {**SAME, "results": str(tmp_path / name), "defaults": {"batch": batch, "steps": 4}}
    config = write_config(tmp_path / f"{name}.yaml", STAGES, **over)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, *launch, "-m", "cycada", "run", str(config), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("{") for line in done.stdout.splitlines()) == 1, "only rank 0 prints"
    folders = [f for f in (tmp_path / name / "runs").iterdir() if f.is_dir()]
    assert len(folders) == len(STAGES)
    return {(f / "manifest.json").read_text().split('"stage": "')[1].split('"')[0]: load_file(f / "weights.safetensors") for f in folders}


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    one, two = train(tmp_path, 1, 8), train(tmp_path, 2, 4)
    for stage, weights in one.items():
        for name, value in weights.items():
            assert torch.allclose(value, two[stage][name], atol=5e-6, rtol=1e-4), (stage, name)
