"""What is stored is what was made: damaged folders are named and not used, wherever they are read; `cycada
verify`."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers.experiments import CYCADA, tiny_config, write_config
from helpers.synthetic_runs import make_run
from helpers.training import training

from cycada.core.errors import CycadaError
from cycada.core.files import file_digest
from cycada.losses import losses
from cycada.planning.plan import plan
from cycada.runs import reuse
from cycada.runs.file_starts import check_file_start
from cycada.runs.reuse import evaluate_run, find_run
from cycada.runs.run import run
from cycada.runs.verify import verify
from cycada.storage.identity import plugin_sources
from cycada.storage.store import RunFolder
from cycada.train import checkpoint
from cycada.train.loop import train

pytestmark = pytest.mark.trains

ONE = {"source": CYCADA["source"]}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of finished results: stage -> its folder, and the results."""
    shutil.copytree(finished[1], tmp_path / "results")
    return {s.name: tmp_path / "results" / "runs" / s.id for s in finished[0].stages}, tmp_path / "results"


DAMAGES = {
    "weights.safetensors": flip,
    "scores.json": lambda path: path.write_text("{}"),
    "metrics.jsonl": lambda path: path.write_text(""),
    "config.yaml": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "manifest.json": lambda path: path.write_text("null"),
    "analysis.npz": Path.unlink,
    "confusion.json": flip,
    "done": flip,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_finished_stage_is_named_and_not_used(name, copied, cycada, tmp_path):
    folders, results = copied
    DAMAGES[name](folders["source"] / name)
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(results))
    for words in (
        ("run", config),
        ("evaluate", folders["source"]),
        ("report", folders["source"]),
        ("verify", folders["source"], "--no-score"),
    ):
        code, _, said = cycada(*words)
        assert code == 2, words
        assert name in said, words
        assert "Traceback" not in said


def test_a_damaged_parent_stops_a_later_stage_and_a_sweep(copied, cycada, tmp_path):
    folders, results = copied
    flip(folders["pixel"] / "weights.safetensors")
    shutil.rmtree(folders["feature"])
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(results))
    code, _, said = cycada("run", config)
    assert (code, "weights.safetensors (other bytes)" in said) == (2, True)
    assert not folders["feature"].exists()
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"name": "s", "experiment": str(config), "seeds": [0]}))
    code, _, said = cycada("sweep", tmp_path / "s.yaml", f"results={results}")
    assert (code, "weights.safetensors (other bytes)" in said) == (2, True)
    assert not folders["feature"].exists()


SEED_IN_QUOTES = '{"stage": "source", "method": "source_only", "seed": "0", "steps": 1, "batch": 1}'
SHAPES = {
    "manifest.json": [
        "{}",
        "null",
        "[]",
        '{"stage": 3}',
        SEED_IN_QUOTES,
    ],
    "scores.json": [
        "[]",
        "NaN",
        '{"target": 3}',
        '{"target": {"accuracy": NaN}}',
        '{"target": {"accuracy": "1"}}',
        '{"target": {}}',
    ],
    "metrics.jsonl": ["[1, 2]\n", '{"step": "a"}\n', '{"loss": 1}\n', "\n", "3\n"],
    "config.yaml": [
        "{}",
        "null",
        "[1]",
        "stage: source\nexperiment: 3\n",
        "stage: source\nexperiment: {data: 3, stages: 4}\n",
        "\x00",
    ],
}


@pytest.mark.parametrize("name", SHAPES)
def test_json_of_another_shape_in_an_older_folder_is_named(name, tmp_path, cycada):
    make_run(tmp_path, "aaaaaaaaaaaa", "source")
    folder = tmp_path / "runs" / "aaaaaaaaaaaa"
    for content in [*SHAPES[name], b"\xff\xfe\x00\x01"]:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        code, _, said = cycada("report", "aaaaaaaaaaaa", "--results", tmp_path, "--out", tmp_path / "r")
        assert (code, name in said, "Traceback" in said) == (2, True, False), (content, said)


def test_summaries_of_another_shape_are_named(tmp_path, cycada):
    for place in (tmp_path / "experiments" / "x" / "seed0.json", tmp_path / "sweeps" / "x.json"):
        place.parent.mkdir(parents=True)
        for content in ("[]", "{}", '{"seed": 0, "stages": []}', '{"name": "x", "cells": [3]}', "\x00"):
            place.write_text(content)
            code, _, said = cycada("report", "x", "--results", tmp_path)
            assert (code, place.name in said, "Traceback" in said) == (2, True, False), (content, said)
        place.unlink()


