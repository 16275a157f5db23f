"""Runners of the papers' experiments, each with tiny settings, or to its dry run without its data."""

import importlib
import json
import pkgutil
import time

import pytest
import yaml
from helpers.experiments import CYCADA, TINY, write_config

import cycada
import experiments
from cycada.core.errors import CycadaError
from cycada.image_quality.files import command_without_places
from cycada.speed.throughput import compare, drop_terms, each_stage, flops_per_pair, random_training
from cycada.sweeps.compose import compose_ablation, compose_baselines, save_sweep
from cycada.sweeps.schema import load_sweep
from cycada.train.device import Device
from experiments import (
    _joint_step,
    _recipes,
    ablation,
    baselines,
    gta5_cityscapes,
    propagation,
    smoke_gta5,
    svhn_mnist,
    throughput,
    translation,
    waiting,
)

RUNNERS = [
    importlib.import_module(f"experiments.{module.name}")
    for module in pkgutil.iter_modules(experiments.__path__)
    if not module.name.startswith("_")
]


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "tiny.yaml", CYCADA, results=str(tmp_path / "results"), threads=1)


@pytest.mark.parametrize("runner", RUNNERS, ids=lambda runner: runner.__name__)
def test_every_runner_has_help_and_is_short(runner, capsys):
    with pytest.raises(SystemExit) as ended:
        runner.main(["--help"])
    assert ended.value.code == 0
    assert f"python -m {runner.__name__}" in capsys.readouterr().out
    with open(runner.__file__) as file:
        assert len(file.readlines()) < 80


