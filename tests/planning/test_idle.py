"""Settings of a config that have no effect are reported, each with its path and the reason."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cycada.cli.main import app
from cycada.config.schema import load_config, parse
from cycada.core.yaml_files import merge
from cycada.losses import losses
from cycada.planning.idle import find_idle_settings
from cycada.planning.plan import plan

BASE = {
    "name": "x",
    "data": {"source": "rendered_digits", "target": "optdigits", "size": 16, "channels": 1},
    "networks": {
        "f": {"name": "convnet", "channels": 4, "width": 8},
        "g": "resnet",
        "d": {"name": "patchgan", "layers": 2},
    },
    "stages": {
        "source": {"method": "source_only", "steps": 3, "batch": 2},
        "pixel": {"method": "cyclegan", "steps": 3, "batch": 2},
    },
}


ADABN = {"method": "adabn", "steps": 3, "batch": 2, "optimizer": {"lr": 0.1}, "init": {"f_t": "source.f_t"}}


OWN = {"name": "folder", "train": "a", "test": "b"}


def taught(losses: dict[str, Any], options: dict[str, Any], method: str = "self_training") -> dict[str, Any]:
    """A config in which the stage `norms` trains itself by these losses and options."""
    stage = {"method": method, "steps": 3, "batch": 2, "init": {"f_t": "source.f_t"}, "ema": {"f_t": 0.9}}
    off = {"task_translated": 0, "task_source": 1, "self_training": 0}
    return {"stages": {"norms": stage | {"losses": off | losses, "options": options}}}


def said(over: dict[str, Any]) -> list[str]:
    config = parse(merge(copy.deepcopy(BASE), over))
    return find_idle_settings(config, plan(config))


def stage(**settings: Any) -> dict[str, Any]:
    return {"stages": {"pixel": settings}}


@pytest.mark.parametrize(
    ("over", "path"),
    [
        (stage(optimizer={"name": "sgd", "betas": [0.5, 0.9]}), "stages.pixel.optimizer.betas: sgd"),
        (stage(optimizer={"momentum": 0.9}), "stages.pixel.optimizer.momentum: adam"),
        (
            stage(optimizers={"generators": {"name": "adamw", "momentum": 0.9}}),
            "stages.pixel.optimizers.generators.momentum: adamw",
        ),
        ({"stages": {"norms": ADABN}}, "stages.norms.optimizer.lr"),
        (
            stage(losses={"gan_t": 0, "gan_s": 0}, every={"discriminators": 2}),
            "stages.pixel.every.discriminators",
        ),
        (stage(losses={"gan_t": 0, "discriminate_t": 1}), "stages.pixel.losses.discriminate_t"),
        (
            stage(losses={"gan_t": {"weight": 1, "ramp": {"gamma": 3}}}),
            "stages.pixel.losses.gan_t.ramp.gamma",
        ),
        (
            stage(losses={"gan_t": {"weight": 1, "ramp": {"name": "dann", "steps": 3}}}),
            "stages.pixel.losses.gan_t.ramp.steps",
        ),
        (stage(schedule={"name": "constant", "after": 0.2}), "stages.pixel.schedule.after"),
        (
            stage(schedules={"generators": {"name": "constant", "after": 0.2}}),
            "stages.pixel.schedules.generators.after",
        ),
        (
            stage(
                optimizer={"lr": 0.1}, optimizers={"generators": {"lr": 0.2}, "discriminators": {"lr": 0.3}}
            ),
            "stages.pixel.optimizer.lr: every phase",
        ),
        (
            stage(schedule={"name": "poly"}, schedules={"generators": {}, "discriminators": {}}),
            "stages.pixel.schedule: every phase",
        ),
        ({"stages": {"source": {"compile": True}}}, "stages.source.compile"),
        (stage(augment={}), "stages.pixel.augment"),
        (stage(augment={"rotate": 0, "domains": "source"}), "stages.pixel.augment"),
        ({"stages": {"source": {"augment": {"rotate": 3, "domains": "target"}}}}, "stages.source.augment"),
        (stage(networks={"f": "lenet"}), "stages.pixel.networks.f"),
        ({"networks": {"d_feat": "mlp"}}, "networks.d_feat"),
        (
            stage(losses={"cycle_s": {"weight": 1, "ramp": {"name": "linear"}}}),
            "stages.pixel.losses.cycle_s.ramp",
        ),
        ({"evaluation": {"overlap": 0.5}}, "evaluation.overlap"),
        ({"data": {"source": OWN, "target": OWN, "workers": 2, "hold": 10}}, "data.hold"),
        ({"tracking": {"kind": "none", "uri": "http://host"}}, "tracking.uri"),
        ({"data": {"workers": 2}}, "data.workers"),
        ({"data": {"download": True}}, "data.download: none of the two domains"),
        ({"data": {"source": OWN, "target": OWN, "download": True}}, "data.download"),
        (stage(losses={"gan_t": 0, "gan_s": 0}, options={"gan": "hinge"}), "stages.pixel.options.gan"),
        (stage(losses={"gan_t": 0, "gan_s": 0}, options={"pool": 9}), "stages.pixel.options.pool: no loss"),
        (taught({}, {"teacher_views": 4}), "stages.norms.options.teacher_views: no loss"),
        (taught({}, {"propagation": 1}), "stages.norms.options.propagation: no loss"),
        (taught({"self_training": 1}, {"gate": 0.6}), "stages.norms.options.gate: no loss"),
        (taught({"self_training": 1}, {"mask_patch": 8}), "stages.norms.options.mask_patch: no loss"),
        (taught({"self_training": 1}, {"translate_at": 0.5}), "stages.norms.options.translate_at: no loss"),
        (
            taught({"self_training": 1}, {"propagation_neighbours": 3}),
            "stages.norms.options.propagation_neighbours: options.propagation is 0",
        ),
        (
            taught({"self_training": 1}, {"propagation_queue": 3}),
            "stages.norms.options.propagation_queue: options.propagation is 0",
        ),
        (
            taught(
                {"self_training": 1},
                {"teacher_views": 2} | dict.fromkeys(("rotate", "scale", "shear", "shift"), 0),
            ),
            "stages.norms.options.teacher_views: rotate, scale, shear and shift are 0",
        ),
    ],
)
def test_a_setting_without_effect_is_said(over: dict[str, Any], path: str) -> None:
    found = said(over)
    assert len(found) == 1
    assert found[0].startswith(path)
    assert found[0].endswith("It has no effect. Take it out.")


@pytest.mark.parametrize(
    "over",
    [
        {},
        stage(losses={"gan_t": 0, "gan_s": 0}),  # d is there for another day
        stage(optimizer={"name": "sgd", "momentum": 0.9}),
        stage(
            optimizer={"betas": [0.5, 0.9]}, optimizers={"discriminators": {"name": "sgd"}}
        ),  # the generators' Adam has them
        stage(schedule={"name": "cosine", "after": 0.2, "warmup": 3}),
        stage(schedule={"name": "cosine"}, schedules={"generators": {}}),
        stage(optimizer={"lr": 0.1}, optimizers={"generators": {"lr": 0.2}}),
        stage(every={"discriminators": 2}, compile=True),
        stage(augment={"rotate": 3, "domains": "target"}),
        {"data": {"source": "mnist", "download": True}},
        stage(options={"gan": "hinge", "pool": 9}),
        taught({"masked_consistency": 1}, {"mask_patch": 8, "jitter": 0.1, "teacher_views": 2}),
        taught({"self_training": 1}, {"propagation": 1, "propagation_queue": 9, "teacher_views": 2}),
        taught({}, {"propagation_neighbours": 5, "teacher_views": 1}),  # as they are by default
    ],
)
def test_what_has_an_effect_is_not(over: dict[str, Any]) -> None:
    assert said(over) == []


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (stage(schedule={"warmup": 4}), "schedule.warmup: found 4, and the stage has 3 steps"),
        (stage(schedules={"generators": {"warmup": 9}}), "schedules.generators.warmup: found 9"),
        (
            stage(losses={"gan_t": {"weight": 1, "ramp": {"name": "linear", "steps": 9}}}),
            "losses.gan_t.ramp.steps: found 9",
        ),
        (stage(every={"discriminators": 3}), "every.discriminators: found 3"),
    ],
)
def test_what_is_longer_than_its_stage_is_said(over: dict[str, Any], words: str) -> None:
    found = said(over)
    assert len(found) == 1
    assert found[0].startswith(f"stages.pixel.{words}")


def test_defaults_that_a_stage_below_replaces_are_said(tmp_path: Path) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text(yaml.safe_dump(BASE, sort_keys=False))
    above.write_text("uses: below.yaml\nname: y\ndefaults: {steps: 9, precision: bf16}\n")
    assert load_config(below).shadowed_defaults == ()
    (sentence,) = load_config(above).shadowed_defaults
    assert "defaults.steps: it has no effect on the stages source, pixel" in sentence
    assert load_config(below, ["defaults.steps=3"]).shadowed_defaults == ()  # as both stages have it
    above.write_text(above.read_text() + "stages: {more: {method: source_only, batch: 2}}\n")
    assert load_config(above).shadowed_defaults == ()  # it reaches the new stage
    config = load_config(below, ["defaults.epochs=9", "stages.source.epochs=8", "stages.pixel.steps=7"])
    assert config.shadowed_defaults == ()  # both stages were set, too
    config = load_config(below, ["defaults.epochs=9", "stages.source.epochs=8"])
    (sentence,) = find_idle_settings(config, plan(config))[-1:]
    assert sentence.startswith("defaults.epochs: it has no effect on the stage pixel")


def test_the_translated_view_that_never_counts_ends_never() -> None:
    options = {"translated_share": 0, "translated_until": 0.5}
    over = taught({"self_training": 1}, options, "dual_path")
    over["stages"]["norms"]["init"] |= {"f_s": "source.f_t", "g_ts": "pixel.g_ts"}
    (sentence,) = said(over)
    assert sentence.startswith("stages.norms.options.translated_until: options.translated_share is 0.")


def test_an_empty_mapping_over_one_that_is_not_is_said(tmp_path: Any) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    full = {"augment": {"flip": True}, "losses": {"task_source": 2}}
    below.write_text(yaml.safe_dump(merge(BASE, {"stages": {"source": full}}), sort_keys=False))
    above.write_text("uses: below.yaml\nname: y\nstages: {source: {augment: {}, losses: {task_source: 1}}}\n")
    (sentence,) = load_config(above).shadowed_defaults
    assert sentence.startswith("stages.source.augment: an empty mapping takes nothing away")
    assert load_config(above).stages["source"].augment.flip
    assert len(load_config(below, ["networks={}", "stages.source.losses={}"]).shadowed_defaults) == 2
    assert load_config(below, ["stages.source.augment=null", "stages.source.ema={}"]).shadowed_defaults == ()


def test_a_setting_that_is_given_twice_is_said(tmp_path: Any) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(BASE))
    twice = ["seed=1", "stages.source.steps=4", "seed=2", "stages.source.steps=4", "stages.pixel.steps=4"]
    config = load_config(file, twice)
    assert config.shadowed_defaults == ("seed=1, seed=2: the last, seed=2, counts.",)
    assert config.seed == 2
    (sentence,) = load_config(file, ["stages.source.epochs=1", "stages.source.steps=4"]).shadowed_defaults
    assert sentence.endswith("the last, stages.source.steps=4, counts.")


@pytest.mark.parametrize(("drive", "count"), [("day", 1), ("dusk", 0)])
def test_an_option_of_a_domain_without_effect_is_said(drive: str, count: int) -> None:
    data = {"source": "camvid", "target": {"name": "camvid", "drive": drive, "last": 9}}
    stages = {"source": {"method": "source_only", "steps": 1, "batch": 2}}
    size = {"size": [64, 64], "channels": 3}
    config = parse({"name": "x", "data": data | size, "networks": {"f": "small_segmenter"}, "stages": stages})
    found = find_idle_settings(config, plan(config))
    assert sum(text.startswith("data.target.last: only the drive") for text in found) == count


def test_intervals_shorter_than_that_of_the_reports_are_said() -> None:
    def said(**logging: int) -> list[str]:
        config = parse(merge(BASE, {"logging": logging}))
        found = find_idle_settings(config, plan(config))
        return [text.partition(":")[0] for text in found if text.startswith("logging.")]

    assert said() == said(report_every=10, evaluate_every=10, checkpoint_every=15) == []
    assert said(checkpoint_every=10) == said(report_every=1000) == ["logging.checkpoint_every"]
    assert said(evaluate_every=49) == ["logging.evaluate_every"]


def test_check_says_it(tmp_path: Any) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(BASE))
    found = CliRunner().invoke(app, ["check", str(file), "stages.pixel=null", "evaluation.overlap=0.5"])
    assert found.exit_code == 0
    assert "warning: " in found.stderr
    assert "networks.g: no stage uses this network" in found.stderr
    assert "evaluation.overlap: " in found.stderr


def test_a_plugin_that_registers_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "silent_losses.py").write_text("def my_loss(real_t):\n    return real_t.mean()\n")
    entry = "from cycada.losses import losses\n\n\n@losses('spoken_mean')\n"
    (tmp_path / "spoken_losses.py").write_text(f"{entry}def my_loss(real_t):\n    return real_t.mean()\n")
    (tmp_path / "spoken_by_import.py").write_text("import spoken_losses\n")
    with losses.temporary():
        parsed = parse(BASE | {"plugins": ["silent_losses", "spoken_by_import", "spoken_losses"]})
        for _ in range(2):
            (found,) = find_idle_settings(parsed, plan(parsed))
            assert "plugins: silent_losses registers nothing" in found
