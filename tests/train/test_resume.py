"""Interrupted = uninterrupted, bit for bit; checkpoints that are damaged; runs that wait for each other."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from helpers.experiments import CYCADA, tiny_config, write_config
from helpers.paths import TESTS
from helpers.training import training
from safetensors.torch import load_file

from cycada.core.errors import CycadaError
from cycada.core.interrupt import Interrupted, stop_on_signal
from cycada.core.lock import locked
from cycada.core.progress import Progress
from cycada.methods import methods
from cycada.runs import stage_training
from cycada.runs.run import run
from cycada.runs.unfinished import find_unfinished
from cycada.storage.store import RunFolder
from cycada.train import checkpoint
from cycada.train.loop import train
from cycada.train.meter import Diverged

pytestmark = pytest.mark.trains

KILLED = """
import os, sys
from helpers.killer import die, one_try
from cycada.cli.main import main
from cycada.storage.store import RunFolder
from cycada.train import checkpoint

def arm(kill_at):
    save, finish, calls = checkpoint.save, RunFolder.finish, [0]

    def killing_save(folder, state):
        calls[0] += 1
        if kill_at == f"before {calls[0]}":
            die()
        if kill_at == f"within {calls[0]}":
            (folder / ".checkpoint-1.tmp").write_bytes(b"half a checkpo")
            die()
        path = save(folder, state)
        if kill_at == f"after {calls[0]}":
            die()
        return path

    def killing_finish(self):
        if kill_at == "end":
            die()
        finish(self)

    checkpoint.save, RunFolder.finish = killing_save, killing_finish

config, *points = sys.argv[1:]
for kill_at in points:
    status, _ = one_try(["run", config], lambda _: arm(kill_at))
    assert os.waitstatus_to_exitcode(status) == -9, kill_at
