"""The model of a run in MLflow: loaded in this process, and served on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from helpers.experiments import tiny_config

import cycada
from cycada.cli.tracked_run import run

pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def logged(results):
    """A tiny experiment with its model. -> MLflow's client, the model, the last stage."""
    from mlflow import MlflowClient

    config = tiny_config(results=str(results), tracking={"kind": "mlflow", "log_model": True})
    stage = run(config).stages[-1]
    run(config)
    client = MlflowClient(f"sqlite:///{results.resolve() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    (model,) = client.search_logged_models([experiment.experiment_id])
    return client, model, stage


def pictures(count):
    return np.random.default_rng(0).integers(0, 256, (count, 20, 24, 1), np.uint8)


@pytest.fixture
def paths():
    before = list(sys.path)
    yield
    sys.path[:] = before


def test_log_model_is_what_load_model_is_also_after_a_move(tmp_path, paths, monkeypatch):
    import mlflow

    from cycada.tracking.mlflow_tracker import MlflowTracker

    client, model, stage = logged(tmp_path / "before")
    (source,) = client.get_run(model.source_run_id).outputs.model_outputs
    assert source.model_id == model.model_id
    expected = cycada.load_model(stage.folder).predict(list(pictures(3)))
    shutil.move(tmp_path / "before", tmp_path / "after")
    moved = MlflowTracker(None, tmp_path / "after")
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path.resolve() / 'after' / 'mlflow.db'}")
    try:
        location = moved.client.get_logged_model(model.model_id).artifact_location
        assert "/after/" in location
        loaded = mlflow.pyfunc.load_model(location)
    finally:
        mlflow.set_tracking_uri(None)
    answers = loaded.predict(pictures(3))
    assert list(answers["label"]) == [p.label for p in expected]
    assert list(answers["probability"]) == pytest.approx([p.probability for p in expected])
    assert loaded.metadata.metadata["classes"] == [str(i) for i in range(10)]
    assert loaded.metadata.get_input_schema().inputs[0].shape == (-1, -1, -1, 1)
    assert loaded.input_example.shape == (1, 16, 16, 1)


@pytest.mark.slow
def test_log_model_is_served_on_loopback(tmp_path):
    client, model, stage = logged(tmp_path)
    expected = cycada.load_model(stage.folder).predict(list(pictures(2)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    location = client.get_logged_model(model.model_id).artifact_location
    words = ["models", "serve", "--env-manager", "local", "-m", location, "-p", str(port), "-h", "127.0.0.1"]
    log = (tmp_path / "serve.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words], stdout=log, stderr=log, start_new_session=True,
        env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
    )  # fmt: skip
    try:
        body = json.dumps({"inputs": pictures(2).tolist()}).encode()
        answers = post(f"http://127.0.0.1:{port}/invocations", body, server)["predictions"]
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()
    assert [a["label"] for a in answers] == [p.label for p in expected]
    assert [a["probability"] for a in answers] == pytest.approx([p.probability for p in expected])


def post(url, body, server, seconds=240):
    """The answer of a server, which may still be starting."""
    end = time.monotonic() + seconds
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < end
            time.sleep(1)
