"""A finished run whose generators the tests of translation and export use."""

import pytest
from helpers.experiments import tiny_config

from cycada.runs.run import run


@pytest.fixture(scope="session")
def cycle(tmp_path_factory):
    """A finished tiny CycleGAN on colour images: its run folder."""
    results = tmp_path_factory.mktemp("cycle")
    config = tiny_config(
        {"it": {"method": "cyclegan", "steps": 2}}, results=str(results), data={"channels": 3}
    )
    return run(config).stages[0].folder
