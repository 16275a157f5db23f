"""Sweeps: rows as written, stages trained once, failures set aside, interruptions gone on from, other
processes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml
from helpers.experiments import CYCADA, write_config
from helpers.killer import kill_once
from helpers.paths import ROOT

import cycada as toolkit
from cycada.core.errors import CycadaError
from cycada.report.gather import gather
from cycada.storage.store import RunFolder
from cycada.sweeps import plan as sweep_plan
from cycada.sweeps.estimate import seconds_left
from cycada.sweeps.idle import find_idle
from cycada.sweeps.launchers import InProcess, ProcessPool, Submitit
from cycada.sweeps.plan import plan_sweep
from cycada.sweeps.schema import load_sweep
from cycada.sweeps.summary import sweep_file
from cycada.sweeps.sweep import run_sweep
from cycada.sweeps.variants import slug

pytestmark = pytest.mark.trains

TWO = {"source": CYCADA["source"], "pixel": CYCADA["pixel"]}


def write_sweep(folder, stages=TWO, **keys):
    write_config(folder / "experiment.yaml", stages, results=str(folder / "results"))
    path = folder / "sweep.yaml"
    path.write_text(
        yaml.safe_dump({"name": "swept", "experiment": "experiment.yaml", **keys}, sort_keys=False)
    )
    return path


def terms(planned, variant):
    cell = next(c for c in planned.cells if c.variant == variant)
    return {t.name: t.weight for phase in cell.plans[-1].phases for t in phase.terms}


def test_every_row_is_scored_once_more_and_trained_once(tmp_path):
    path = write_sweep(
        tmp_path,
        variants={"source alone": {"stage": "source"}},
        evaluations={"target statistics": {"batch_norm": "target"}},
    )
    cells = {cell.variant: cell for cell in plan_sweep(path).cells}
    assert list(cells) == ["all", "source alone", "all, target statistics", "source alone, target statistics"]
    plain, again = cells["all"].ids["pixel"], cells["all, target statistics"].ids["pixel"]
    assert again.startswith(f"{plain}-")


@pytest.mark.parametrize(
    ("keys", "same"),
    [
        (
            {"vary": {"logging.evaluate_every": [8, 9]}},
            "all, logging.evaluate_every=8, logging.evaluate_every=9",
        ),
        ({"vary": {"networks.d_feat.width": [3]}}, "all, networks.d_feat.width=3"),
        (
            {"grid": {"stages.source.optimizer.lr": [0.1, "1e-1"]}, "base": None},
            "source.optimizer.lr=0.1, source.optimizer.lr=1e-1",
        ),
        ({"evaluations": {"again": {"flip": False}}}, "all; all, again"),
        ({"vary": {"stages.source.steps": [4, 5]}}, ""),  # 4 is what all have
    ],
)
def test_rows_that_are_the_same_runs_are_said(tmp_path, keys, same):
    path = write_sweep(tmp_path, {"source": CYCADA["source"]}, **keys)
    found = find_idle(plan_sweep(path))
    assert [sentence.partition(" are the same runs")[0] for sentence in found] == (
        [f"the rows {same}"] if same else []
    )


def test_an_option_is_idle_where_no_row_uses_it(tmp_path):
    init = {"f_s": "source.f_t", "f_t": "source.f_t"}
    losses = {"task_source": 1, "feature_gan": 1}
    adda = {"method": "adda", "init": init, "losses": losses, "options": {"gate": 0.5}}
    stages = {"source": CYCADA["source"], "feature": adda}
    drop = {"stage": "feature", "terms": ["feature_gan"]}
    assert find_idle(plan_sweep(write_sweep(tmp_path, stages, drop_one=drop))) == []  # the base has it
    off = {"set": {"stages.feature.losses.feature_gan": 0}}
    said = find_idle(plan_sweep(write_sweep(tmp_path, stages, base=None, variants={"off": off})))
    assert [sentence.partition(":")[0] for sentence in said] == ["stages.feature.options.gate"]


def test_settings_without_effect_are_said_once_with_their_rows(tmp_path):
    path = write_sweep(
        tmp_path,
        {"source": CYCADA["source"] | {"steps": 1}},
        set={"defaults.steps": 2, "stages.source.optimizer.momentum": 0.5},
        variants={"A": {"set": {"stages.source.batch": 4}}, "B": {}},
        base="all",
    )
    said = find_idle(plan_sweep(path))
    first = [sentence.partition(":")[0] for sentence in said[:2]]
    assert first == ["defaults.steps", "stages.source.optimizer.momentum"]
    assert "rows" not in said[1]


def test_a_row_without_a_stage_shows_the_last_one_that_is_no_oracle(tmp_path):
    stages = {**TWO, "oracle": {"method": "target_only"}}
    path = write_sweep(tmp_path, stages, variants={"oracle": {"stage": "oracle"}})
    assert [list(cell.ids)[-1] for cell in plan_sweep(path).cells] == ["pixel", "oracle"]
    path = write_sweep(tmp_path, {"oracle": stages["oracle"]})
    assert [list(cell.ids) for cell in plan_sweep(path).cells] == [["oracle"]]


def test_rows_of_several_pairs_are_said(tmp_path):
    path = write_sweep(tmp_path, variants={"back": {"set": {"data.target": "DOMAIN"}}})
    target = yaml.safe_load((tmp_path / "experiment.yaml").read_text())["data"]["source"]
    path.write_text(path.read_text().replace("DOMAIN", json.dumps(target)))
    (said,) = find_idle(plan_sweep(path))
    assert said.startswith("the rows are of 2 pairs of domains: ")
    assert "(back)" in said


def test_groups_without_rows_and_keys_that_are_given_twice_are_said(tmp_path):
    path = write_sweep(
        tmp_path,
        set={"stages.source.steps": 5, "stages": {"source": {"epochs": 1}, "pixel": {"batch": 4}}},
        variants={"a": {"set": {"stages.pixel.losses.cycle_s": 3, "stages.pixel.losses.cycle_s.weight": 4}}},
        grid={},
        drop_one=[],
    )
    said = find_idle(plan_sweep(path, ["threads=1", "threads=2"]))
    assert [sentence.rpartition(": ")[0] for sentence in said] == [
        "drop_one",
        "grid",
        "set: stages.source.steps=5, stages.source.epochs=1",
        "variants.a.set: stages.pixel.losses.cycle_s=3, stages.pixel.losses.cycle_s.weight=4",
        "threads=1, threads=2",
    ]


def test_an_empty_mapping_over_the_rows_of_a_used_sweep_is_said(tmp_path):
    below = write_sweep(tmp_path, vary={"stages.pixel.steps": [3]})
    above = tmp_path / "above.yaml"
    above.write_text(f"uses: {below.name}\nvary: {{}}\n")
    (said,) = find_idle(plan_sweep(above))
    assert said.startswith("vary: an empty mapping takes nothing away")


def test_rows_of_every_kind(tmp_path):
    path = write_sweep(
        tmp_path,
        drop_one={"stage": "pixel", "terms": ["cycle", ["gan", "semantic_t"]]},
        only_one={"stage": "pixel", "terms": ["gan"]},
        add_one={"stage": "pixel", "terms": {"identity": 0.5}},
        vary={"stages.pixel.losses.cycle_s": [2, 5]},
        grid={"stages.pixel.steps": [2, 3], "stages.pixel.batch": [4, 6]},
        variants={"source alone": {"stage": "source"}, "wide": {"set": {"networks": {"f": {"width": 24}}}}},
    )
    planned = plan_sweep(path)
    rows = list(dict.fromkeys(c.variant for c in planned.cells))
    assert rows == [
        "all",
        "- cycle",
        "- gan - semantic_t",
        "only gan",
        "+ identity",
        "pixel.cycle_s=2",
        "pixel.cycle_s=5",
        "pixel.steps=2, pixel.batch=4",
        "pixel.steps=2, pixel.batch=6",
        "pixel.steps=3, pixel.batch=4",
        "pixel.steps=3, pixel.batch=6",
        "source alone",
        "wide",
    ]
    everything = {
        "gan_t",
        "gan_s",
        "cycle_s",
        "cycle_t",
        "semantic_t",
        "semantic_s",
        "discriminate_t",
        "discriminate_s",
    }
    assert set(terms(planned, "all")) == everything
    assert set(terms(planned, "- cycle")) == everything - {"cycle_s", "cycle_t"}
    # nobody plays against a discriminator any more: its own terms go too
    assert set(terms(planned, "- gan - semantic_t")) == {"cycle_s", "cycle_t", "semantic_s"}
    assert set(terms(planned, "only gan")) == {"gan_t", "gan_s", "discriminate_t", "discriminate_s"}
    assert terms(planned, "+ identity")["identity_s"] == 0.5
    assert terms(planned, "pixel.cycle_s=5")["cycle_s"] == 5
    cells = {c.variant: c for c in planned.cells}
    assert cells["pixel.steps=3, pixel.batch=4"].plans[-1].stage.steps == 3
    assert [p.name for p in cells["source alone"].plans] == ["source"]
    assert cells["wide"].ids["source"] != cells["all"].ids["source"]
    assert len(planned.jobs) == 2 + 10 + 2  # the source is shared by all but `wide`


def test_seeds_and_shared_stages(tmp_path):
    planned = plan_sweep(
        write_sweep(tmp_path, drop_one={"stage": "pixel", "terms": ["cycle", "semantic"]}, seeds=[0, 1])
    )
    assert len(planned.cells) == 6
    assert len(planned.jobs) == 2 + 6
    order = list(planned.jobs)
    assert all(order.index(p) < order.index(j.id) for j in planned.jobs.values() for p in j.parents)
    assert {c.seed for c in plan_sweep(tmp_path / "sweep.yaml", seeds=[7]).cells} == {7}
    with pytest.raises(CycadaError, match="found 7 twice"):
        plan_sweep(tmp_path / "sweep.yaml", seeds=[7, 7])
    with pytest.raises(CycadaError, match=r"seeds: found 3, expected a list of seeds, such as \[0, 1, 2\]"):
        plan_sweep(tmp_path / "sweep.yaml", seeds=3)
    for jobs in (0, 1.5):
        with pytest.raises(CycadaError, match=f"jobs: found {jobs}"):
            toolkit.sweep(tmp_path / "sweep.yaml", jobs=jobs)


def test_plan_sweep_parses_a_row_once_for_all_seeds_and_reads_the_data_once(tmp_path, monkeypatch):
    parsed, read = [], []
    parse, load = sweep_plan.configs.parse, sweep_plan.load_datasets
    monkeypatch.setattr(sweep_plan.configs, "parse", lambda *args: parsed.append(args) or parse(*args))
    monkeypatch.setattr(sweep_plan, "load_datasets", lambda *args: read.append(args) or load(*args))
    file = write_sweep(tmp_path, vary={"stages.pixel.steps": [2, 3]}, seeds=list(range(20)))
    first, again = plan_sweep(file), plan_sweep(file)
    assert len(first.cells) == 60
    assert {cell.config.seed for cell in first.cells} == set(range(20))
    assert list(first.jobs) == list(again.jobs)
    assert len(parsed) == 2 * 3
    assert len(read) == 1
    with pytest.raises(CycadaError, match="seeds: found -1"):
        plan_sweep(file, seeds=[-1])


def test_an_outcome_brings_its_ancestors_and_the_baseline_alone(tmp_path):
    stages = {**CYCADA, "dann": {"method": "dann"}}
    path = write_sweep(
        tmp_path, stages, base=None, variants={"DANN": {"stage": "dann"}, "pixel only": {"stage": "task"}}
    )
    cells = {c.variant: [p.name for p in c.plans] for c in plan_sweep(path).cells}
    assert cells == {"DANN": ["source", "dann"], "pixel only": ["source", "pixel", "task"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"drop_one": {"stage": "pixle", "terms": ["gan"]}}, "no stage 'pixle'.*pixel"),
        ({"drop_one": {"stage": "pixel", "terms": ["cycel"]}}, "no active loss 'cycel'.*cycle_s"),
        ({"drop_one": {"stage": "pixel", "terms": {"gan": 1}}}, "expected a list of terms"),
        ({"drop_one": {"stage": "pixel", "terms": [[]]}}, "at least 1 item"),
        ({"add_one": {"stage": "pixel", "terms": {}}}, "at least 1 item"),
        ({"add_one": {"stage": "pixel", "terms": ["gan"]}}, "expected a mapping of terms to weights"),
        ({"seed": [1]}, "unknown key 'seed'.*seeds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 0, 1]}, "found 1 twice in .1, 0, 1., expected each seed once"),
        ({"vary": {"seed": [1, 2]}}, "vary: found 'seed', which would have no effect.*--seeds"),
        ({"variants": {"a": {"set": {"name": "x"}}}}, "variants.a.set: found 'name'.*no effect"),
        ({"name": "../mine"}, "name: .*letters, digits"),
        ({"vary": {"stages.pixel.steps": []}}, "at least 1 item"),
        ({"base": None}, "no rows"),
        ({"compare_to": "al"}, "no row 'al'.*all"),
        ({"vary": {"stages.pixel.stepss": [3]}}, "stepss"),
        ({"variants": {"x": {"stage": "last"}}}, "no stage 'last'"),
        ({"variants": {"all": None}}, "two rows are called 'all'"),
        ({"variants": {"my row": None, "my_row": None}}, "share the folder 'my_row'"),
    ],
)
def test_mistakes_are_answered(tmp_path, cycada, keys, message):
    path = write_sweep(tmp_path, **keys)
    with pytest.raises(CycadaError, match=message):
        plan_sweep(path)
    code, _, stderr = cycada("sweep", path)
    assert code == 2
    assert "\nerror: " in f"\n{stderr}"
    assert "Traceback" not in stderr


@pytest.mark.parametrize("key", ["seeds", "vary.stages.source.steps"])
def test_a_key_of_the_sweep_is_no_setting_of_its_command_line(tmp_path, key):
    with pytest.raises(CycadaError, match=f"the command line: found '{key}'.*--seeds"):
        plan_sweep(write_sweep(tmp_path), [f"{key}=[3]"])


def test_an_absent_experiment_is_named_with_the_sweep(tmp_path):
    with pytest.raises(CycadaError, match=r"experiment: '.*nothing.yaml': found neither"):
        plan_sweep(write_sweep(tmp_path, experiment="nothing.yaml"))


def test_a_label_becomes_a_name():
    assert [slug(x) for x in ("- cycle", "+ identity", "pixel only (- feature)", "a=1, b=2")] == [
        "minus_cycle",
        "plus_identity",
        "pixel_only_-_feature",
        "a=1_b=2",
    ]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of two rows and two seeds, trained by two worker processes."""
    folder = tmp_path_factory.mktemp("swept")
    planned = plan_sweep(write_sweep(folder, drop_one={"stage": "pixel", "terms": ["cycle"]}, seeds=[0, 1]))
    return planned, run_sweep(planned, ProcessPool(2))


