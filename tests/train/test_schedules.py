"""A phase's learning rate: the stage's schedule, or its own."""

import pytest
from helpers.experiments import tiny_config

from cycada.config.schema import load
from cycada.core.errors import CycadaError
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.train.device import Device
from cycada.train.loop import train

RELEASE = "configs/digits/mnist_usps/release.yaml"


def release(**stage):
    """The release's pixel step on the tiny experiment: the classifier trains along."""
    return tiny_config(
        {
            "pixel": {
                "method": "cycada_pixel",
                "networks": {"f_s": {"name": "convnet", "channels": 4, "width": 16}},
                "options": {"pool": 0},
                "losses": {"task_classifier": 1},
                "schedule": {"name": "linear", "after": 0.0},
                **stage,
            }
        }
    )


def rates(config):
    """Phase -> its rate in the last of four steps."""
    device, (stage,) = Device.find("cpu"), plan(config)
    training = build_training(config, stage, load_datasets(config, [stage], device), device, {})
    list(train(training))
    return {phase.name: phase.optimizer.param_groups[0]["lr"] for phase in training.phases}


def test_a_phase_has_a_schedule_of_its_own():
    assert rates(release()) == pytest.approx(
        {"generators": 0.5e-4, "discriminators": 0.5e-4, "classifier": 0.25e-3}
    )
    own = rates(release(schedules={"classifier": {"name": "constant"}}))
    assert own == pytest.approx({"generators": 0.5e-4, "discriminators": 0.5e-4, "classifier": 1e-3})


def test_the_classifier_of_the_release_keeps_its_rate(request):
    stage = next(
        p for p in plan(load(request.config.rootpath / RELEASE, ["data.root=nowhere"])) if p.name == "pixel"
    )
    (classifier,) = (p for p in stage.phases if p.name == "classifier")
    assert (classifier.optimizer["lr"], classifier.schedule.name, stage.stage.schedule.name) == (
        1e-3,
        "constant",
        "linear",
    )
    assert [p.schedule for p in stage.phases if p.name != "classifier"] == [None, None]


def test_a_schedule_is_part_of_the_identity_where_it_is_given():
    plain, own = (
        plan(release(**more))[0] for more in ({}, {"schedules": {"classifier": {"name": "constant"}}})
    )
    assert "schedule" not in plain.identity()["phases"][2]
    assert plain.identity() != own.identity()


def test_a_schedule_for_no_phase_is_refused():
    with pytest.raises(
        CycadaError, match=r"stages.pixel.schedules: unknown phase 'clasifier'. Did you mean 'classifier'"
    ):
        plan(release(schedules={"clasifier": {"name": "constant"}}))
    with pytest.raises(
        CycadaError,
        match=r"stages.it.schedules.encoder: it learns with the optimizer of 'source'. Set that one",
    ):
        plan(tiny_config({"it": {"method": "mcd", "schedules": {"encoder": {"name": "constant"}}}}))
