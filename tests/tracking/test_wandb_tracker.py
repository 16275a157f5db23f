"""Offline runs of Weights & Biases, written and read by wandb itself."""

import json
import struct

import numpy as np
import pytest
from PIL import Image

from cycada.tracking.tracker import Details

pytest.importorskip("wandb")
pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _at_home(tmp_path, monkeypatch):
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_MODE", raising=False)


def records(folder):
    """The records of an offline run's file, which is a log of LevelDB behind 7 bytes: blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    data, at, parts, found = file.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no header fits into the rest of the block
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(parts))
            parts = b""
    return found


def name_of(folder):
    return next(r.run.display_name for r in records(folder) if r.WhichOneof("record_type") == "run")


def history(folder):
    rows = []
    for record in records(folder):
        if record.WhichOneof("record_type") == "history":
            rows.append(
                {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
            )
    return rows


def test_wandb_keeps_every_step_once_offline(tmp_path):
    from cycada.tracking.wandb_tracker import WandbTracker

    grid = tmp_path / "grid_0000002.png"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(grid)
    (tmp_path / "scores.json").write_text("{}")
    it = WandbTracker(None, tmp_path)
    details = Details("", {"seed": 0}, "it")
    it.begin("group/it", 0, "abc", {"git": "1"}, details)
    it.begin_stage("source", "s1", {"losses.task.weight": 1.0}, {})
    it.log(1, {"loss": 1.0})
    it.end({}, failed=True)
    for _ in range(2):
        it.begin("group/it", 0, "abc", {"git": "1"}, details)
        it.begin_stage("source", "s1", {"losses.task.weight": 1.0}, {})
        for step in (1, 2):
            it.log(step, {"loss": 1.0 / step})
        it.end_stage([grid, tmp_path / "scores.json"], {"target/accuracy": 0.5})
        it.end({"final/target/accuracy": 0.5}, files={"source": [grid]})
    runs = {name_of(folder): folder for folder in (tmp_path / "wandb").glob("offline-run-*")}
    assert set(runs) == {"source, group/it seed 0", "group/it seed 0"}
    stage = runs["source, group/it seed 0"]
    assert [row["loss"] for row in history(stage) if "loss" in row] == [1.0, 0.5]
    assert (stage / "files" / "scores.json").exists()
    assert (runs["group/it seed 0"] / "files/source/grid_0000002.png").exists()
    it.begin("group/it", 0, "abc", {"git": "1"}, details)
    it.end({"final/target/accuracy": 0.75})  # of other data
    (experiment,) = (f for f in (tmp_path / "wandb").glob("offline-run-*") if name_of(f) == "group/it seed 0")
    assert "0.75" in {
        item.value_json
        for record in records(experiment)
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }


def test_wandb_measured_adds_to_the_run_of_the_stage(tmp_path):
    from cycada.tracking.wandb_tracker import WandbTracker

    file = tmp_path / "quality.json"
    file.write_text("{}")
    it = WandbTracker(None, tmp_path)
    it.begin("it", 0, "abc", {})
    it.begin_stage("source", "s1", {}, {})
    it.end_stage([], {})
    for _ in range(2):  # the second time it holds them
        it.measured("s1", file, {"quality/fcn/st/miou": 0.25})
    folders = list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert len({folder.name.rpartition("-")[2] for folder in folders}) == 1, "one run, in as many parts"
    assert any((folder / "files" / "quality.json").exists() for folder in folders)