@pytest.mark.parametrize(
    ("runner", "words", "printed"),
    [
        (svhn_mnist, ["full"], "pixel: cycada_pixel, "),
        (gta5_cityscapes, ["fcn8s"], "source: source_only, "),
        (smoke_gta5, ["--configs", "resnet"], "resnet: source pixel"),
        (throughput, [], "- cycle\n"),
    ],
)
def test_a_dry_run_trains_nothing(runner, words, printed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner.main([*words, "--dry-run"])
    assert printed in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_an_ablation_has_a_row_a_term_and_is_a_file(config, tmp_path):
    sweep = compose_ablation(config, "pixel", ["cycle", "semantic"], {"identity": 0.5}, ["gan"])
    file = save_sweep(sweep, tmp_path / "elsewhere" / "sweeps")
    stored = yaml.safe_load(file.read_text())
    assert stored["experiment"] == "../../tiny.yaml", "a path that holds wherever both are moved to"
    read = load_sweep(file)
    assert (read.drop_one[0].terms, read.add_one[0].terms) == (["cycle", "semantic"], {"identity": 0.5})


def test_composed_sweeps_take_a_single_term_and_the_name_of_a_recipe(config, tmp_path):
    sweep = compose_ablation("demo", "pixel", drop="cycle")
    assert sweep.drop_one[0].terms == ["cycle"]
    assert load_sweep(save_sweep(sweep, str(tmp_path / "sweeps"))).experiment == "demo"
    assert "dann" in compose_baselines(config, "dann", "seed=1")[0].variants
    with pytest.raises(CycadaError, match=r"add: found \['identity'\], expected terms with their weights"):
        compose_ablation(config, "pixel", add=["identity"])


def test_baselines_are_those_that_fit(config):
    sweep, left_out = compose_baselines(config)
    assert {"dann", "mcd", "adda", "adabn", "self_training", "cycada", "target_only"} <= set(sweep.variants)
    assert sweep.variants["adda"].set["stages"]["adda"]["init"] == {"f_s": "source.f_t", "f_t": "source.f_t"}
    steps = {name: row.set["stages"][row.stage]["steps"] for name, row in sweep.variants.items() if row.set}
    assert steps.pop("adabn") == 100
    assert set(steps.values()) == {8}, "the 4 steps of `task` and the 4 of `feature` after the source stage"
    starts = {
        name: row.set["stages"][row.stage]["init"]["f_t"] for name, row in sweep.variants.items() if row.set
    }
    assert starts.pop("adabn") == "source_long.f_t"
    assert set(starts.values()) == {"source.f_t"}
    assert (sweep.variants["cycada_task"].stage, sweep.variants["cycada_task"].set) == ("task", {})
    assert left_out["cyclegan"] == left_out["cycada_pixel"] == "it trains no f_t."
    assert "source_only" not in sweep.variants
    with pytest.raises(CycadaError, match="no method 'dan_n'"):
        compose_baselines(config, ["dan_n"])


def test_baselines_keep_the_settings_of_a_stage_that_is_there(tmp_path):
    stages = {
        "source": {"method": "source_only"},
        "mine": {"method": "dann", "steps": 3},
        "last": {"method": "mcd"},
    }
    file = write_config(tmp_path / "tiny.yaml", stages, results=str(tmp_path))
    sweep, _ = compose_baselines(file, ["dann"])
    assert (sweep.variants["dann"].stage, sweep.variants["dann"].set) == ("mine", {})


def test_an_oracle_at_the_end_is_not_what_methods_are_compared_with(tmp_path):
    stages = {
        "source": {"method": "source_only", "steps": 2},
        "mine": {"method": "dann", "steps": 3, "init": {"f_t": "source.f_t"}},
        "oracle": {"method": "target_only", "steps": 9},
    }
    file = write_config(tmp_path / "tiny.yaml", stages, results=str(tmp_path))
    sweep, _ = compose_baselines(file)
    assert "dann" not in sweep.variants  # it is the base
    assert sweep.variants["target_only"].stage == "oracle"
    assert sweep.variants["coral"].set["stages"]["coral"]["steps"] == 3


def test_a_command_in_a_table_names_no_place():
    words = ["python", "-m", "x", "/home/me/s.yaml", "--set", "data.root=/d", "--out", "/t", "--seeds", "0"]
    assert command_without_places(words) == "python -m x s.yaml --seeds 0"
    assert command_without_places(["x", "--set", "a=1", "results=/r"]) == "x --set a=1"


@pytest.mark.trains
def test_an_ablation_runs_and_is_not_trained_again(tmp_path, capsys):
    stages = {name: CYCADA[name] for name in ("source", "pixel", "task")}
    config = write_config(tmp_path / "tiny.yaml", stages, results=str(tmp_path / "results"), threads=1)
    words = [str(config), "--stage", "pixel", "--drop", "cycle", "--seeds", "0"]
    ablation.main([*words, "--dry-run"])
    assert "- cycle" in capsys.readouterr().out
    assert not (tmp_path / "results" / "runs").exists()
    ablation.main(words)
    assert "report.html" in capsys.readouterr().out
    (table,) = (tmp_path / "results" / "reports").glob("*/table.json")
    assert {"all", "- cycle"} <= {row["name"] for row in json.loads(table.read_text())["rows"]}
    finished = sorted(path.stat().st_mtime_ns for path in (tmp_path / "results" / "runs").glob("*/done"))
    ablation.main(words)
    assert finished == sorted(p.stat().st_mtime_ns for p in (tmp_path / "results" / "runs").glob("*/done"))


@pytest.mark.trains
def test_baselines_run(config, tmp_path, capsys):
    baselines.main([str(config), "--methods", "dann", "adabn", "--seeds", "0"])
    assert "report.html" in capsys.readouterr().out
    (table,) = (tmp_path / "results" / "reports").glob("*/table.json")
    assert {"dann", "adabn", "source only, as long"} <= {
        row["name"] for row in json.loads(table.read_text())["rows"]
    }


@pytest.mark.trains
def test_a_recipe_runs_over_seeds(tmp_path, capsys, monkeypatch):
    recipes = tmp_path / "digits" / "svhn_mnist"
    recipes.mkdir(parents=True)
    stages = {"source": {"method": "source_only"}}
    write_config(recipes / "tiny.yaml", stages, results=str(tmp_path / "results"))
    monkeypatch.setattr(_recipes, "CONFIGS", tmp_path)
    svhn_mnist.main(["tiny", "--seeds", "0", "1"])
    assert "report.html" in capsys.readouterr().out
    found = (tmp_path / "results" / "experiments" / TINY["name"]).glob("seed*.json")
    assert sorted(path.name for path in found) == ["seed0.json", "seed1.json"]


@pytest.mark.trains
def test_translations_are_measured_by_a_stage_of_the_experiment(tmp_path, capsys):
    stages = {"scorer": {"method": "target_only"}, "translation": {"method": "cyclegan"}}
    write_config(tmp_path / "tiny.yaml", stages, results=str(tmp_path / "results"))
    sweep = {
        "name": "tiny",
        "experiment": "tiny.yaml",
        "base": None,
        "variants": {"CycleGAN": {"stage": "translation"}},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    translation.main([str(tmp_path / "sweep.yaml"), "--scorer", "scorer", "--out", str(tmp_path / "out")])
    assert "CycleGAN" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert content["command"] == "python -m experiments.translation sweep.yaml --scorer scorer"
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".csv", ".json"}


def test_the_step_whose_speed_is_measured_runs_and_is_counted():
    small = _joint_step.EXPERIMENT | {
        "defaults": {"batch": 2},
        "networks": _joint_step.EXPERIMENT["networks"]
        | {
            "g": {"name": "resnet", "channels": 4, "blocks": 1},
            "d": {"name": "patchgan", "channels": 4, "layers": 2},
        },
    }
    (step,) = drop_terms(small, {"all terms": ()})
    assert flops_per_pair(random_training(step, Device.find("cpu"))) > 1e6
    compared = compare(step, lambda batch, precision: lambda: time.sleep(0.01), 0.01)
    assert compared["other"] < 2 / 0.01
    assert compared["lowest"] <= compared["ratio"] <= compared["highest"]


@pytest.mark.parametrize("recipe", ["demo", "segmentation/streets/quick", "translation/facades/pix2pix"])
def test_random_training_takes_a_step_of_every_stage_of_a_recipe_without_its_data(recipe):
    config = cycada.load_config(
        recipe, ["defaults.batch=2", "networks.g.channels=4", "networks.d.channels=4"]
    )
    for step in each_stage(config):
        training = random_training(step.changed(batch=2, precision="fp32"), Device.find("cpu"))
        assert flops_per_pair(training) > 0


@pytest.mark.trains
def test_waiting_is_measured_in_processes_of_their_own(tmp_path, monkeypatch, capsys, config):
    monkeypatch.setattr(waiting, "SETTINGS", {"1000 turns": {"GOMP_SPINCOUNT": "1000"}})
    file = tmp_path / "waiting.json"
    waiting.main([str(config), "--stages", "task", "--seconds", "0.05", "--json", str(file)])
    rows = json.loads(file.read_text())["rows"]
    assert [row["beside"] for row in rows] == ["nothing", "a busy program"]
    assert all(row["task"] > 0 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_throughput_rows_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_joint_step, "DROPPED", {"- gan": ("gan_t", "gan_s")})
    small = {"f": "lenet", "g": {"name": "resnet", "channels": 4, "blocks": 1}, "d_feat": "mlp"}
    small["d"] = {"name": "patchgan", "channels": 4, "layers": 2}
    monkeypatch.setitem(_joint_step.EXPERIMENT, "networks", small)
    words = ["--batch", "2", "--seconds", "0.1", "--json", str(tmp_path / "it.json"), "--tracking", "none"]
    throughput.main(words)
    first = (tmp_path / "it.json").read_text()
    assert [row["precision"] for row in json.loads(first)["rows"]] == ["fp32", "bf16"]
    throughput.main(words)
    assert (tmp_path / "it.json").read_text() == first
    assert "- gan" in capsys.readouterr().out


def test_propagation_is_measured_on_classes_that_are_thinned_out(tmp_path, capsys):
    source = {"source": CYCADA["source"] | {"steps": 2}}
    path = write_config(tmp_path / "tiny.yaml", source, results=str(tmp_path / "results"), threads=1)
    (stage,) = cycada.run(cycada.load_config(path)).stages
    out = tmp_path / "found.json"
    propagation.main(
        [str(stage.folder), "--results", str(tmp_path / "results"), "--rare", "1", "0.2", "--out", str(out)]
    )
    found = json.loads(out.read_text())
    assert set(found["percent"]) == {"1.0", "0.2"}
    whole = found["percent"]["1.0"]
    assert whole["predictions"] == pytest.approx(100 * stage.scores["target"]["accuracy"], abs=0.5)
    assert len(whole) == 6
    assert 0 < whole["doubt"] <= 90
    assert "; near expected shares " in capsys.readouterr().out
