"""Records of finished stages: small, enough for a report, and never taken for a run folder."""

import json
import shutil

import numpy as np
import pytest
import yaml
from helpers.experiments import CYCADA, tiny_config
from helpers.synthetic_runs import make_run, make_sweep

from cycada.core.errors import CycadaError
from cycada.report.gather import gather
from cycada.report.provenance import as_json
from cycada.report.report import report
from cycada.report.semantics import distances
from cycada.report.table import lines
from cycada.runs.records import FEATURES, record, without_folders
from cycada.runs.reuse import find_run
from cycada.runs.run import run
from cycada.storage.store import RunFolder

STREETS = ({"name": "streets", "look": "game"}, {"name": "streets", "look": "photo"})


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep with its records: (results, what was recorded)."""
    results = tmp_path_factory.mktemp("results")
    make_sweep(results, {"CyCADA": 0.9, "- cycle": 0.6}, seeds=(0, 1))
    return results, record(["made_ablation"], results)


def table_of(results, what="made_ablation"):
    data = gather([what], results)
    return as_json(data, lines(data), "cycada report")


@pytest.fixture(scope="module")
def expected(swept):
    """The table of the sweep's run folders."""
    return table_of(swept[0])


def copy_records(results, folder):
    return shutil.copytree(results / "records", folder / "records")


def test_one_name_may_stand_alone(tmp_path):
    for ask in (record, report):
        with pytest.raises(CycadaError, match="'nowhere'"):
            ask("nowhere", results=tmp_path)


def test_records_are_small_and_lie_like_run_folders(swept):
    results, records = swept
    assert len(records.written) == 2 * (1 + 2 * 3), "the shared source stage once for each seed"
    assert {path.parent.name for path in (results / "records" / "runs").glob("*/record.json")} == {
        path.parent.name for path in (results / "runs").glob("*/done")
    }
    assert records.bytes / len(records.written) < 30_000
    assert not list((results / "records").rglob("*.safetensors"))


def test_a_table_of_records_is_that_of_run_folders(swept, expected):
    results, _ = swept
    assert table_of(results / "records") == expected


def test_a_report_falls_back_to_records_and_says_so(swept, expected, tmp_path):
    results, _ = swept
    assert gather(["made_ablation"], results).read_from_records == ""
    some = tmp_path / "some"
    shutil.copytree(results, some)
    for gone in sorted((some / "runs").iterdir())[:3]:
        shutil.rmtree(gone)
    assert gather(["made_ablation"], some).read_from_records.startswith("3 of 14 stages are read from their")
    copy_records(results, tmp_path / "none")
    assert table_of(tmp_path / "none") == expected
    assert gather(["made_ablation"], tmp_path / "none").read_from_records.startswith("14 of 14")
    one = next(row for row in expected["rows"] if row["name"] == "CyCADA")["stages"]["0"]["feature"]
    chain = gather([one], tmp_path / "none").rows[0].outcomes[0].chain
    assert [r.stage for r in chain] == ["source", "pixel", "task", "feature"]


def test_scenes_keep_the_counts_of_every_image(tmp_path):
    make_run(tmp_path, "aaaaaa", "source", scenes=True, k=5, n=20, pair=STREETS)
    make_run(tmp_path, "bbbbbb", "pixel", parents={"f_s": "aaaaaa"}, scenes=True, k=5, n=20, pair=STREETS)
    record(["bbbbbb"], tmp_path)
    assert table_of(tmp_path / "records", "aaaaaa") == table_of(tmp_path, "aaaaaa")
    images = {path.name for path in (tmp_path / "records" / "runs" / "bbbbbb" / "images").iterdir()}
    assert images == {"answers_0000300.png", "grid_0000300.png"}, "drawn streets are our own"


def test_pictures_of_images_of_others_are_left_out(tmp_path):
    make_run(tmp_path, "aaaaaa", "pixel", mistakes=3)
    record(["aaaaaa"], tmp_path)
    folder = tmp_path / "records" / "runs" / "aaaaaa"
    assert list((folder / "images").iterdir()) == []
    about = json.loads((folder / "record.json").read_text())
    assert {"images/grid_0000300.png", "images/mistakes_target.png"} <= set(about["original"])
    chosen = gather(["aaaaaa"], tmp_path / "records").rows[0].outcomes[0].translation
    assert (chosen.id, chosen.grid, chosen.grid_width) == ("aaaaaa", None, 240)


def test_of_large_features_the_distances_are_kept(tmp_path):
    make_run(tmp_path, "aaaaaa", "task")
    file = tmp_path / "runs" / "aaaaaa" / "analysis.npz"
    rng = np.random.default_rng(0)
    features = {
        f"features_{side}": rng.normal(size=(300, 200)).astype(np.float16) for side in ("source", "target")
    }
    assert sum(value.nbytes for value in features.values()) > FEATURES
    np.savez_compressed(file, **{k: v for k, v in np.load(file).items() if "feature" not in k}, **features)
    (size,) = [r.path for r in record(["aaaaaa"], tmp_path).written]
    assert (size / "analysis.npz").stat().st_size < FEATURES / 10
    ours, theirs = (distances(gather(["aaaaaa"], folder).rows) for folder in (tmp_path / "records", tmp_path))
    assert ours[0].source_target == theirs[0].source_target is not None


