"""A process that runs one experiment after the other does not grow."""

import pytest
from helpers.experiments import tiny_config
from helpers.memory import STATUS, growth

import cycada


@pytest.mark.trains
@pytest.mark.skipif(not STATUS.exists(), reason="only Linux counts a process's memory there")
def test_run_leaves_no_memory_behind(tmp_path):
    stages = {"source": {"method": "source_only", "steps": 2, "batch": 8}}

    def run(seed):
        changes = {"data": {"size": 64}, "tracking": {"kind": "none"}}
        cycada.run(tiny_config(stages, seed=seed, results=str(tmp_path), threads=1, **changes))

    assert growth(run, 2, 6) < 12, "the images of four runs take 30 MB"
