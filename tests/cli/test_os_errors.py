"""Places that cannot be written, or are not what they should be: a line with the path and what to do, exit
code 2, no traceback."""

import errno
import fcntl
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import yaml
from helpers.experiments import CYCADA, write_config
from helpers.photos import outcome, photos
from helpers.study_images import write_scenes

from cycada.core.lock import NO_LOCKS, StillLocked, locked


def refused(answer, *named):
    code, _, said = answer
    line = said.strip().splitlines()[-1]
    assert code == 2, said
    assert "Traceback" not in said
    assert all(str(name) in line for name in named), line
    return line


@pytest.fixture
def things(tmp_path, finished):
    """What commands are given, by name. `file` is a file that stands where a folder is expected."""
    results = finished[1]
    runs = {s.name: s.folder for s in finished[0].stages}
    (tmp_path / "file").write_text("no folder")
    config = write_config(tmp_path / "tiny.yaml", CYCADA)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"name": "s", "experiment": str(config), "seeds": [0]}))
    real, fakes = write_scenes(tmp_path / "scenes")
    named = {"results": results, "config": config, "sweep": tmp_path / "s.yaml", "file": tmp_path / "file"}
    return {**runs, **named, "photos": photos(tmp_path / "photos"), "real": real, "fakes": fakes["blurred"]}


BUILD = "--trials 6 --practice 2 --size 32 --real {real} --method A={fakes}"
WRITING = {
    "run": "run {config} results={place}",
    "sweep": "sweep {sweep} results={place}",
    "translate": "translate {pixel} {photos} {place}",
    "translate one": "translate {pixel} {photos}/0.png {place}/0.png",
    "export": "export {pixel} {place}",
    "report": "report tiny --results {results} --out {place}",
    "study build": "study build {place}/page.html " + BUILD,
    "style": "style {photos}/0.png {photos}/1.png {place}/out.png --run {source} --steps 1",
    "data check": "data check {config} --sheet {place}/sheet.png",
}


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("command", WRITING)
def test_a_file_where_a_folder_is_expected_is_named(command, below, things, cycada):
    place = f"{things['file']}{below}"
    refused(cycada(*WRITING[command].format(**things, place=place).split()), things["file"])
    assert things["file"].read_text() == "no folder"


def test_a_file_where_answers_should_go_is_named(things, cycada, tmp_path):
    page = tmp_path / "page.html"
    assert cycada(*f"study build {page} {BUILD}".format(**things).split())[0] == 0
    refused(cycada("study", "serve", page, "--port", "0", "--out", things["file"]), things["file"])


@pytest.mark.parametrize("name", ["runs", "experiments", "runs/ID", "runs/ID/images"])
def test_a_file_within_the_results_where_a_folder_is_expected_is_named(name, things, cycada, tmp_path):
    place = tmp_path / "results" / name.replace("ID", things["source"].name)
    place.parent.mkdir(parents=True)
    place.write_text("no folder")
    refused(cycada("run", things["config"], f"results={tmp_path / 'results'}"), place)


@pytest.mark.parametrize("name", ["ID.lock", "ID/metrics.jsonl", "ID/manifest.json", "ID/done"])
def test_a_folder_where_a_file_is_expected_is_named(name, things, cycada, tmp_path):
    place = tmp_path / "results" / "runs" / name.replace("ID", things["source"].name)
    place.mkdir(parents=True)
    refused(cycada("run", things["config"], f"results={tmp_path / 'results'}"), place)


@contextmanager
def files_of_at_most(size):
    """As on a full disk, writing fails within this process: the kernel lets no file grow beyond so many
    bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_goes_on_when_there_is_room_again(things, cycada, tmp_path, finished):
    results, named = tmp_path / "results", set()
    for size in (0, 1_000, 4_000, 16_000):
        with files_of_at_most(size):
            answer = cycada("run", things["config"], f"results={results}")
        named.add(refused(answer, results, "same command continues").split(": ")[1])
        assert not list(results.rglob("*.tmp"))
    assert len(named) > 1, named
    assert cycada("run", things["config"], f"results={results}")[0] == 0
    expected, ours = outcome(finished[1]), outcome(results)
    assert ours == {identity: expected[identity] for identity in ours}


@pytest.mark.parametrize(
    "command", [name for name in WRITING if name not in ("run", "sweep", "translate", "style")]
)
def test_what_finds_no_room_leaves_no_half_file(command, things, cycada, tmp_path):
    place = tmp_path / "place"
    with files_of_at_most(100):
        refused(cycada(*WRITING[command].format(**things, place=place).split()), place)
    assert not [path for path in place.rglob("*") if path.is_file() and path.stat().st_size >= 100]
    assert not list(place.rglob(".*"))
    assert cycada(*WRITING[command].format(**things, place=place).split())[0] == 0


@contextmanager
def read_only(folder):
    """A folder that can only be read: mounted so where this is root, for whom modes do not count."""
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    mounted = [["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder]]
    try:
        if not shutil.which("mount") or any(
            subprocess.run(words, capture_output=True, check=False).returncode for words in mounted
        ):
            pytest.skip("root may not mount here")
        yield
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)


def test_finished_results_that_can_only_be_read_are_read(things, cycada, tmp_path, finished):
    results = tmp_path / "results"
    shutil.copytree(finished[1], results)
    things = things | {name: results / "runs" / things[name].name for name in CYCADA} | {"results": results}
    reading = [
        "verify {source} {pixel}",
        "evaluate {source}",
        "run {config} results={results}",
        "sweep {sweep} results={results}",
        "quality {pixel} --scorer {source} --results {results}",
        "translate {pixel} {photos} {place}/t",
        "export {pixel} {place}/e",
        "report tiny --results {results} --out {place}/r",
    ]
    with read_only(results):
        for command in reading:
            code, _, said = cycada(*command.format(**things, place=tmp_path / "place").split())
            assert code == 0, (command, said)
        refused(cycada("report", "tiny", "--results", results), results)
        refused(cycada("run", things["config"], f"results={results}", "seed=5"), results)


def test_a_pipe_among_pictures_keeps_nobody_waiting(things, cycada, tmp_path):
    for folder in (things["photos"], things["real"]):
        os.mkfifo(folder / "pipe.png")
    words = things | {"place": tmp_path / "place"}
    for command in ("translate", "study build"):
        assert cycada(*WRITING[command].format(**words).split())[0] == 0
    refused(cycada(*"translate {pixel} {photos}/pipe.png {place}".format(**words).split()), "pipe.png")


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("number", [errno.ENOSYS, *sorted(NO_LOCKS - {errno.ENOSYS})])
def test_where_the_file_system_has_no_locks_a_file_that_is_there_is_one(number, tmp_path, monkeypatch):
    def flock(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    waits, second = [], locked(tmp_path / "it.lock", lambda: waits.append("second"), limit=0.1)
    with (
        locked(tmp_path / "it.lock", lambda: waits.append("first")),
        pytest.raises(StillLocked, match=r"it\.lock"),
        second,
    ):
        pass
    with locked(tmp_path / "it.lock", lambda: waits.append("third")):
        pass
    assert waits == ["second"]