def test_an_older_folder_is_used_with_a_word_once(copied, capsys, monkeypatch):
    folders, results = copied
    for folder in folders.values():
        (folder / "done").write_text("2026-01-01T00:00:00+00:00\n")
    monkeypatch.setattr(reuse, "_warned", [])
    assert all(s.reused for s in run(tiny_config(CYCADA, results=str(results))).stages)
    said = capsys.readouterr().err
    assert said.count("kept no digests") == 1


def test_the_last_row_that_a_killed_process_did_not_finish_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "a": 1}\n{"step": 4, "lo')
    assert RunFolder(tmp_path).metrics() == [{"step": 2, "a": 1}]
    RunFolder(tmp_path).rewind_metrics(4)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 2, "a": 1}\n'


def wrong_states():
    def change(**values):
        return lambda state: state | values

    def other(state):
        nets = {role: dict(values) for role, values in state["nets"].items()}
        first = next(iter(nets["f_t"]))
        nets["f_t"][first] = nets["f_t"][first][:1]
        return state | {"nets": nets}

    def not_a_number(state):
        nets = {role: {k: v.clone() for k, v in values.items()} for role, values in state["nets"].items()}
        next(iter(nets["f_t"].values())).fill_(float("nan"))
        return state | {"nets": nets}

    def rates(state):
        groups = [group | {"weight_decay": 1} for group in state["optimizers"]["task"]["param_groups"]]
        return state | {"optimizers": {"task": state["optimizers"]["task"] | {"param_groups": groups}}}

    return {
        "a list": lambda state: [1, 2],
        "no optimizers": lambda s: {k: v for k, v in s.items() if k != "optimizers"},
        "other networks": other,
        "a million": change(step=10**6),
        "below zero": change(step=-5),
        "nan": not_a_number,
        "no networks": change(nets={}),
        "optimizers of another": change(optimizers={"x": {}}),
        "another optimizer": rates,
        "seconds": change(seconds=float("nan")),
        "a meter": change(meter=[[1]]),
        "pools": change(pools=[]),
        "step": change(step="4"),
    }


@pytest.mark.parametrize("what", wrong_states())
def test_a_checkpoint_of_another_content_is_named_and_the_one_before_is_used(what, tmp_path):
    own = training("source_only", steps=6)
    list(train(own, stop=lambda: own.step == 2))
    checkpoint.save(tmp_path, own.state() | {"seconds": 1.0})
    list(train(own, stop=lambda: own.step == 4))
    state = wrong_states()[what](own.state() | {"seconds": 1.0})
    part = tmp_path / "x"
    torch.save(state, part)
    step = state["step"] if isinstance(state, dict) else 4
    name = f"{step:08d}" if isinstance(step, int) else "00000004"
    part.rename(
        tmp_path / f"checkpoint-{name if name > '00000002' else '00000004'}-{file_digest(part, size=6)}.pt"
    )
    said = []
    found = checkpoint.load_latest(tmp_path, said.append, training("source_only", steps=6).check)
    assert found["step"] == 2
    assert len(said) == 1
    assert "Trying the one before" in said[0]


@pytest.mark.parametrize("stop_at", [3, 5])
def test_the_curve_does_not_depend_on_when_somebody_stops(stop_at, tmp_path):
    def rows(reports):
        return [(r.step, r.values) for r in reports if not r.early]

    whole = rows(train(training("cycada_pixel", steps=8), 4))
    first, second = training("cycada_pixel", steps=8), training("cycada_pixel", steps=8)
    some = list(train(first, 4, stop=lambda: first.step == stop_at))
    assert some[-1].early
    state = checkpoint.load(checkpoint.save(tmp_path, first.state()))
    second.check(state)
    second.load_state(state)
    assert rows(some) + rows(train(second, 4)) == whole


def test_verify_scores_again_and_finds_what_files_alone_do_not_show(copied, cycada):
    folders, results = copied
    code, out, _ = cycada("verify", "--all", "--results", results, "--json")
    found = json.loads(out)
    there = list(
        (results / "runs").glob("*/done")
    )  # other tests may have added runs to the results that are copied here
    assert (code, found["sound"], len(found["runs"])) == (0, True, len(there))
    assert len(there) >= len(folders)
    seen = {c["what"] for r in found["runs"] for c in r["checks"] if c["right"]}
    assert {"files", "id", "source scores", "target scores"} <= seen
    # scores that somebody wrote anew, with digests that fit
    folder = RunFolder(folders["source"])
    scores = folder.read_json("scores.json")
    scores["target"]["accuracy"] = 0.99
    folder.write_json("scores.json", scores)
    folder.finish()
    assert not verify(
        folders["source"], results, score=False
    ).sound  # the last row of metrics.jsonl says otherwise
    code, out, said = cycada("verify", folders["source"], folders["task"], "--results", results)
    assert code == 2
    assert "target" in said
    assert "1 of 2 runs" in said