sys.argv = ["cycada", "run", config, "--json"]
main()
"""
"""It imports the toolkit once, forks for every try that is killed, and at last runs undisturbed."""


def outcome(results):
    """Weights and metrics of all stages by the name of their method, without what a clock wrote."""
    found = {}
    for folder in (Path(results) / "runs").iterdir():
        if (folder / "done").exists():
            name = json.loads((folder / "manifest.json").read_text())["stage"]
            rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            found[name] = (
                load_file(folder / "weights.safetensors"),
                [{k: v for k, v in r.items() if k != "rate"} for r in rows],
            )
    return found


def assert_same(one, other):
    assert set(one) == set(other) == set(CYCADA)
    for name, (weights, metrics) in one.items():
        assert metrics == other[name][1], name
        assert all(torch.equal(v, other[name][0][k]) for k, v in weights.items()), name


@pytest.mark.slow  # the short campaign of kills draws its points
def test_a_run_killed_at_several_points_ends_as_if_it_had_not_been(tmp_path, finished):
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path / "results"), threads=1)
    here = TESTS
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    # in the source stage; while the pixel stage's first checkpoint is written; after that, its pool and
    # moving average half
    # full; between its last checkpoint and its end; in the task stage, whose parents are reused by then
    command = [sys.executable, "-c", KILLED, str(config), "after 1", "within 2", "after 1", "end", "before 2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert list(last["stages"]) == list(CYCADA)
    assert last["stages"]["source"]["reused"]
    assert_same(outcome(tmp_path / "results"), outcome(finished[1]))


@pytest.mark.parametrize("method", methods)
def test_state_holds_everything(method, tmp_path):
    whole = training(method, steps=6, ema=dict.fromkeys(list(training(method).phases[0].roles)[:1], 0.9))
    list(train(whole))
    first, second = (training(method, steps=6, ema=dict.fromkeys(list(whole.ema), 0.9)) for _ in range(2))
    list(train(first, stop=lambda: first.step == 3))
    second.load_state(checkpoint.load(checkpoint.save(tmp_path, first.state())))
    list(train(second))
    for one, other in ((whole.nets, second.nets), (whole.outcome(), second.outcome())):
        state = one.state_dict()
        assert all(torch.equal(v, state[k]) for k, v in other.state_dict().items())


def test_a_finished_stage_is_not_trained_again(finished, tmp_path):
    summary, results = finished[0], shutil.copytree(finished[1], tmp_path / "results")
    again = run(tiny_config(CYCADA, results=str(results)))
    assert all(s.reused for s in again.stages)
    assert [s.scores for s in again.stages] == [s.scores for s in summary.stages]
    other = run(tiny_config({**CYCADA, "feature": {**CYCADA["feature"], "steps": 2}}, results=str(results)))
    assert [s.reused for s in other.stages] == [True, True, True, False]


def test_interrupt_leaves_a_run_that_goes_on(tmp_path, finished, monkeypatch):
    stopped = threading.Event()

    class StopAtOnce:
        def __enter__(self):
            stopped.set()
            return stopped

        def __exit__(self, *_):
            return False

    with monkeypatch.context() as patch:
        patch.setattr(stage_training, "stop_on_signal", lambda enabled: StopAtOnce())
        with pytest.raises(Interrupted, match="same command"):
            run(tiny_config(CYCADA, results=str(tmp_path)))
    run(tiny_config(CYCADA, results=str(tmp_path)))
    ours, theirs = outcome(tmp_path), outcome(finished[1])
    assert all(torch.equal(v, theirs["feature"][0][k]) for k, v in ours["feature"][0].items())


def test_a_signal_between_two_stages_is_not_lost(tmp_path, finished, monkeypatch):
    """It comes while the first stage is evaluated for the last time, when its loop asks no more."""

    def write_and_stop(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return write_analysis(*args)

    write_analysis, handler = stage_training.write_analysis, signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(stage_training, "write_analysis", write_and_stop)
        with pytest.raises(Interrupted, match="before stage 'pixel'"):
            run(tiny_config(CYCADA, results=str(tmp_path)))
    assert len(list(tmp_path.glob("runs/*/done"))) == 1
    assert signal.getsignal(signal.SIGINT) is handler
    run(tiny_config(CYCADA, results=str(tmp_path)))
    ours, theirs = outcome(tmp_path), outcome(finished[1])
    assert all(torch.equal(v, theirs["feature"][0][k]) for k, v in ours["feature"][0].items())


def test_a_signal_ends_the_waiting_for_another_run(tmp_path):
    with (
        FileLock(tmp_path / "a.lock"),
        stop_on_signal(enabled=True),
        pytest.raises(Interrupted, match="waited for"),
        locked(tmp_path / "a.lock", lambda: os.kill(os.getpid(), signal.SIGINT)),
    ):
        raise AssertionError("two hold it")


def test_who_listens_inside_hears_what_who_listens_outside_hears():
    with stop_on_signal(enabled=True) as outer:
        with stop_on_signal(enabled=True) as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.is_set()
        assert outer.is_set()
        with stop_on_signal(enabled=True) as later:
            assert later.is_set()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    with stop_on_signal(enabled=True) as fresh:
        assert not fresh.is_set()


def interrupted_folder(results, monkeypatch):
    """A source stage with two checkpoints and no end."""
    config = tiny_config({"source": {"method": "source_only"}}, results=str(results))
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save_weights", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(config)
    return config, next(p for p in (Path(results) / "runs").iterdir() if p.is_dir())


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, monkeypatch):
    config, folder = interrupted_folder(tmp_path, monkeypatch)
    newest = checkpoint.checkpoints(folder)[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    warnings = []
    state = checkpoint.load_latest(folder, warnings.append)
    assert state["step"] == 2
    assert str(newest) in warnings[0]
    assert run(config).stages[0].scores
    fresh = run(tiny_config({"source": {"method": "source_only"}}, results=str(tmp_path / "fresh")))
    assert fresh.stages[0].scores == run(config).stages[0].scores


def test_an_unfinished_stage_of_other_settings_is_mentioned(tmp_path, monkeypatch, capsys):
    """With the step and the settings that differ; of another seed nothing is said, nor where the same one
    goes on."""
    config, folder = interrupted_folder(tmp_path, monkeypatch)
    asked = {"source": "an id"}
    assert list(find_unfinished(config, {"source": folder.name})) == []
    assert list(find_unfinished(config.model_copy(update={"seed": 1}), asked)) == []
    other = {"source": {"method": "source_only", "steps": 2, "optimizer": {"lr": 0.5}}}
    run(tiny_config(other, results=str(tmp_path)), Progress())
    said = " ".join(capsys.readouterr().err.split())
    assert f"stage source: {folder} was left at step 4 of 4, with other settings" in said
    assert "stages.source.steps is 2 now and 4 there" in said
    assert "stages.source.optimizer.lr is 0.5 now and not set there" in said
    (folder / "config.yaml").write_text("stage: [")
    assert list(find_unfinished(config, asked)) == []


def test_only_damaged_checkpoints_are_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    config, folder = interrupted_folder(tmp_path, monkeypatch)
    for path in checkpoint.checkpoints(folder):
        path.write_bytes(b"")
    with pytest.raises(CycadaError, match="Delete the folder"):
        run(config)


def test_a_nan_stops_the_stage_names_the_term_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    stages = {"cycle": {"method": "cyclegan", "steps": 6, "losses": {"cycle_s": {"weight": 1}}}}
    config = tiny_config(stages, results=str(tmp_path))
    from cycada.losses import losses

    original = losses["cycle_s"]
    calls = [-1]  # the rehearsal before training computes a step, too

    def cycle_s(real_s, rec_s):
        calls[0] += 1
        return original(real_s, rec_s) * (float("nan") if calls[0] > 4 else 1.0)

    with losses.temporary():
        losses._entries["cycle_s"] = cycle_s
        with pytest.raises(Diverged, match=r"Step 5: 'cycle_s' \(loss\)"):
            run(config)
    folder = next(p for p in (tmp_path / "runs").iterdir() if p.is_dir())
    assert checkpoint.load_latest(folder, print)["step"] == 4
    run(config)  # with the loss mended, the run goes on from there


def test_two_runs_that_want_the_same_stage_wait_for_one_lock(tmp_path):
    config = tiny_config({"source": {"method": "source_only", "steps": 8}}, results=str(tmp_path))
    found = []
    threads = [threading.Thread(target=lambda: found.append(run(config).stages[0])) for _ in range(2)]
    threads[0].start()
    time.sleep(0.2)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert sorted(s.reused for s in found) == [False, True]
    assert found[0].scores == found[1].scores
