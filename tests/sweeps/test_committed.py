"""Committed reports: made from records alone, current until a setting or a record changes, and resumed."""

import json
import shutil

import pytest
import yaml
from helpers.experiments import write_config
from helpers.paths import ROOT

from cycada.core.errors import Absent, CycadaError
from cycada.core.progress import Progress
from cycada.runs.records import size_of
from cycada.storage.store import RunFolder
from cycada.sweeps.committed import CommittedReport, read_sources
from cycada.sweeps.launchers import InProcess
from experiments import results as runner

STEPS = {"defaults": {"batch": 8, "steps": 20}, "logging": {"report_every": 5, "evaluate_every": 10}}
STAGES = {"source": {"method": "source_only"}, "dann": {"method": "dann", "init": {"f_t": "source.f_t"}}}
SWEEP = {
    "name": "tiny_sweep",
    "experiment": "tiny.yaml",
    "seeds": [0, 1],
    "settled_on": [0],
    "base": "DANN",
    "variants": {"slow": {"set": {"stages": {"dann": {"optimizer": {"lr": 1e-5}}}}}},
}


def write_files(folder):
    write_config(folder / "tiny.yaml", STAGES, **STEPS)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    sources = {
        "swept": {"sweep": str(folder / "sweep.yaml")},
        "seeds": {"experiment": str(folder / "tiny.yaml"), "seeds": [1]},
    }
    (folder / "results").mkdir()
    (folder / "results" / "reports.yaml").write_text(yaml.safe_dump(sources))


def find(folder, name="swept", *settings):
    sources = read_sources(folder / "results" / "reports.yaml")
    return CommittedReport.find(name, sources[name], folder / "results", settings)


def check(folder, capsys, *words):
    """The exit code and the lines of --check."""
    with pytest.raises(SystemExit) as ended:
        runner.main([*words, "--check", "--reports", str(folder / "results" / "reports.yaml")])
    return ended.value.code, capsys.readouterr().out.splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both reports, made by the runner; without charts and run folders."""
    folder = tmp_path_factory.mktemp("made")
    write_files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cycada.report.report.sections", lambda *_: [])
        patch.setattr(runner, "ProcessPool", lambda *_, **__: InProcess())  # which has tests of its own
        runner.main(["--jobs", "1", "--reports", str(folder / "results" / "reports.yaml")])
    runs = {path.name for path in (folder / "results" / "runs").iterdir() if path.is_dir()}
    for gone in ("runs", "sweeps", "experiments", "cache"):
        shutil.rmtree(folder / "results" / gone)
    return folder, runs


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the folder, whose files name the copy."""
    folder = shutil.copytree(made[0], tmp_path / "copy")
    file = folder / "results" / "reports.yaml"
    file.write_text(file.read_text().replace(str(made[0]), str(folder)))
    return folder


def test_what_was_never_made_is_stale(tmp_path, capsys):
    write_files(tmp_path)
    code, printed = check(tmp_path, capsys)
    assert code == 1
    assert [line.partition(":")[0] for line in printed] == ["seeds", "swept"]
    assert "2 of 2 cells have no sound record of today's settings, first DANN, seed 1" in printed[1]
    assert "3 stages to train, for how long is not known, with 2 at a time" in printed[1]
    assert not [path for path in (tmp_path / "results").iterdir() if path.name in ("runs", "reports")]


def test_every_committed_report_is_listed():
    listed = read_sources(ROOT / "results" / "reports.yaml")
    assert set(listed) == {path.parent.name for path in (ROOT / "results" / "reports").glob("*/table.json")}
    assert all((ROOT / source.file).is_file() for source in listed.values())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"sweep": "a.yaml", "experiment": "b.yaml"}, "either a `sweep` or an `experiment`"),
        ({}, "either a `sweep` or an `experiment`"),
        ({"experiment": "b.yaml"}, "expected `seeds`"),
        ({"sweeps": "a.yaml"}, "unknown key 'sweeps'.*'sweep'"),
    ],
)
def test_mistakes_in_the_list_are_answered(source, message, tmp_path):
    (tmp_path / "reports.yaml").write_text(yaml.safe_dump({"mine": source}))
    with pytest.raises(CycadaError, match=message):
        read_sources(tmp_path / "reports.yaml")


@pytest.mark.trains
def test_current_reports_are_rewritten_on_demand_alone(copied, monkeypatch):
    monkeypatch.setattr("cycada.report.report.sections", lambda *_: [])
    reports = copied / "results" / "reports"
    for path in reports.glob("*/table.md"):
        path.write_text("as it was")
    words = ["swept", "--reports", str(copied / "results" / "reports.yaml")]
    runner.main(words)
    assert (reports / "swept" / "table.md").read_text() == "as it was"
    runner.main([*words, "--rewrite"])
    assert "DANN" in (reports / "swept" / "table.md").read_text()
    assert (reports / "seeds" / "table.md").read_text() == "as it was"