def test_a_copy_under_the_id_of_another_run_is_not_used(copied, cycada):
    folder = copied[0]["source"]
    own = folder.parent / "my_best_run"
    shutil.copytree(folder, own)
    assert RunFolder(own).check().id == "my_best_run"
    shutil.copytree(folder, folder.with_name("0123456789ab"))
    code, _, said = cycada("evaluate", folder.with_name("0123456789ab"), "--results", copied[1])
    assert (code, f"found the files of the run {folder.name}" in said) == (2, True), said


def test_a_file_of_weights_is_held_against_its_run(copied):
    folder = copied[0]["source"]
    start, digits = f"{folder}/weights.safetensors#f_t", [str(k) for k in range(10)]
    assert check_file_start(start, "f_s", digits, "init.f_s") == []
    (warning,) = check_file_start(start, "f_s", [*digits[1:], "0"], "init.f_s")
    assert warning.startswith(f"init.f_s: the classes of {folder} are 0, 1,")
    assert check_file_start(start, "g_st", digits[:2], "init.g_st") == []  # it has no classes
    flip(folder / "weights.safetensors")
    with pytest.raises(CycadaError, match=r"weights\.safetensors \(other bytes\)"):
        check_file_start(start, "f_s", digits, "init.f_s")
    assert check_file_start("other/weights.safetensors#f_t", "f_s", digits, "init.f_s") == []


def test_verify_finds_another_seed_in_the_config(copied):
    folders, results = copied
    folder = RunFolder(folders["source"])
    config, stage = folder.read_config()
    folder.write_config(config | {"seed": 5}, stage)
    folder.finish()
    found = verify(folder.path, results)
    assert [what for what, right, _ in found.checks if right is False] == ["id"]


def test_evaluate_names_a_stage_that_its_config_does_not_have(copied):
    folder = RunFolder(copied[0]["source"])
    folder.write_config(folder.read_config()[0], "zzz")
    folder.finish()
    with pytest.raises(CycadaError, match="'zzz'"):
        evaluate_run(folder.path)
    assert find_run(folder.path).path == folder.path


PLUGIN = (
    "from cycada.losses import losses\nfrom {helper} import scale\n\n\n"
    "@losses('{name}')\ndef it(fake_t, real_t):\n    return scale(fake_t.mean())\n"
)


def used(losses_of_cycle):
    """What each stage uses of plug-ins, as a process that starts now would find it."""
    for name in [m for m in sys.modules if m.split(".")[0] in ("my_losses", "my_helper", "pack")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    stages = {**ONE, "cycle": {"method": "cyclegan", "losses": losses_of_cycle}}
    with losses.temporary():
        config = tiny_config(stages, plugins=["my_losses", "pack.more"])
        return [plugin_sources(config, p) for p in plan(config)]


def test_an_edited_plugin_changes_the_ids_of_the_stages_that_use_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_losses.py").write_text(PLUGIN.format(helper="my_helper", name="mine"))
    (tmp_path / "my_helper.py").write_text("def scale(x):\n    return x\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "more.py").write_text(PLUGIN.format(helper=".deep", name="theirs"))
    (tmp_path / "pack" / "deep.py").write_text("def scale(x):\n    return x\n")
    assert used({}) == [{}, {}]
    _, first = used({"mine": 1, "theirs": 1})
    assert set(first) == {"loss mine", "loss theirs"}
    for edited, changes in (
        ("my_losses.py", "mine"),
        ("my_helper.py", "mine"),
        ("pack/more.py", "theirs"),
        ("pack/deep.py", "theirs"),
    ):
        before = (tmp_path / edited).read_text()
        (tmp_path / edited).write_text(before + "\nMORE = 1\n")
        source, now = used({"mine": 1, "theirs": 1})
        assert source == {}
        assert [name for name in now if now[name] != first[name]] == [f"loss {changes}"], edited
        (tmp_path / edited).write_text(before)
    assert used({"mine": 1, "theirs": 1})[1] == first


def test_the_toolkit_itself_is_no_plugin():
    from cycada.data import domains, segmentation_domains
    from cycada.methods import methods
    from cycada.networks import NETWORKS

    for registry in (losses, methods, domains, segmentation_domains, *NETWORKS.values()):
        assert [name for name in registry if registry.source(name)] == []