def test_worker_processes_train_every_stage_once(swept):
    planned, content = swept
    assert [c["status"] for c in content["cells"]] == ["done"] * 4
    assert len(list((planned.results / "runs").glob("*/done"))) == 2 + 4
    assert json.loads(sweep_file(planned.results, "swept").read_text()) == content
    assert content["compare_to"] == "all"
    assert [s["name"] for s in content["cells"][0]["stages"]] == ["source", "pixel"]
    estimate = seconds_left(planned.jobs.values(), planned.results)
    assert all(s is not None and s > 0 for s in estimate.values())


def test_a_trial_of_one_step_hardly_counts_in_an_estimate(swept, tmp_path):
    planned, content = swept
    finished = planned.results / "runs" / content["cells"][0]["stages"][0]["id"]
    for name, steps, seconds in (("trial", 1, 10), ("whole", 999, 90)):
        folder = tmp_path / "runs" / name
        shutil.copytree(finished, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        changed = manifest | {"recipe": name, "steps": steps, "seconds": seconds}
        (folder / "manifest.json").write_text(json.dumps(changed))
    job = planned.jobs[finished.name]
    assert seconds_left([job], tmp_path) == {job.id: pytest.approx(0.1 * job.plan.stage.steps)}


def test_workers_give_what_one_process_gives(swept, tmp_path):
    planned, _ = swept
    alone = plan_sweep(planned.file, [f"results={tmp_path}"], seeds=[1])
    run_sweep(alone, InProcess())
    assert set(alone.jobs) < set(planned.jobs)
    for identity, job in alone.jobs.items():
        here, there = job.folder.load_weights(), planned.jobs[identity].folder.load_weights()
        assert here.keys() == there.keys()
        assert all((here[k] == there[k]).all() for k in here)


def test_what_is_done_is_not_trained_again(swept, cycada):
    planned, content = swept
    before = {p: p.stat().st_mtime_ns for p in (planned.results / "runs").glob("*/weights.safetensors")}
    code, out, _ = cycada("sweep", planned.file, "--json")
    assert code == 0
    assert json.loads(out.strip().splitlines()[-1]) == content
    assert before == {
        p: p.stat().st_mtime_ns for p in (planned.results / "runs").glob("*/weights.safetensors")
    }
    code, out, _ = cycada("sweep", planned.file, "--dry-run", "--seeds", "0,5", "--json")
    assert json.loads(out)["to_train"] == 3
    code, out, _ = cycada("sweep", planned.file, "--dry-run", "--seeds", "0,5")
    assert "8 stages, 6 of them different: 3 done, 3 to train." in out
    assert "minutes" in out


def test_what_was_trained_and_scored_in_another_way_is_not_counted_as_training(swept, cycada, tmp_path):
    planned, _ = swept
    shutil.copytree(planned.results, tmp_path / "results")
    folder = next((tmp_path / "results" / "runs").glob("*/done")).parent
    other = RunFolder(folder.rename(folder.with_name(f"{folder.name}-0a1b2c")))
    other.write_json("manifest.json", other.read_json("manifest.json") | {"id": other.id})
    other.finish()
    code, out, _ = cycada("sweep", planned.file, "--dry-run", "--json", f"results={tmp_path / 'results'}")
    assert (code, json.loads(out)["to_train"], json.loads(out)["to_score"]) == (0, 0, 1)
    assert (
        "0 to train, 1 only to score again."
        in cycada("sweep", planned.file, "--dry-run", f"results={tmp_path / 'results'}")[1]
    )


@pytest.mark.parametrize("place", [InProcess, lambda: ProcessPool(1)])
def test_a_cell_that_fails_is_reported_and_the_others_run(tmp_path, place):
    stages = {**TWO, "task": {**CYCADA["task"]}}
    bad = {"set": {"stages": {"pixel": {"optimizer": {"name": "sgd", "lr": 1e6}}}}}
    planned = plan_sweep(write_sweep(tmp_path, stages, variants={"bad": bad}))
    content = run_sweep(planned, place())
    good, failed = content["cells"]
    assert good["status"] == "done"
    assert failed["status"] == "failed"
    assert "stage pixel: " in failed["error"]
    assert not RunFolder(planned.results / "runs" / failed["stages"][-1]["id"]).done


def test_a_failed_cell_ends_the_command_with_a_message(tmp_path, cycada):
    bad = {"set": {"stages": {"pixel": {"optimizer": {"name": "sgd", "lr": 1e6}}}}}
    code, _, stderr = cycada("sweep", write_sweep(tmp_path, variants={"bad": bad}))
    assert code == 2
    assert "1 of 2 cells failed; all others are done.\n  bad, seed 0: stage pixel:" in stderr


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    pool = ProcessPool(1)
    try:
        handle = pool.submit(partial(kill_once, tmp_path / "once"), "it")
        with pytest.raises(CycadaError, match="died"):
            handle.result()
        assert pool.submit(partial(kill_once, tmp_path / "once"), "it").result() is None
    finally:
        pool.close()


def test_a_worker_between_two_stages_lets_the_others_save():
    place = ProcessPool(2)
    try:
        for handle in [place.submit(partial(time.sleep, 0.5), "both are there") for _ in range(2)]:
            handle.result()
        busy = place.submit(partial(time.sleep, 3), "saves")
        time.sleep(0.5)
        place.stop()
        assert busy.result() is None
    finally:
        place.close()


@pytest.mark.parametrize("jobs", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_an_interrupted_sweep_goes_on(tmp_path, jobs):
    path = write_sweep(tmp_path, seeds=[0, 1])
    long = ["stages.pixel.steps=100000", "logging.checkpoint_every=100000"]
    command = [sys.executable, "-m", "cycada", "sweep", str(path), *long, "--jobs", jobs]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while (
        not list((tmp_path / "results" / "runs").glob("*/metrics.jsonl"))
        or len(list((tmp_path / "results" / "runs").glob("*/done"))) < 1
    ):
        assert time.time() < deadline
        time.sleep(0.2)
    pixel = {j.id for j in plan_sweep(path, long).jobs.values() if j.plan.name == "pixel"}
    while not any((tmp_path / "results" / "runs" / i / "metrics.jsonl").exists() for i in pixel):
        assert time.time() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "The same command continues" in stderr
    assert "Traceback" not in stderr
    assert any(
        list((tmp_path / "results" / "runs" / i).glob("checkpoint-*.pt")) for i in pixel
    )  # saved at the signal


def test_a_cluster_runs_the_same_code(tmp_path):
    """Through submitit's local executor: the code path of slurm without slurm."""
    pytest.importorskip("submitit")
    bad = {"set": {"stages": {"pixel": {"optimizer": {"name": "sgd", "lr": 1e6}}}}}
    # two jobs, each of which is a process that imports everything
    planned = plan_sweep(
        write_sweep(tmp_path, base=None, variants={"source alone": {"stage": "source"}, "bad": bad})
    )
    content = run_sweep(planned, Submitit("local", tmp_path / "logs", 2, {"timeout_min": 5}))
    good, failed = content["cells"]
    assert good["status"] == "done"
    assert failed["status"] == "failed"
    assert "pixel" in failed["error"]
    assert "logs" in failed["error"]


def test_seeds_of_an_empty_variable_are_refused(tmp_path, cycada):
    code, _, stderr = cycada("sweep", write_sweep(tmp_path), "--seeds", "", "--dry-run")
    assert (code, "--seeds: found ''" in stderr) == (2, True)


def test_an_unknown_cluster_is_answered(tmp_path, cycada):
    pytest.importorskip("submitit")
    code, _, stderr = cycada("sweep", write_sweep(tmp_path), "--cluster", "slurmm")
    assert code == 2
    assert "Expected slurm" in stderr
    assert "Traceback" not in stderr


def test_every_sweep_in_configs_is_sound():
    files = sorted((ROOT / "configs" / "sweeps").rglob("*.yaml"))
    assert files
    for file in files:
        if "name" in yaml.safe_load(file.read_text()):
            load_sweep(file)
        else:
            with pytest.raises(CycadaError, match="is a part of other configs"):
                load_sweep(file)


def test_a_report_says_that_the_file_of_a_sweep_was_changed(tmp_path, cycada):
    stages = {"source": CYCADA["source"]}
    path = write_sweep(tmp_path, stages, variants={"A": {"set": {"stages.source.steps": 3}}})
    assert cycada("sweep", path)[0] == 0
    words = ("report", path, "--results", tmp_path / "results")
    assert "was changed since" not in cycada(*words)[2]
    write_sweep(tmp_path, stages, variants={"A": {"set": {"stages.source.steps": 4}}})
    code, _, err = cycada(*words)
    assert (code, "it was changed since 'swept' was trained" in " ".join(err.split())) == (0, True)


def test_seeds_of_several_commands_make_one_sweep(tmp_path, cycada):
    path = write_sweep(tmp_path, {"source": CYCADA["source"]}, seeds=[0], variants={"A": {}})
    results = tmp_path / "results"

    def reported() -> tuple[set[str], dict]:
        assert cycada("report", path, "--results", results)[0] == 0
        table = json.loads((results / "reports" / "swept" / "table.json").read_text())
        return set(table["provenance"]["trained_by"]), json.loads(sweep_file(results, "swept").read_text())

    assert cycada("sweep", path)[0] == 0
    code, out, _ = cycada("sweep", path, "--seeds", "1", "--json")
    assert (code, {cell["seed"] for cell in json.loads(out.splitlines()[-1])["cells"]}) == (0, {1})
    trained_by, kept = reported()
    assert sorted({cell["seed"] for cell in kept["cells"]}) == [0, 1]
    assert {c.removeprefix("cycada sweep ") for c in trained_by} == {"sweep.yaml --seeds 0,1"}
    # with another setting it is another sweep
    assert cycada("sweep", path, "stages.source.steps=2")[0] == 0
    trained_by, kept = reported()
    assert {cell["seed"] for cell in kept["cells"]} == {0}
    assert {c.removeprefix("cycada sweep ") for c in trained_by} == {"sweep.yaml stages.source.steps=2"}
    err = cycada("report", path, "--results", results)[2]
    assert "was trained with stages.source.steps=2 over the file's settings" in " ".join(err.split())


def test_a_report_tells_a_sweep_from_an_experiment_of_its_name(tmp_path, cycada):
    path = write_sweep(tmp_path, {"source": CYCADA["source"]}, variants={"A": {}})
    experiment, results = tmp_path / "experiment.yaml", tmp_path / "results"
    name = yaml.safe_load(experiment.read_text())["name"]
    path.write_text(path.read_text().replace("swept", name))
    assert cycada("sweep", path)[0] == 0
    assert cycada("run", experiment, "seed=5", "stages.source.steps=2")[0] == 0

    def table(word):
        assert cycada("report", word, "--results", results)[0] == 0
        return json.loads((results / "reports" / name / "table.json").read_text())

    changed = "cycada run experiment.yaml seed=5  # with settings over those of the file"
    assert table(path)["provenance"]["trained_by"] == ["cycada sweep sweep.yaml"]
    assert table(experiment)["provenance"]["trained_by"] == [changed]
    assert any("a sweep and an experiment called" in note for note in gather([name], results).notes)
    assert cycada("run", experiment, "seed=6")[0] == 0
    assert table(experiment)["provenance"]["trained_by"] == [changed, "cycada run experiment.yaml seed=6"]
    notes = " ".join(gather([str(experiment)], results).notes)
    assert f"the runs of seed 5 have other settings than {experiment.name} has today." in notes
    assert cycada("record", experiment, "--results", results, "--to", tmp_path / "records")[0] == 0
    assert {p.name for p in (tmp_path / "records").iterdir()} == {"experiments", "runs"}
