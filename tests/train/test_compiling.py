"""Compiled networks: where compiled code is kept, and what happens where nothing can be compiled."""

import os

import pytest
import torch
from helpers.experiments import tiny_config

from cycada.runs import stage as run_of_a_stage
from cycada.runs.run import run
from cycada.storage.store import RunFolder
from cycada.train.compiling import find_obstacle, keep_compiled

STAGES = {"pixel": {"method": "cyclegan", "steps": 2}}


def test_compiled_code_is_kept_where_the_user_says_or_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    keep_compiled(tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    keep_compiled(tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_find_obstacle_names_the_error_in_one_line(monkeypatch):
    def fail(function):
        raise RuntimeError("no\ncompiler")

    monkeypatch.setattr(torch, "compile", fail)
    assert find_obstacle(torch.device("cpu")) == "RuntimeError: no compiler"


@pytest.mark.trains
def test_without_a_compiler_a_stage_says_so_and_trains_as_without_compile(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")  # run sets no variable for later tests
    monkeypatch.setattr(run_of_a_stage, "find_obstacle", lambda device: "no compiler")
    weights = {}
    for given in (True, False):
        config = tiny_config(STAGES, defaults={"compile": given}, results=str(tmp_path / str(given)))
        folder = RunFolder(run(config).stages[0].folder)
        weights[given] = (folder.path / "weights.safetensors").read_bytes()
        said = capsys.readouterr().err
        assert ("not compiled, as torch.compile fails here (no compiler)" in " ".join(said.split())) == given
    assert weights[True] == weights[False]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # PyTorch's compiler looks at it
def test_a_compiled_stage_keeps_its_code_and_learns_nearly_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    losses = {}
    for given in (True, False):
        logging = {"report_every": 1}
        config = tiny_config(
            STAGES, defaults={"compile": given}, results=str(tmp_path / str(given)), logging=logging
        )
        rows = list(RunFolder(run(config).stages[0].folder).metrics())
        losses[given] = [value for row in rows for name, value in row.items() if name.startswith("loss/")]
    assert losses[True] == pytest.approx(losses[False], rel=1e-2)
    assert any((tmp_path / "compiled").iterdir())
