"""A run that is killed at any moment, any number of times, ends as if nobody had touched it: byte for byte,
point for point."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.experiments import CYCADA, tiny_config, write_config
from helpers.paths import TESTS
from helpers.photos import outcome, photos
from helpers.streets import STREETS, once_stages
from mlflow import MlflowClient

from cycada.core import files
from cycada.inference.folders import translate
from cycada.report.report import report
from cycada.runs.reuse import load_stage
from cycada.runs.run import run
from cycada.runs.verify import every_run, verify
from cycada.storage.store import RunFolder
from cycada.tracking.metrics import tracked_row

pytestmark = [
    pytest.mark.trains,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of MLflow
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

HERE = TESTS
ONCE = {name: once_stages()[name] for name in ("source", "pixel", "task")}
TRACKED = {"tracking": {"kind": "mlflow"}}


def killed(seed, most, kills, *words):
    """The command line, killed at events drawn from the seed, until it is done -> the events."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
        "PYTHONWARNINGS": "ignore",
    }
    command = [
        sys.executable,
        str(HERE / "helpers" / "killer.py"),
        str(seed),
        str(most),
        str(kills),
        *map(str, words),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] == 0, (found, done.stderr[-2000:])
    return found["died"]


def assert_untouched(results, expected):
    ours = outcome(results)
    assert set(ours) == set(expected)
    for identity, (digests, rows) in expected.items():
        assert ours[identity][1] == rows, identity
        assert ours[identity][0] == digests, identity
    assert not [p for p in Path(results).rglob("*.tmp") if "artifacts" not in p.parts]
    assert all(verify(path, results, score=False).sound for path in every_run(Path(results)))


def tracked_rows(folder):
    """The rows of a run folder with their steps, as a tracker gets them."""
    _, plan = load_stage(folder)
    classes = [str(name) for name in folder.arrays("analysis.npz")["classes"]]
    return [(row["step"], tracked_row(row, plan, classes)) for row in folder.metrics()]