def test_a_record_names_no_place_of_the_machine(tmp_path):
    make_run(tmp_path, "aaaaaa", "source", pair=({"name": "folder", "train": str(tmp_path / "mine")}, "usps"))
    run_folder = RunFolder(tmp_path / "runs" / "aaaaaa")
    experiment, stage = run_folder.read_config()
    experiment |= {"results": str(tmp_path), "tracking": {"uri": f"sqlite:///{tmp_path}/m.db"}}
    experiment["data"]["root"] = str(tmp_path / "data")
    run_folder.write_config(experiment, stage)
    manifest = run_folder.read_json("manifest.json")
    manifest["environment"]["platform"] = "Linux-host"
    run_folder.write_json("manifest.json", manifest | {"parents": {"f_s": f"{tmp_path}/w.pth#f"}})
    (written,) = record(["aaaaaa"], tmp_path).written
    texts = "".join(path.read_text() for path in written.path.iterdir() if path.suffix in (".yaml", ".json"))
    assert str(tmp_path) not in texts
    assert "Linux-host" not in texts
    assert yaml.safe_load((written.path / "config.yaml").read_text())["experiment"]["data"]["source"] == {
        "name": "folder",
        "train": "mine",
    }
    assert written.read_json("manifest.json")["parents"] == {"f_s": "w.pth#f"}


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/home/me/data", "data"),
        ("stage x: /home/me/a b/w.pth: gone", "stage x: a b/w.pth: gone"),
        ("~/data/w.pth#f", "w.pth#f"),
        ("results/runs/1", "results/runs/1"),
        ("../data", "../data"),
        ("https://host/w.pth", "https://host/w.pth"),
        ("3 / 4", "3 / 4"),
    ],
)
def test_absolute_paths_are_cut(text, short):
    assert without_folders({"a": [text]}) == {"a": [short]}


def test_a_record_is_written_once_and_again_for_another_training(swept, tmp_path):
    results, _ = swept
    again = record(["made_ablation"], results)
    assert (len(again.written), len(again.kept)) == (0, 14)
    make_run(tmp_path, "aaaaaa", "source", rate=0.5)
    (first,) = record(["aaaaaa"], tmp_path).written
    before = first.read_json("scores.json")
    shutil.rmtree(tmp_path / "runs")
    make_run(tmp_path, "aaaaaa", "source", rate=0.7)
    (second,) = record(["aaaaaa"], tmp_path).written
    assert second.read_json("scores.json") != before
    assert second.changed() == {}


def test_a_damaged_record_is_named_and_written_again(swept, tmp_path):
    results, _ = swept
    copy_records(results, tmp_path)
    file = next((tmp_path / "records" / "runs").glob("f*/scores.json"))
    file.write_text(file.read_text().replace("0.", "0.1", 1))
    with pytest.raises(
        CycadaError, match=f"{file.parent}: .*scores.json .other bytes.*write the record anew"
    ):
        gather(["made_ablation"], tmp_path)
    written = record(["made_ablation"], results, tmp_path / "records").written
    assert [folder.id for folder in written] == [file.parent.name]


def test_cells_without_run_folders_are_left_out_in_words(swept, tmp_path):
    results, _ = swept
    shutil.copytree(results / "sweeps", tmp_path / "sweeps")
    with pytest.raises(CycadaError, match=r"Nothing to record.*CyCADA, seed 0: its run folders are gone"):
        record(["made_ablation"], tmp_path)
    assert not (tmp_path / "records").exists()


def test_rows_of_losses_are_thinned_and_all_evaluations_kept(tmp_path):
    make_run(tmp_path, "aaaaaa", "source")
    run_folder = RunFolder(tmp_path / "runs" / "aaaaaa")
    for step in range(301, 2301):
        run_folder.append_metrics(step, {"loss/task": 1.23456789, "rate": 5.0})
    run_folder.append_metrics(2301, {"target/accuracy": 0.123456789, "target/class_accuracy/3": 0.5})
    (written,) = record(["aaaaaa"], tmp_path).written
    rows = written.metrics()
    assert len(rows) == 3 + 200 + 1
    assert rows[3] == {"step": 301, "loss/task": 1.2346}
    assert rows[-1] == {"step": 2301, "target/accuracy": 0.123456789}


@pytest.mark.trains
def test_a_record_is_no_run(finished, tmp_path, cycada):
    summary, results = finished
    code, out, err = cycada("record", "tiny", "--results", results, "--to", tmp_path / "records")
    assert code == 0, err
    assert "4 records written, 0 were there" in out
    task = summary.stages[-1].id
    folder = tmp_path / "records" / "runs" / task
    with pytest.raises(CycadaError, match=r"record of a finished stage.*holds no weights.safetensors"):
        find_run(folder)
    for words in (
        ["evaluate", task],
        ["predict", task, tmp_path, tmp_path / "out"],
        ["export", task, tmp_path / "o"],
    ):
        code, _, err = cycada(*words, "--results", tmp_path)
        assert (code, "holds no weights.safetensors" in err) == (2, True), words
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(CycadaError, match="Nothing is trained into it"):
        run(tiny_config(CYCADA, results=str(tmp_path / "records")))
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
