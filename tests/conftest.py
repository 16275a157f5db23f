"""One thread, no telemetry, few garbage collections, and a tiny experiment that trains in seconds."""

import gc
import os
import shutil

from helpers.experiments import CYCADA, tiny_config

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import sys

import pytest
import torch

from cycada.cli.main import main
from cycada.report import tsne
from cycada.runs.run import run
from cycada.tracking import mlflow_tracker

torch.set_num_threads(1)
gc.set_threshold(20_000, 20, 20)  # the many objects of configs and libraries: a tenth of the suite's time


def pytest_collection_finish():
    """Leave what was imported and collected out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_embedding():
    """Take the first two features for an embedding: t-SNE takes a second a row, and has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tsne, "embed", lambda features, seed: features[:, :2])
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_database(tmp_path_factory):
    """Copy MLflow's empty database: its tables take two seconds, and are made anew in tests of processes."""
    empty, prepare = tmp_path_factory.mktemp("empty") / "mlflow.db", mlflow_tracker.prepare_database

    def copy_or_prepare(path, *others):
        is_new = not path.exists()
        if is_new and empty.exists():
            shutil.copyfile(empty, path)
        prepare(path, *others)
        if is_new and not empty.exists():
            shutil.copyfile(path, empty)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_tracker, "prepare_database", copy_or_prepare)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny CyCADA run: (summary, results folder)."""
    results = tmp_path_factory.mktemp("finished")
    return run(tiny_config(CYCADA, results=str(results))), results


@pytest.fixture
def cycada(capsys, monkeypatch):
    """Call the command line: -> exit code, stdout, stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["cycada", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    return call
