import pytest
from helpers.experiments import method_stages, tiny_config

from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.tracking.metrics import learning_rates, tracked_row
from cycada.train.device import Device
from cycada.train.loop import train


def planned(**stage):
    config = tiny_config(method_stages("cycada_pixel", steps=4, **stage))
    return config, plan(config)


@pytest.mark.trains
def test_learning_rates_are_those_that_the_optimizers_had():
    stage = {"schedule": {"after": 0.0, "warmup": 2}, "schedules": {"discriminators": {"name": "cosine"}}}
    config, plans = planned(**stage)
    device = Device.find("cpu")
    training = build_training(config, plans[-1], load_datasets(config, plans, device), device, {})
    for report in train(training, report_every=1):
        expected = {p.name: p.optimizer.param_groups[0]["lr"] for p in training.phases}
        found = learning_rates(plans[-1], report.step)
        assert found == pytest.approx({f"learning_rate/{name}": rate for name, rate in expected.items()})


def test_tracked_row_counts_the_images_of_both_domains():
    _, (source_only, *_, pixel) = planned()
    row = {"step": 2, "rate": 10.0, "loss/cycle_s": 1.0, "target/class_accuracy/1": 0.5}
    tracked = tracked_row(row, pixel, ["cat", "dog"])
    assert tracked["images_per_second"] == 20.0
    assert tracked_row(row, source_only, ["cat", "dog"])["images_per_second"] == 10.0
    assert tracked["target/class_accuracy/dog"] == 0.5
    assert tracked["loss/cycle_s"] == 1.0
    assert not {"rate", "step"} & set(tracked)