@pytest.mark.trains
def test_made_reports_are_current_without_run_folders(made, capsys):
    folder, runs = made
    assert check(folder, capsys) == (0, ["seeds: current", "swept: current"])
    records = [RunFolder(path) for path in (folder / "results" / "records" / "runs").iterdir()]
    assert {record.id for record in records} == runs, "each stage once; those of seed 0 were not trained"
    assert len(runs) == 1 + 2
    assert max(map(size_of, records)) < 100_000
    table = json.loads((folder / "results" / "reports" / "swept" / "table.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["source only", "DANN", "slow"]
    assert any("Left out of every row" in note and "seed 0" in note for note in table["missing"])
    texts = [
        path for path in (folder / "results" / "records").rglob("*") if path.suffix in (".json", ".yaml")
    ]
    assert not [path for path in texts if str(folder) in path.read_text()]


@pytest.mark.trains
def test_a_changed_config_makes_a_report_stale(copied, capsys):
    code, printed = check(copied, capsys, "--set", "stages.dann.steps=21")
    assert code == 1
    assert "1 of 1 cells have no sound record" in printed[0]
    (copied / "sweep.yaml").write_text(
        yaml.safe_dump({**SWEEP, "variants": {"renamed": SWEEP["variants"]["slow"]}})
    )
    code, printed = check(copied, capsys, "swept")
    assert (code, printed) == (1, ["swept: the table lacks the rows renamed; nothing is left to train"])


@pytest.mark.trains
def test_a_table_of_other_runs_is_stale(copied, capsys):
    file = copied / "results" / "reports" / "swept" / "table.json"
    table = json.loads(file.read_text())
    table["provenance"]["commits"] = ["0" * 40]
    file.write_text(json.dumps(table))
    assert "of other commits than the records" in check(copied, capsys, "swept")[1][0]
    table["rows"][1]["stages"]["1"]["dann"] = "0" * 12
    file.write_text(json.dumps(table))
    (line,) = check(copied, capsys, "swept")[1]
    assert "the table shows 1 stages of other settings: 000000000000; the table lacks 1 stages" in line
    file.unlink()
    assert "table.json is not there" in check(copied, capsys, "swept")[1][0]


@pytest.mark.trains
def test_only_cells_without_a_sound_record_are_trained_again(copied):
    report = find(copied)
    cell = report.planned.reported_cells[-1]
    assert (cell.variant, cell.seed) == ("slow", 1)
    file = report.records / "runs" / cell.ids["dann"] / "scores.json"
    before = json.loads(file.read_text())
    file.write_text("{}")
    report = find(copied)
    assert [(c.variant, c.seed) for c in report.unrecorded] == [("slow", 1)]
    assert "2 stages to train, about " in report.describe(2), "records say how long a stage takes"
    assert report.train(InProcess(), Progress(quiet=True)) == []
    assert {path.parent.name for path in (copied / "results" / "runs").glob("*/done")} == set(
        cell.ids.values()
    )
    assert json.loads(file.read_text()) == before, "the same stage, trained again"
    assert find(copied).stale == []


@pytest.mark.trains
def test_a_failed_cell_is_said_and_the_report_stays(copied):
    report = find(copied, "seeds")
    damaged = report.planned.cells[0].ids["source"]
    shutil.rmtree(report.records / "runs" / damaged)
    (copied / "results" / "runs" / damaged).mkdir(parents=True)
    done = {"finished": "now", "files": {"weights.safetensors": "0"}}
    (copied / "results" / "runs" / damaged / "done").write_text(json.dumps(done))
    table = (copied / "results" / "reports" / "seeds" / "table.json").read_bytes()
    with pytest.raises(CycadaError, match=r"seeds: tiny, seed 1: .*weights.safetensors \(gone\)"):
        runner.main(["seeds", "--reports", str(copied / "results" / "reports.yaml")])
    assert (copied / "results" / "reports" / "seeds" / "table.json").read_bytes() == table


@pytest.mark.trains
def test_without_its_data_a_report_is_checked_by_the_fingerprint_of_its_records(copied, monkeypatch):
    def absent(*_):
        raise Absent("optdigits is not here.")

    monkeypatch.setattr("cycada.sweeps.plan.load_datasets", absent)
    assert find(copied).stale == []
    assert find(copied, "seeds").stale == []
    shutil.rmtree(copied / "results" / "records")
    shutil.rmtree(
        copied / "results" / "cache", ignore_errors=True
    )  # what planning remembers of data that were here
    assert find(copied).stale == [
        "cannot be checked: its data are not here, and no record knows them. optdigits is not here."
    ]