def assert_mirrored_once(results, name, stages, seeds=1):
    """One run a stage and a seed, one point a metric and step, and as many as the folders have."""
    client = MlflowClient(f"sqlite:///{Path(results).resolve() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id])
    by_stage = Counter(r.data.tags["cycada.stage_id"] for r in runs if "cycada.stage_id" in r.data.tags)
    assert by_stage == Counter(stages)
    assert len(runs) == len(stages) + seeds
    for r in runs:
        assert r.info.status == "FINISHED"
        for key in r.data.metrics:
            steps = [point.step for point in client.get_metric_history(r.info.run_id, key)]
            assert len(steps) == len(set(steps)), (r.info.run_name, key, steps)
            if "cycada.stage_id" in r.data.tags and not key.startswith("final/"):
                rows = tracked_rows(RunFolder(Path(results) / "runs" / r.data.tags["cycada.stage_id"]))
                assert sorted(steps) == [step for step, row in rows if key in row], (r.info.run_name, key)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Results on scenes that nobody disturbed."""
    results = tmp_path_factory.mktemp("scenes")
    run(tiny_config(ONCE, results=str(results), **STREETS))
    return results


def pixel_of(results):
    return next(
        path for path in every_run(results) if RunFolder(path).read_json("manifest.json")["stage"] == "pixel"
    )


def test_a_run_killed_at_drawn_events(tmp_path, finished):
    config = write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path / "results"), threads=1)
    died = killed(0, 60, 3, "run", config)
    assert len(died) == 3
    assert_untouched(tmp_path / "results", outcome(finished[1]))


@pytest.mark.slow
def test_a_hundred_kills_of_runs_with_mlflow(tmp_path, finished):
    """Over all stages, saving, evaluation, and the calls to MLflow."""
    expected, died = outcome(finished[1]), []
    for seed in range(20):
        results = tmp_path / str(seed)
        config = write_config(tmp_path / f"{seed}.yaml", CYCADA, results=str(results), threads=1, **TRACKED)
        died += killed(seed, 80 if seed % 2 else 25, 12, "run", config)
        assert_untouched(results, expected)
        assert_mirrored_once(results, "tiny", [path.name for path in every_run(results)])
        if len(died) >= 100:
            break
    print(len(died), Counter(died))
    assert len(died) >= 100


@pytest.mark.slow
def test_kills_while_scenes_are_translated_once(tmp_path, scenes):
    expected, died = outcome(scenes), []
    for seed in range(3):
        results = tmp_path / str(seed)
        config = write_config(tmp_path / f"{seed}.yaml", ONCE, results=str(results), threads=1, **STREETS)
        died += killed(100 + seed, 50, 10, "run", config)
        assert_untouched(results, expected)
        ours, theirs = (
            {p.name: p.read_bytes() for p in (r / "translated").rglob("*.png")} for r in (results, scenes)
        )
        assert ours == theirs
    print(len(died), Counter(died))


@pytest.mark.slow
def test_kills_while_pictures_are_translated_and_a_report_is_written(tmp_path, finished):
    pixel, source = pixel_of(finished[1]), photos(tmp_path / "photos")
    translate(pixel, source, tmp_path / "whole", results=finished[1])
    died = killed(7, 8, 10, "translate", pixel, source, tmp_path / "out")
    ours, theirs = (
        {p.name: p.read_bytes() for p in folder.iterdir()}
        for folder in (tmp_path / "out", tmp_path / "whole")
    )
    assert ours == theirs
    written = report(["tiny"], finished[1], tmp_path / "report").folder
    expected = {p.relative_to(written): p.read_bytes() for p in written.rglob("*") if p.is_file()}
    died += killed(8, 30, 10, "report", "tiny", "--results", finished[1], "--out", tmp_path / "killed")
    found = {
        p.relative_to(tmp_path / "killed"): p.read_bytes()
        for p in (tmp_path / "killed").rglob("*")
        if p.is_file()
    }
    assert found == expected
    print(len(died), Counter(died))


@pytest.mark.slow
def test_kills_of_the_workers_of_a_sweep_and_of_its_parent(tmp_path, finished):
    """Several a turn, while stages train and while they are mirrored into MLflow; the same command then goes
    on."""
    write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path / "results"), threads=1, **TRACKED)
    (tmp_path / "s.yaml").write_text("name: s\nexperiment: tiny.yaml\nseeds: [0, 1, 2, 3]\n")
    drawn, died = random.Random(0), Counter()
    for turn in range(12):
        some, where = (1, "*mlflow*") if turn > 8 else (drawn.randint(2, 5), "runs/**/*")
        killed_sweep(tmp_path, drawn, some, where, died)
    assert killed_sweep(tmp_path, drawn, 0, "", died) == 0, (tmp_path / "log").read_text()[-2000:]
    print(died)
    assert sum(died.values()) >= 25
    results = tmp_path / "results"
    expected, ours = outcome(finished[1]), outcome(results)
    assert {identity: found for identity, found in ours.items() if identity in expected} == expected
    assert all(verify(path, results, score=False).sound for path in every_run(results))
    cells = json.loads((results / "sweeps" / "s.json").read_text())["cells"]
    stages = [stage["id"] for cell in cells for stage in cell["stages"]]
    assert_mirrored_once(results, "s", stages, len(cells))


def killed_sweep(folder, drawn, kills, where, died):
    """One start of the sweep.

    Soon after something new was written, a worker is killed; the last kill is the parent's. -> exit code.
    """
    command = [sys.executable, "-m", "cycada", "sweep", "s.yaml", "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with (folder / "log").open("w") as log:
        parent = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    while kills and parent.poll() is None:
        before = written(folder / "results", where)
        while parent.poll() is None and written(folder / "results", where) == before:
            time.sleep(0.02)
        time.sleep(drawn.uniform(0, 1))
        below, kills = workers(parent.pid), kills - 1
        if kills and below:
            with suppress(ProcessLookupError):
                os.kill(drawn.choice(below), signal.SIGKILL)
                died["worker"] += 1
        elif not kills and parent.poll() is None:
            parent.kill()
            died["parent"] += 1
            assert_end(below, seconds=60)  # on a busy machine, where some may only have been started
    return parent.wait(timeout=600)


def written(results, where):
    """Something that is another as soon as anything is written."""
    found = []
    for path in results.glob(where):
        with suppress(OSError):
            found.append((path, path.stat().st_mtime_ns, path.stat().st_size))
    return sorted(found)


def assert_end(pids, seconds):
    """Processes whose parent was killed end by themselves."""
    until = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left, f"still there {seconds} s after their parent's end"


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def workers(parent):
    """Processes that a parent has started, and which do not only watch over others."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rsplit(")", 1)[1].split()
            line = path.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(words[1]) == parent and "resource_tracker" not in line:
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(("busy", "seconds"), [(True, 10), (False, 60)])
def test_the_workers_of_a_sweep_end_soon_after_their_parent_was_killed(tmp_path, busy, seconds):
    """In the middle of a stage; and just after they were started, where they end as soon as they have read
    what they are."""
    script = (
        "import time\nfrom functools import partial\nfrom pathlib import Path\n"
        "from cycada.sweeps.launchers import ProcessPool\n"
        "place = ProcessPool(2)\nfor i in range(2):\n    place.submit(partial(Path(f'{i}').touch), 'mark')\n"
        "    place.submit(partial(time.sleep, 60), 'busy')\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(HERE.parent)}
    ) as parent:
        try:
            until = time.monotonic() + 60
            while len(below := workers(parent.pid)) < 2 or (busy and not list(tmp_path.iterdir())):
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            parent.kill()
    assert_end(below, seconds)


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead, living = 2**22 + 1, os.getppid()
    names = {n: f".{n}.cycada-{files.HOST}-{n}.tmp" for n in (dead, living)}
    theirs = [".other.tmp", ".x.cycada-elsewhere-1.tmp", f".vim.{dead}.tmp", "notes.tmp"]
    for name in (*names.values(), *theirs):
        (tmp_path / name).write_text("half")
    files.prepare_folder(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {names[living], *theirs}
    files.prepare_folder(
        tmp_path, alone=True
    )  # and what earlier versions, and machines that cannot hold the lock, left
    assert {p.name for p in tmp_path.iterdir()} == {names[living], ".other.tmp", "notes.tmp"}


def test_what_fails_to_be_written_leaves_nothing_and_the_old_file_stays(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with files.write_atomically(tmp_path / "a") as part:
            part.write_text("ne")
            raise OSError(28, "the disk is full", str(part))

    with pytest.raises(OSError, match="full") as caught:
        fail()
    assert caught.value.filename == str(tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"
